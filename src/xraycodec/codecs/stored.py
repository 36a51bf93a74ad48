"""The codec without a model: pixels deflated by zlib (``spec/format.md``, section 7.1)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from xraycodec.codecs.base import Codec, Encoded, Progress, header_for, no_progress
from xraycodec.container import NO_MODEL, Container
from xraycodec.errors import CorruptError, OptionError
from xraycodec.image import Pixels, XRay, pixel_type, value_range
from xraycodec.tiling import windows

MAX_TILE = 2**32 - 1
_LEVELS = range(10)


@dataclass(frozen=True)
class Stored(Codec):
    """Lossless without prediction; serves as the plainest reader and writer of containers.

    Attributes:
        tile: side of a tile in pixels; 0 makes each frame one tile.
        level: zlib's, 0 (no compression) to 9 (smallest).
    """

    codec_id: ClassVar[str] = "RAWZ"

    tile: int = 512
    level: int = 6

    def __post_init__(self) -> None:
        if not 0 <= self.tile <= MAX_TILE:
            raise OptionError(f"tile {self.tile}; stored takes 0 to {MAX_TILE}")
        if self.level not in _LEVELS:
            raise OptionError(f"level {self.level}; zlib knows 0 to 9")

    def encode(self, image: XRay, progress: Progress = no_progress) -> Encoded:
        cell = _cell(image.bits_stored, signed=image.signed)
        rows, columns = image.frames.shape[1:]
        side = self.tile or max(rows, columns)
        tiles = [
            zlib.compress(frame[window.inner].astype(cell).tobytes(), self.level)
            for frame in image.frames
            for window in windows(rows, columns, side, 0)
        ]
        progress(len(tiles), len(tiles))
        header = header_for(image, self.codec_id, tile=self.tile, exact=True, max_error=0)
        return Encoded(header, b"", tiles, image.frames)

    @staticmethod
    def decode(container: Container, threads: int, progress: Progress = no_progress) -> Pixels:
        header = container.header
        _check_promises(container)
        cell = _cell(header.bits_stored, signed=header.signed)
        low, high = value_range(header.bits_stored, signed=header.signed)
        shape = (header.frames, header.rows, header.columns)
        pixels = np.empty(shape, cell.newbyteorder("="))
        side = header.tile or max(header.rows, header.columns)
        tiles = iter(enumerate(container.payloads))
        for frame in pixels:
            for window in windows(header.rows, header.columns, side, 0):
                target = frame[window.inner]
                number, data = next(tiles)
                tile = _inflate(data, target.size * cell.itemsize, number).view(cell)
                if tile.min() < low or tile.max() > high:
                    raise CorruptError(
                        f"RAWZ tile {number} has values {tile.min()} to {tile.max()};"
                        f" {header.bits_stored} bits stored allow {low} to {high}"
                    )
                target[...] = tile.reshape(target.shape)
        progress(len(container.payloads), len(container.payloads))
        return pixels


def _cell(bits_stored: int, *, signed: bool) -> np.dtype[Any]:
    """How a pixel lies in a tile."""
    return pixel_type(bits_stored, signed=signed).newbyteorder("<")


def _check_promises(container: Container) -> None:
    """Hold the stream against what every RAWZ stream says of itself."""
    header = container.header
    if container.parameters:
        raise CorruptError(
            f"RAWZ takes no parameters; PARM holds {len(container.parameters)} bytes"
        )
    if header.layers != 1:
        raise CorruptError(f"RAWZ has one layer; HEAD says {header.layers}")
    if header.model != NO_MODEL:
        raise CorruptError(f"RAWZ has no model; HEAD names {header.model.hex()}")
    if not header.exact or header.max_error != 0:
        raise CorruptError(
            "RAWZ is exact with maximum error 0; HEAD says"
            f" {'exact' if header.exact else 'not exact'} and {header.max_error}"
        )


def _inflate(data: memoryview, size: int, number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Bytes of tile ``number``, which must be ``size``."""
    stream = zlib.decompressobj()
    try:
        pixels = stream.decompress(data, size)
        # One byte of room past the tile lets zlib reach its checksum, or show that it holds more.
        excess = stream.decompress(stream.unconsumed_tail, 1)
    except zlib.error as error:
        raise CorruptError(f"RAWZ tile {number} is no zlib stream: {error}") from error
    if len(pixels) != size or excess or not stream.eof or stream.unused_data:
        raise CorruptError(f"RAWZ tile {number} is no whole zlib stream of exactly {size} bytes")
    return np.frombuffer(pixels, np.uint8)
