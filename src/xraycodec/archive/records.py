"""What the parts of a run hand to each other; plain values, which any process can take."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class State(StrEnum):
    """Where a file of the manifest stands."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Found:
    """A file that scanning came upon.

    Attributes:
        path: absolute path or URL.
        output: name below the archive's folder, with slashes.
        size_bytes, mtime_ns: ``None`` where they could not be learned.
        named: the user named the file, so that it is an error if it is no image.
    """

    path: str
    output: str
    size_bytes: int | None
    mtime_ns: int | None
    named: bool


@dataclass(frozen=True, slots=True)
class Item:
    """A row of the manifest, as a worker needs it.

    Attributes:
        id: of the row.
        path, output, named: as `Found`.
        attempts: made so far.
        content_hash, pixel_hash, output_hash, output_bytes: of what is archived, ``None`` where
            nothing is.
        mtime_ns: of the original, ``None`` where it is not known.
    """

    id: int
    path: str
    output: str
    named: bool
    attempts: int
    content_hash: str | None
    pixel_hash: str | None
    output_hash: str | None
    output_bytes: int | None
    mtime_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Compressed:
    """A file that is in the archive.

    Attributes:
        size_bytes, mtime_ns: of the original as it was read.
        content_hash: SHA-256 of the original file, in hexadecimal.
        pixel_hash: of the pixels that decoding gives, as the container has it.
        output_bytes, output_hash: size and SHA-256 of the ``.xrc`` file.
        pixel_bytes: of the pixels at their bits stored.
        verified: decoded again and compared.
    """

    size_bytes: int
    mtime_ns: int | None
    content_hash: str
    pixel_hash: str
    output_bytes: int
    output_hash: str
    pixel_bytes: float
    verified: bool

    @property
    def ratio(self) -> float:
        """Of the pixels at their bits stored to the whole ``.xrc`` file."""
        return self.pixel_bytes / self.output_bytes


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A file whose size or time changed, and whose content did not."""

    size_bytes: int
    mtime_ns: int | None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file below a folder that is no image."""

    why: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Checked:
    """A file of the archive that is as it was written.

    Attributes:
        identical: decoding gave the pixels that the encoder had; ``None`` if nothing was decoded.
    """

    identical: bool | None


@dataclass(frozen=True, slots=True)
class Extracted:
    """An image that was restored.

    Attributes:
        output: below the folder of the extraction.
        format: that it was written in.
        size_bytes: of the file.
        identical: as `Checked`.
    """

    output: str
    format: str
    size_bytes: int
    identical: bool


Result = Compressed | Unchanged | Skipped | Checked | Extracted


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no result.

    Attributes:
        error_class: name of the error.
        message: without the file's name.
        kind: ``final``: the file is to blame, and trying again is no use. ``transient``: the
            machine or the network is. ``died``: the process did. ``stop``: no other file can do
            better, the disk is full.
    """

    error_class: str
    message: str
    kind: Literal["final", "transient", "died", "stop"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an item.

    Attributes:
        id: of the item.
        attempts: that this took.
        seconds: wall time, waiting between attempts left out.
    """

    id: int
    attempts: int
    seconds: float
    result: Result | Failure
