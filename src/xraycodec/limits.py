"""What a reader is willing to spend on a file that it does not trust."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from xraycodec.errors import LimitError


@dataclass(frozen=True)
class Limits:
    """Bounds that are checked before memory is taken; a caller may raise or lower each.

    They hold for ``.xrc`` files and for every image file that is read. A caller that knows the
    size of its images should lower the first two.

    Attributes:
        max_frame_pixels: pixels of one frame: 16384 x 16384.
        max_pixels: pixels of all frames together: 4096 frames of 1024 x 1024, or 357 of
            3000 x 4000.
        free_pixels: pixels that a file may claim however small it is: any single radiograph.
        max_expansion: pixels that a larger claim may have for each byte of the file. Deflate takes
            one byte for at most 1032, so that no constant image of `stored`, PNG or deflated DICOM
            is refused; other codecs can need more for large images that are constant.
        max_elements: elements and items of a DICOM data set, those of nested items included.
        max_depth: sequences in each other in a DICOM data set.
        max_metadata_bytes: a DICOM data set without its pixels, inflated.
        max_chunk_bytes: payload of one chunk of an ``.xrc`` file.
        max_chunks: chunks of an ``.xrc`` file beyond one for each 1024 bytes of it.
        max_tiles: tiles of all frames of an ``.xrc`` file together, each counted once a layer.
    """

    max_frame_pixels: int = 2**28
    max_pixels: int = 2**32
    free_pixels: int = 2**25
    max_expansion: int = 2**10
    max_elements: int = 2**18
    max_depth: int = 32
    max_metadata_bytes: int = 2**28
    max_chunk_bytes: int = 2**31 - 1
    max_chunks: int = 2**12
    max_tiles: int = 2**24

    def check_pixels(
        self, frames: int, rows: int, columns: int, size_bytes: int | None, place: str
    ) -> None:
        """Hold the dimensions that a header claims against the limits.

        Args:
            frames: claimed.
            rows: claimed, of a frame.
            columns: claimed, of a frame.
            size_bytes: of the whole file; ``None`` if that is not known or was checked before.
            place: what claims them, for messages.

        Raises:
            LimitError: too many pixels in a frame, in all frames, or for the size of the file.
        """
        frame_pixels = rows * columns
        if frame_pixels > self.max_frame_pixels:
            raise LimitError(
                f"{place} claims frames of {rows} x {columns} = {frame_pixels} pixels; the limit"
                f" is {self.max_frame_pixels} (max_frame_pixels)"
            )
        pixels = frames * frame_pixels
        claim = f"{place} claims {frames} x {rows} x {columns} = {pixels} pixels"
        if pixels > self.max_pixels:
            raise LimitError(f"{claim}; the limit is {self.max_pixels} (max_pixels)")
        if size_bytes is None or pixels <= self.free_pixels:
            return
        if pixels > (most := self.max_expansion * size_bytes):
            raise LimitError(
                f"{claim} in {size_bytes} bytes; the limit is {max(most, self.free_pixels)},"
                f" {self.max_expansion} for each byte (max_expansion)"
            )


DEFAULT_LIMITS = Limits()


@contextmanager
def memory_as_limit(what: str) -> Iterator[None]:
    """Turn a ``MemoryError`` into a `LimitError` that names ``what`` took the memory."""
    try:
        yield
    except MemoryError as error:
        raise LimitError(f"{what} takes more memory than there is") from error
