"""PARM of a wavelet stream: values and the step of quantisation (spec/wavelet.md, section 2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.wavelet.completion_parameters import Completion
from xraycodec.codecs.wavelet.geometry import FRACTION, ORTHONORMAL_LEVELS
from xraycodec.codecs.wavelet.margins import SIZE as MARGINS_SIZE
from xraycodec.codecs.wavelet.margins import Margins
from xraycodec.codecs.wavelet.shutter import CodedShutter
from xraycodec.errors import CorruptError, UnsupportedFormatError

VERSION = 1
STEP_BITS = 8
"""Fractional bits of the step, which is in grey levels."""
FINEST_SHARE = 1 << 12
"""The range of values is at most as many steps, so that coefficients have a bound."""
MAX_STEP = 1 << 24

_LAYOUT = struct.Struct("<BBIii")  # version, flags, step, lowest, highest
_COMPLETED = 1
_MARGINS = 2
_SHUTTER = 4
_BLOCKS = 8
_KNOWN = _COMPLETED | _MARGINS | _SHUTTER | _BLOCKS


@dataclass(frozen=True)
class Parameters:
    """What a decoder knows of an image beside its header.

    Attributes:
        step: of quantisation, in 2^-8 grey levels.
        lowest: pixel value.
        highest: pixel value.
        completion: that the stream has above its base, or ``None``.
        margins: how the outermost lines follow from what the transform holds, or ``None``.
        shutter: pixels that are hidden behind one value, or ``None``.
        blocks: whether levels may be coded in some of their blocks only.
    """

    step: int
    lowest: int
    highest: int
    completion: Completion | None = None
    margins: Margins | None = None
    shutter: CodedShutter | None = None
    blocks: bool = False

    @property
    def middle(self) -> int:
        """The pixel value that the transform takes for 0."""
        return (self.lowest + self.highest) >> 1

    def to_bytes(self) -> bytes:
        """Serialise."""
        flags = (
            (_COMPLETED if self.completion else 0)
            | (_MARGINS if self.margins else 0)
            | (_SHUTTER if self.shutter else 0)
            | (_BLOCKS if self.blocks else 0)
        )
        return (
            _LAYOUT.pack(VERSION, flags, self.step, self.lowest, self.highest)
            + (self.margins.to_bytes() if self.margins else b"")
            + (self.shutter.to_bytes() if self.shutter else b"")
            + (self.completion.to_bytes() if self.completion else b"")
        )

    @staticmethod
    def from_bytes(data: bytes) -> Parameters:
        """Read what `to_bytes` wrote.

        Raises:
            CorruptError: the bytes are not exactly one set of parameters.
            UnsupportedFormatError: a later version, or an unknown flag.
        """
        if len(data) < _LAYOUT.size:
            raise CorruptError(
                f"WAVE parameters have {len(data)} bytes; at least {_LAYOUT.size} belong"
            )
        version, flags, step, lowest, highest = _LAYOUT.unpack_from(data)
        if version != VERSION or flags & ~_KNOWN:
            raise UnsupportedFormatError(
                f"WAVE parameters of version {version}, flags 0x{flags:02x}; known are {VERSION}"
                f" and 0x{_KNOWN:02x}"
            )
        rest = data[_LAYOUT.size :]
        margins = None
        if flags & _MARGINS:
            if len(rest) < MARGINS_SIZE:
                raise CorruptError(
                    f"WAVE parameters have {len(rest)} bytes of margins; {MARGINS_SIZE} belong"
                )
            margins, rest = Margins.from_bytes(rest[:MARGINS_SIZE]), rest[MARGINS_SIZE:]
        shutter = None
        if flags & _SHUTTER:
            shutter, rest = CodedShutter.read(rest)
        if rest and not flags & _COMPLETED:
            raise CorruptError(f"WAVE parameters have {len(rest)} bytes too many")
        if lowest > highest:
            raise CorruptError(f"WAVE parameters have values from {lowest} to {highest}")
        if shutter and not lowest <= shutter.value <= highest:
            raise CorruptError(
                f"the WAVE shutter is of value {shutter.value}; allowed are {lowest} to {highest}"
            )
        low = finest_step(lowest, highest)
        if not low <= step <= MAX_STEP:
            raise CorruptError(f"WAVE step is {step}; allowed are {low} to {MAX_STEP}")
        completion = Completion.from_bytes(rest) if flags & _COMPLETED else None
        blocks = bool(flags & _BLOCKS)
        return Parameters(step, lowest, highest, completion, margins, shutter, blocks)

    def to_steps(self, pixels: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
        """Pixels as 2^-8 steps from the middle, rounded; margins have been taken off."""
        values = (pixels.astype(np.int64, "C") - self.middle) << (FRACTION + STEP_BITS + 1)
        steps: npt.NDArray[np.int32] = ((values + self.step) // (2 * self.step)).astype(np.int32)
        return steps

    def to_pixels(self, steps: npt.NDArray[np.int32], level: int = 0) -> npt.NDArray[np.int32]:
        """Undo `to_steps`, of the image or of the low-pass band of a level, within the range.

        The image gets its margins back; smaller images are without.
        """
        drop = FRACTION + STEP_BITS + min(level, ORTHONORMAL_LEVELS)
        values = (steps.astype(np.int64) * self.step + (1 << (drop - 1))) >> drop
        pixels: npt.NDArray[np.int32] = np.clip(
            values + self.middle, self.lowest, self.highest
        ).astype(np.int32)
        if self.margins and not level:
            self.margins.put_back(pixels, self.lowest, self.highest)
        return pixels


def finest_step(lowest: int, highest: int) -> int:
    """Finest step for this range of values, in 2^-8 grey levels."""
    return max(1, -(-((highest - lowest) << STEP_BITS) // FINEST_SHARE))
