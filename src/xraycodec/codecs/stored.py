"""The codec without a model: pixels deflated by zlib (``spec/format.md``, codec RAWZ)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from xraycodec.codecs.base import Codec, Encoded, Progress, no_progress
from xraycodec.container import NO_MODEL, Container
from xraycodec.errors import CorruptError
from xraycodec.image import Pixels, XRay, pixel_type
from xraycodec.tiling import windows


@dataclass(frozen=True)
class Stored(Codec):
    """Lossless without prediction; serves as the plainest reader and writer of containers."""

    codec_id: ClassVar[str] = "RAWZ"

    tile: int = 512
    level: int = 6

    def encode(self, image: XRay, progress: Progress = no_progress) -> Encoded:
        kind = pixel_type(image.bits_stored, signed=image.signed)
        tiles = [
            zlib.compress(frame[window.inner].astype(kind.newbyteorder("<")).tobytes(), self.level)
            for frame in image.frames
            for window in windows(frame.shape[0], frame.shape[1], self.tile, 0)
        ]
        progress(len(tiles), len(tiles))
        return Encoded(tiles, b"", image.pixels, self.tile, True, 0, NO_MODEL)

    @staticmethod
    def decode(container: Container, threads: int, progress: Progress = no_progress) -> Pixels:
        header = container.header
        if container.parameters:
            raise CorruptError(
                f"RAWZ takes no parameters; PARM holds {len(container.parameters)} bytes"
            )
        kind = pixel_type(header.bits_stored, signed=header.signed)
        pixels = np.empty((header.frames, header.rows, header.columns), kind)
        side = header.tile or max(header.rows, header.columns)
        tiles = iter(container.tiles)
        for frame in pixels:
            for window in windows(header.rows, header.columns, side, 0):
                tile = frame[window.inner]
                tile[...] = (
                    _inflate(next(tiles), tile.size * kind.itemsize)
                    .view(kind.newbyteorder("<"))
                    .reshape(tile.shape)
                )
        progress(1, 1)
        return pixels


def _inflate(data: memoryview, size: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    stream = zlib.decompressobj()
    try:
        pixels = stream.decompress(data, size)
        # One byte of room past the tile lets zlib reach its checksum, or show that it holds more.
        excess = stream.decompress(stream.unconsumed_tail, 1)
    except zlib.error as error:
        raise CorruptError(f"a RAWZ tile is no zlib stream: {error}") from error
    if len(pixels) != size or excess or not stream.eof or stream.unused_data:
        raise CorruptError(f"a RAWZ tile does not hold exactly {size} bytes")
    return np.frombuffer(pixels, np.uint8)
