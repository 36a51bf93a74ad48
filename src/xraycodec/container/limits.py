"""What a reader is willing to spend on a file that it does not trust."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds that are checked before memory is taken; a caller may raise or lower each.

    Attributes:
        max_pixels: pixels of all frames together.
        max_metadata_bytes: the inflated DICOM data set, in bytes.
        max_chunk_bytes: payload of one chunk, in bytes.
        max_tiles: tiles of all frames together, each counted once a layer.
    """

    max_pixels: int = 2**30
    max_metadata_bytes: int = 2**28
    max_chunk_bytes: int = 2**31 - 1
    max_tiles: int = 2**24


DEFAULT_LIMITS = Limits()
