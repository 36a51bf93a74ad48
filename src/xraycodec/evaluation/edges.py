"""How well edges are kept."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from xraycodec.evaluation.metrics import bands, check_pixels, frames_of
from xraycodec.image import Pixels


def edge_preservation(reference: Pixels, test: Pixels) -> float:
    """Edge preservation index of Sattar, Floreby, Salomonsson and Lövström (1997).

    The correlation coefficient of the two images after a 3 x 3 Laplacian (-4 in the middle, 1 at
    its four neighbours; the outermost pixels are repeated outwards), over all pixels of all
    frames, from exact integer sums. 1 says that the edges are kept, 0 that what is there has
    nothing to do with them; neither an offset nor the scale of the grey levels changes it.

    An image without a single edge has no correlation: two of them count as 1, one of them as 0.

    Args:
        reference: the original, ``(row, column)`` or ``(frame, row, column)``, as stored.
        test: what became of it, of the same shape.

    Raises:
        ValueError: the shapes differ or are not images.
        TypeError: a pixel type other than those of ``XRay``.
    """
    check_pixels(reference, test)
    sum_x = sum_y = sum_xx = sum_yy = sum_xy = 0
    for frame_x, frame_y in zip(frames_of(reference), frames_of(test), strict=True):
        for top, bottom in bands(*map(int, frame_x.shape)):
            x, y = _laplacian(frame_x, top, bottom), _laplacian(frame_y, top, bottom)
            sum_x += int(x.sum())
            sum_y += int(y.sum())
            sum_xx += int(np.vdot(x, x))
            sum_yy += int(np.vdot(y, y))
            sum_xy += int(np.vdot(x, y))
    count = int(reference.size)
    spread_x, spread_y = count * sum_xx - sum_x**2, count * sum_yy - sum_y**2
    if spread_x == 0 or spread_y == 0:
        return float(spread_x == spread_y)
    covariance = count * sum_xy - sum_x * sum_y
    # The sums are whole numbers of any length: equal edges give exactly 1.
    if covariance == spread_x == spread_y:
        return 1.0
    return covariance / (math.sqrt(spread_x) * math.sqrt(spread_y))


def _laplacian(frame: Pixels, top: int, bottom: int) -> npt.NDArray[np.int64]:
    """Laplacian of the rows ``top`` to ``bottom`` of a frame, flat."""
    above, below = max(0, top - 1), min(len(frame), bottom + 1)
    outside = (int(top == 0), int(bottom == len(frame)))
    band = np.pad(frame[above:below].astype(np.int64), (outside, (1, 1)), mode="edge")
    middle = band[1:-1, 1:-1]
    around = band[:-2, 1:-1] + band[2:, 1:-1] + band[1:-1, :-2] + band[1:-1, 2:]
    filtered: npt.NDArray[np.int64] = (around - 4 * middle).reshape(-1)
    return filtered
