"""Exact networks in NumPy: the reading of spec/network.md that all others have to match.

Sums run in float64. They are exact there in any order: every partial sum is an integer of at most
sum |weight| x 255 + |bias| < 2^24, and float64 holds integers up to 2^53. Multiplying by a power
of two only changes the exponent, and ``rint`` rounds ties to even.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.exact.operators import (
    ACTIVATION_LIMIT,
    INPUT,
    ZERO_POINT,
    Addition,
    Convolution,
    Graph,
    Head,
    Int8,
    Int32,
    Operator,
    spent,
)

Stored = npt.NDArray[np.uint8]
Sums = npt.NDArray[np.float64]
BLOCK_COLUMNS = 1024
BLOCK_VALUES = 1 << 21
"""Values in one block's matrix of patches, 16 MiB: what bounds the memory of a convolution."""


def evaluate(graph: Graph, x: Stored) -> dict[str, npt.NDArray[Any]]:
    """Evaluate a proven graph on ``(batch, channel, row, column)``.

    Returns:
        The outputs by name, in the order of the graph: uint8 or, of a head, int32, all
        ``(batch, channel, row, column)``.
    """
    held: dict[str, npt.NDArray[Any]] = {INPUT: x}
    for operator, freed in zip(graph.operators, spent(graph), strict=True):
        held[operator.name] = _apply(operator, held)
        for name in freed:
            del held[name]
    return {name: held[name] for name in graph.outputs}


def _apply(operator: Operator, held: dict[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
    source = held[operator.source]
    if isinstance(operator, Addition):
        total = source.astype(np.int16) + held[operator.change].astype(np.int16) - ZERO_POINT
        return total.clip(0, ACTIVATION_LIMIT).astype(np.uint8)
    if isinstance(operator, Head):
        multiplier = np.exp2(operator.exponent.astype(np.float64))[:, None]
        weight = operator.weight[:, :, None, None]
        return _convolve(weight, operator.bias, source, lambda acc: acc * multiplier, np.int32)
    return _convolve(
        operator.weight, operator.bias, source, lambda acc: _requantise(acc, operator), np.uint8
    )


def _requantise(acc: Sums, operator: Convolution) -> Sums:
    """Round ``(channel, pixel)`` sums to what is stored."""
    zero = ZERO_POINT if operator.signed else 0
    y = np.rint(acc * np.exp2(-operator.shift.astype(np.float64))[:, None]) + zero
    return y.clip(0, ACTIVATION_LIMIT)


def _convolve(
    weight: Int8,
    bias: Int32,
    x: Stored,
    finish: Callable[[Sums], Sums],
    dtype: type[np.uint8 | np.int32],
) -> npt.NDArray[Any]:
    """Multiply patches by weights, block by block; ``finish`` takes ``(channel, pixel)`` sums."""
    images, channels, height, width = x.shape
    kernel = weight.shape[-1]
    margin = kernel - 1
    matrix = weight.reshape(len(weight), -1).astype(np.float64)
    padded = np.pad(x, ((0, 0), (0, 0), *((margin // 2, margin // 2),) * 2))
    out = np.empty((images, len(weight), height, width), dtype)
    columns = min(width, BLOCK_COLUMNS)
    rows = max(1, BLOCK_VALUES // (matrix.shape[1] * columns))
    for image, top, left in np.ndindex(images, -(-height // rows), -(-width // columns)):
        r, c = top * rows, left * columns
        block = padded[image, :, r : r + rows + margin, c : c + columns + margin]
        windows = np.lib.stride_tricks.sliding_window_view(block, (kernel, kernel), (1, 2))
        patches = windows.transpose(0, 3, 4, 1, 2).reshape(channels * kernel * kernel, -1)
        acc = matrix @ patches.astype(np.float64) + bias[:, None]
        out[image, :, r : r + rows, c : c + columns] = finish(acc).reshape(
            len(weight), *windows.shape[1:3]
        )
    return out
