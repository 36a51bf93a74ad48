"""How faithful a decompressed radiograph is to its original."""

from xraycodec.evaluation.metrics import Fidelity, max_error, measure, mse, psnr_db, ssim

__all__ = ["Fidelity", "max_error", "measure", "mse", "psnr_db", "ssim"]
