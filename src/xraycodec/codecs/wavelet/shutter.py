"""Shutter: a region that is constant behind a sharp edge, as around an image intensifier's circle.

The wavelet pays for such an edge at every level, and so do images whose collimator a display
shutter has blackened. Here the region's mask is coded without loss, and what the wavelet codes
behind it is smooth. (``spec/wavelet-shutter.md``.)
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from xraycodec.entropy.mixture_stream import open_stream, stream_of
from xraycodec.errors import CorruptError

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]

_FRONT = struct.Struct("<Ii")  # bytes of the stream, value


@dataclass(frozen=True)
class CodedShutter:
    """A shutter whose mask is still coded: what ``PARM`` holds, whatever the size of the image.

    Attributes:
        value: of the hidden pixels.
        stream: of the mask.
    """

    value: int
    stream: bytes

    def to_bytes(self) -> bytes:
        """Serialise."""
        return _FRONT.pack(len(self.stream), self.value) + self.stream

    @staticmethod
    def read(data: bytes) -> tuple[CodedShutter, bytes]:
        """Read what `to_bytes` wrote; return the bytes after it as well.

        Raises:
            CorruptError: there are not as many bytes as it says.
        """
        if len(data) < _FRONT.size:
            raise CorruptError(
                f"WAVE parameters have {len(data)} bytes of a shutter; at least {_FRONT.size}"
                " belong"
            )
        size, value = _FRONT.unpack_from(data)
        rest = data[_FRONT.size :]
        if len(rest) < size:
            raise CorruptError(f"the WAVE shutter claims {size} bytes; {len(rest)} are there")
        return CodedShutter(value, rest[:size]), rest[size:]

    def decode(self, rows: int, columns: int) -> Shutter:
        """Decode the mask of frames of this size.

        Raises:
            CorruptError: the stream is not that of such a mask.
        """
        from xraycodec.codecs.wavelet import shutter_kernels

        stream = open_stream(self.stream, "the WAVE shutter")
        mask = shutter_kernels.decode(stream, rows, columns)
        if stream.position > len(stream.words):
            raise CorruptError("the WAVE shutter ends before its mask does")
        if not stream.spent:
            raise CorruptError("the WAVE shutter does not end where its mask does")
        return Shutter(self.value, mask)


@dataclass(frozen=True, eq=False)
class Shutter:
    """Pixels that all frames hide behind one value.

    Attributes:
        value: of the hidden pixels.
        mask: whether a pixel is hidden, ``(row, column)``.
    """

    value: int
    mask: Mask

    @cached_property
    def coded(self) -> CodedShutter:
        """The same with its mask coded."""
        from xraycodec.codecs.wavelet import shutter_kernels

        return CodedShutter(self.value, stream_of(*shutter_kernels.encode(self.mask)))

    def take_off(self, frames: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
        """Frames, ``(frame, row, column)``, with smooth continuations in place of hidden pixels."""
        found = frames.astype(np.int32)
        if self.mask.all():
            return found
        low, high = found.min(), found.max()
        for frame in found:
            smooth = np.clip(np.rint(_continued(frame, self.mask)), low, high).astype(np.int32)
            np.copyto(frame, smooth, where=self.mask)
        return found

    def put_back(self, pixels: npt.NDArray[np.integer], level: int = 0) -> None:
        """Hide pixels of frames, ``(..., row, column)``, of the image or of a level, in place."""
        every = 1 << level
        pixels[..., self.mask[::every, ::every]] = self.value


def _continued(frame: npt.NDArray[np.integer], mask: Mask) -> Floats:
    """A frame whose hidden pixels are those around them, the smoother the farther they are away.

    Push and pull: each coarser image averages what is visible in four pixels, and what is hidden is
    interpolated in the next coarser one.
    """
    weights = (~mask).astype(np.float32)
    return _filled(np.where(mask, 0, frame).astype(np.float32), weights)


def _filled(values: Floats, weights: Floats) -> Floats:
    """Values, 0 where their weights are, filled in; weights of 0 to 1 are of values times them."""
    if min(values.shape) == 1 and max(values.shape) == 1:
        return values / weights
    rows, columns = values.shape
    shape = (-(-rows // 2), 2, -(-columns // 2), 2)
    sums, total = (_quartered(plane, shape) for plane in (values, weights))
    kept: Floats = np.minimum(total, np.float32(1))
    share: Floats = (kept / np.maximum(total, np.float32(1))).astype(np.float32, copy=False)
    coarse = _filled(sums * share, kept)
    return values + (1 - weights) * _doubled(coarse)[:rows, :columns]


def _quartered(plane: Floats, shape: tuple[int, int, int, int]) -> Floats:
    padded = np.zeros((2 * shape[0], 2 * shape[2]), np.float32)
    padded[: plane.shape[0], : plane.shape[1]] = plane
    found: Floats = padded.reshape(shape).sum((1, 3))
    return found


def _doubled(plane: Floats) -> Floats:
    """Twice as many rows and columns, linearly between, as centres of pixels lie."""
    for _ in range(2):
        edge = np.pad(plane, ((1, 1), (0, 0)), "edge")
        found = np.empty((2 * len(plane), plane.shape[1]), np.float32)
        most = np.float32(0.75) * plane
        found[::2] = most + np.float32(0.25) * edge[:-2]
        found[1::2] = most + np.float32(0.25) * edge[2:]
        plane = found.T
    return plane
