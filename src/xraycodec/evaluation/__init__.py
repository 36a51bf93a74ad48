"""How faithful a decompressed radiograph is to its original."""

from xraycodec.evaluation.anatomy import AnatomyFidelity, anatomy_fidelity, anatomy_mask
from xraycodec.evaluation.bd_rate import (
    CurveError,
    NoOverlapError,
    NotMonotoneError,
    TooFewPointsError,
    bd_psnr,
    bd_rate,
)
from xraycodec.evaluation.edges import edge_preservation
from xraycodec.evaluation.full import measure_all
from xraycodec.evaluation.metrics import Fidelity, max_error, measure, mse, psnr_db, ssim
from xraycodec.evaluation.multiscale import ms_ssim

__all__ = [
    "AnatomyFidelity",
    "CurveError",
    "Fidelity",
    "NoOverlapError",
    "NotMonotoneError",
    "TooFewPointsError",
    "anatomy_fidelity",
    "anatomy_mask",
    "bd_psnr",
    "bd_rate",
    "edge_preservation",
    "max_error",
    "measure",
    "measure_all",
    "ms_ssim",
    "mse",
    "psnr_db",
    "ssim",
]
