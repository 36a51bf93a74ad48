"""What Sushmit et al. (2019) report: Tables I and II, and the factor of the lossless stage."""

from __future__ import annotations

from dataclasses import dataclass

SEGMENTS = (128, 256)
"""N: sides of the segments in pixels; Table I has 128, Table II 256."""
RATIOS = (2, 4, 8)
"""Compression ratios of both tables."""
FURTHER_FACTOR = 4.0
"""By how much GZip shrinks the encoded tensors, as the paper says."""
CROPS = 500
"""Test crops of each size."""


@dataclass(frozen=True)
class Reported:
    """One row of a table of the paper."""

    ssim: float
    psnr_db: float


TABLES: dict[int, dict[str, dict[int, Reported]]] = {
    128: {
        "toderici": {
            2: Reported(0.9387, 32.1130),
            4: Reported(0.9119, 30.8696),
            8: Reported(0.8970, 30.4720),
        },
        "jpeg2000": {
            2: Reported(0.9801, 25.1276),
            4: Reported(0.9681, 25.0529),
            8: Reported(0.9409, 24.8608),
        },
        "rnn-conv": {
            2: Reported(0.9645, 36.0152),
            4: Reported(0.9592, 35.9795),
            8: Reported(0.9579, 35.9325),
        },
    },
    256: {
        "toderici": {
            2: Reported(0.9013, 31.9197),
            4: Reported(0.8933, 30.2135),
            8: Reported(0.8755, 30.015),
        },
        "jpeg2000": {
            2: Reported(0.9783, 25.1051),
            4: Reported(0.9713, 25.0797),
            8: Reported(0.9500, 25.0208),
        },
        "rnn-conv": {
            2: Reported(0.9525, 34.9721),
            4: Reported(0.9517, 34.9002),
            8: Reported(0.9509, 34.8701),
        },
    },
}
"""``TABLES[N][approach][ratio]``."""


def reported(segment: int, approach: str, ratio: int) -> Reported | None:
    """Return the paper's figures, or ``None`` where it gives none."""
    return TABLES.get(segment, {}).get(approach, {}).get(ratio)
