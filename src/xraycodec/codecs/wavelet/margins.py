"""Margins: the outermost lines of an image, where they are scaled copies of those inside.

Resampling against a padded border leaves them: all images of NIH ChestX-ray8 that were scaled down
have lines of a half and of 1.04 times what is beside them. A wavelet pays for such a line along the
whole image at every level, up to a third of a file at 0.05 bpp; here it is a byte.
(``spec/wavelet.md``, sections 2 and 7.)
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

WIDTH = 2
"""Lines at each side."""
SIDES = 4
"""Top, bottom, left, right."""
LEAST_SIDE = 8
"""Smaller frames have no margins."""
GAIN_BITS = 7
UNCHANGED = 1 << GAIN_BITS

_LAYOUT = struct.Struct(f"<i{SIDES * WIDTH}B")
SIZE = _LAYOUT.size
_MOST_GAIN = 255
_LEAST_OF_RANGE = 0.01
"""Lines that are closer to those inside than this, by root mean square, are left as they are."""
_LEAST_PART = 0.4
"""A gain has to leave less than this part of the squared difference."""
_NOISE = 0.05
"""What a line of a small gain hides is hardly worth restoring: noise to signal of one of gain 1."""

Lines = npt.NDArray[Any]


@dataclass(frozen=True)
class Margins:
    """How the outermost lines of all frames follow from what the wavelet holds there.

    Attributes:
        padding: the pixel value that the image was padded with: a gain of 0 leads to it.
        gains: in 2^-7, of the outermost line and the one inside, of top, bottom, left, right.
    """

    padding: int
    gains: tuple[int, ...]

    def to_bytes(self) -> bytes:
        """Serialise."""
        return _LAYOUT.pack(self.padding, *self.gains)

    @staticmethod
    def from_bytes(data: bytes) -> Margins:
        """Read `SIZE` bytes that `to_bytes` wrote; any are valid."""
        padding, *gains = _LAYOUT.unpack(data)
        return Margins(padding, tuple(gains))

    def put_back(self, pixels: npt.NDArray[np.int32], lowest: int, highest: int) -> None:
        """Scale the lines of whole frames, ``(..., row, column)``, in place."""
        for (line, _), gain in zip(_lines(pixels), self.gains, strict=True):
            if gain != UNCHANGED:
                scaled = (line.astype(np.int64) - self.padding) * gain
                found = ((scaled + (1 << (GAIN_BITS - 1))) >> GAIN_BITS) + self.padding
                line[...] = np.clip(found, lowest, highest)

    def take_off(self, frames: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
        """Whole frames as if the lines had not been scaled, within their range."""
        values = frames.astype(np.float64)
        for (line, inside), gain in reversed(list(zip(_lines(values), self.gains, strict=True))):
            if gain == UNCHANGED:
                continue
            share = gain / UNCHANGED
            whole = self.padding + (line - self.padding) / max(share, 1 / _MOST_GAIN)
            line[...] = inside + (whole - inside) * share**2 / (share**2 + _NOISE * (share < 1))
        found: npt.NDArray[np.int32] = np.clip(np.rint(values), frames.min(), frames.max()).astype(
            np.int32
        )
        return found


def _lines(frames: Lines) -> Iterator[tuple[Lines, Lines]]:
    """Views of all lines in the order of the gains, each with the line that it may be like."""
    for axis in (-2, -1):
        lines = np.moveaxis(frames, axis, -2)
        for k in range(WIDTH):
            yield lines[..., k, :], lines[..., WIDTH, :]
        for k in range(WIDTH):
            yield lines[..., -1 - k, :], lines[..., -1 - WIDTH, :]


def _continued(frames: Lines) -> Iterator[Lines]:
    """For the same lines, what the two lines inside of the margins go on to."""
    for axis in (-2, -1):
        lines = np.moveaxis(frames, axis, -2)
        for side in (lines, lines[..., ::-1, :]):
            first = side[..., WIDTH, :].astype(np.float64)
            slope = first - side[..., WIDTH + 1, :]
            for k in range(WIDTH):
                yield first + (WIDTH - k) * slope


def find_margins(frames: npt.NDArray[np.integer]) -> Margins | None:
    """Fit the margins of frames, ``(frame, row, column)``; ``None`` if they have none."""
    if min(frames.shape[1:]) < LEAST_SIDE:
        return None
    lowest, highest = int(frames.min()), int(frames.max())
    # Padded with 0, also before an inversion, or with what the image has at its ends.
    full_scale = (1 << highest.bit_length()) - 1
    paddings = sorted({0, full_scale, lowest, highest})
    found = [_fit(frames, padding, highest - lowest) for padding in paddings]
    best = max(found, key=lambda each: each[0])[1]
    return best if any(gain != UNCHANGED for gain in best.gains) else None


def _fit(frames: npt.NDArray[np.integer], padding: int, span: int) -> tuple[float, Margins]:
    """What margins with this padding take off the squares of differences, and they."""
    saved, gains = 0.0, []
    for (line, inside), further in zip(_lines(frames), _continued(frames), strict=True):
        # Corners are in two margins.
        x = line[..., WIDTH:-WIDTH].astype(np.float64) - padding
        y = inside[..., WIDTH:-WIDTH].astype(np.float64) - padding
        energy = float(np.vdot(y, y))
        gain = UNCHANGED
        # An image that just goes on to its border, level or not, has no margin there.
        rise = further[..., WIDTH:-WIDTH] - padding
        before = min(float(np.square(x - y).sum()), float(np.square(x - rise).sum()))
        if energy and before > x.size * (_LEAST_OF_RANGE * span) ** 2:
            fitted = round(float(np.vdot(x, y)) / energy * UNCHANGED)
            fitted = min(max(fitted, 0), _MOST_GAIN)
            after = float(np.square(x - y * (fitted / UNCHANGED)).sum())
            if after < _LEAST_PART * before:
                gain = fitted
                saved += before - after
        gains.append(gain)
    return saved, Margins(padding, tuple(gains))
