"""Every fidelity metric of this package in one go."""

from __future__ import annotations

from xraycodec.evaluation.anatomy import anatomy_fidelity
from xraycodec.evaluation.edges import edge_preservation
from xraycodec.evaluation.metrics import (
    check_comparable,
    from_zero,
    max_error,
    psnr_db,
)
from xraycodec.evaluation.multiscale import ssim_and_ms_ssim
from xraycodec.image import XRay


def measure_all(reference: XRay, test: XRay) -> dict[str, float]:
    """Compare two radiographs of equal shape and pixel format by every metric.

    The peak is that of the reference's bits stored; signed pixels are counted from the lowest
    value that these allow, as in :func:`xraycodec.evaluation.measure`.

    Returns:
        ``psnr_db``, ``ssim``, ``ms_ssim`` and ``max_error`` (grey levels) of the stored pixels,
        ``anatomy_psnr_db`` and ``anatomy_ssim`` of the windowed anatomy
        (:func:`xraycodec.evaluation.anatomy_fidelity`), and ``edge_preservation``. PSNR is
        infinite where there is no difference.

    Raises:
        ValueError: the shapes, signs, bits stored or photometric interpretations differ.
    """
    check_comparable(reference, test)
    single, multiple = ssim_and_ms_ssim(from_zero(reference), from_zero(test), reference.peak)
    anatomy = anatomy_fidelity(reference, test)
    return {
        "psnr_db": psnr_db(reference.pixels, test.pixels, reference.peak),
        "ssim": single,
        "ms_ssim": multiple,
        "max_error": float(max_error(reference.pixels, test.pixels)),
        "anatomy_psnr_db": anatomy.psnr_db,
        "anatomy_ssim": anatomy.ssim,
        "edge_preservation": edge_preservation(reference.pixels, test.pixels),
    }
