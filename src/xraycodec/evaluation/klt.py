"""The linear floor: principal components of pixel blocks, the first beta kept in 8-bit codes.

A learned codec that does not beat the Karhunen-Loève transform (KLT) of its own blocks has not
been trained; the table of every learned codec here has it as a row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Crops = npt.NDArray[np.uint8]
CODE_LIMIT = 127
BRIGHTNESS_BEND = 1.0
"""``t`` of the first coefficient where codes are companded."""


@dataclass(frozen=True, eq=False)
class BlockTransform:
    """KLT of ``size`` x ``size`` blocks about mid-grey.

    Attributes:
        basis: ``(component, pixel)``, orthonormal, components by falling variance.
        peaks: largest absolute coefficient met in training, ``(component,)``.
    """

    size: int
    basis: Array
    peaks: Array


def cut_blocks(crops: Crops, size: int) -> Array:
    """Cut ``(crop, N, N)`` 8-bit crops into ``(block, size * size)`` rows in -0.5 .. 0.5."""
    n, height, width = crops.shape
    shape = (n, height // size, size, width // size, size)
    rows = crops.reshape(shape).transpose(0, 1, 3, 2, 4).reshape(-1, size * size)
    return rows.astype(np.float64) / 255 - 0.5


def join_blocks(rows: Array, count: int, side: int) -> Array:
    """Undo `cut_blocks` for ``count`` crops of ``side`` pixels, still in -0.5 .. 0.5."""
    size = round(rows.shape[1] ** 0.5)
    shape = (count, side // size, side // size, size, size)
    return rows.reshape(shape).transpose(0, 1, 3, 2, 4).reshape(count, side, side)


def learn_klt(crops: Crops, size: int) -> BlockTransform:
    """Learn the transform from all blocks of ``crops``."""
    rows = cut_blocks(crops, size)
    _, vectors = np.linalg.eigh(rows.T @ rows / len(rows))
    basis = np.ascontiguousarray(vectors[:, ::-1].T)
    return BlockTransform(size, basis, np.abs(rows @ basis.T).max(axis=0))


def reconstruct(transform: BlockTransform, crops: Crops, beta: int, bend: float = 0.0) -> Crops:
    """Send crops through the first ``beta`` coefficients in 8-bit codes.

    ``bend`` = 0 quantises uniformly over the range met in training; a larger one compands as
    RNN-Conv's quantiser does (``spec/rnn-conv.md``, section 4) with that ``t``, but for the
    first coefficient, brightness, which is spread evenly and takes `BRIGHTNESS_BEND`.
    """
    rows = cut_blocks(crops, transform.size)
    basis, peaks = transform.basis[:beta], transform.peaks[:beta]
    scaled = rows @ basis.T / peaks
    if bend:
        t = np.full(beta, bend)
        t[0] = BRIGHTNESS_BEND
        codes = np.rint(CODE_LIMIT / t * np.arcsinh(scaled * np.sinh(t)))
        codes = codes.clip(-CODE_LIMIT, CODE_LIMIT)
        values = np.sinh(codes * t / CODE_LIMIT) / np.sinh(t)
    else:
        values = np.rint(scaled * CODE_LIMIT).clip(-CODE_LIMIT, CODE_LIMIT) / CODE_LIMIT
    pixels = join_blocks((values * peaks) @ basis, len(crops), crops.shape[1])
    return np.rint((pixels + 0.5) * 255).clip(0, 255).astype(np.uint8)
