"""Instances, and what destinations are owed of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum


class Part(IntEnum):
    """What of an instance is delivered, in the order of urgency."""

    PREVIEW = 0
    IMAGE = 1
    WITHDRAWAL = 2


class Arrival(Enum):
    """What became of an instance that was offered."""

    NEW = "new"
    KNOWN = "known"  # the same content was here before
    CONFLICT = "conflict"  # the UID was here before, with other content
    OVERTAKEN = "overtaken"  # a preview whose image is here already


@dataclass(frozen=True)
class Received:
    """An instance as it arrived.

    Attributes:
        uid: SOP Instance UID.
        digest: SHA-256 of transfer syntax and data set, in hexadecimal.
        preview_of: UID of the image that this one is a preview of, or ``None``.
    """

    uid: str
    digest: str
    sop_class: str
    transfer_syntax: str
    size_bytes: int
    preview_of: str | None = None


OURSELVES = ""
"""The destination of a base: it is kept for the remainder of its image, and goes nowhere.

No destination of a configuration has this name.
"""


@dataclass(frozen=True)
class Route:
    """A delivery that an instance owes: which part, to whom, in which syntax."""

    destination: str
    part: Part
    syntax: str


@dataclass(frozen=True)
class Rendition:
    """What goes over the wire; ``own_file`` where it is not the file that was received."""

    uid: str
    sop_class: str
    transfer_syntax: str
    size_bytes: int
    own_file: bool


@dataclass(frozen=True)
class Delivery:
    """One delivery, claimed by the caller.

    Attributes:
        id: its number, never used again.
        instance_uid, digest: of the instance as received.
        rendition: what to send; before preparation, what was received.
    """

    id: int
    instance: int
    instance_uid: str
    digest: str
    destination: str
    part: Part
    syntax: str
    attempts: int
    rendition: Rendition


@dataclass(frozen=True)
class Ended:
    """What a step left without use: files of instances (digests), prepared files (deliveries)."""

    digests: tuple[str, ...] = ()
    deliveries: tuple[int, ...] = ()

    def __add__(self, other: Ended) -> Ended:
        return Ended(self.digests + other.digests, self.deliveries + other.deliveries)
