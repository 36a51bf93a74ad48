"""Remainders: an image as what it has that its preview has not.

A transfer syntax of its own (``docs/gateway.md``): explicit VR little endian, of the image's SOP
class and instance, in which the data set has nothing but its UIDs and a private block that says
what makes it whole. Whoever accepts the syntax can do that.

::

    preview, as sent ─┐
                      ├─ make ─▶ remainder ──C-STORE──▶ whole_of ─▶ the image, as it was wrapped
    image, wrapped  ──┘                       preview, as received ──┘  (SHA-256 verified)
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from xraycodec.errors import CorruptError, CorruptImageError
from xraycodec.files.checks import damage_as_corrupt
from xraycodec.gateway import difference
from xraycodec.gateway.instance import (
    PRIVATE_CREATOR,
    PRIVATE_GROUP,
    data_set_of,
    digest_of,
    identify,
)

REMAINDER_UID = "2.25.2126503637827364458426712243396355466"
"""The transfer syntax: UUID 01998cb9-5ae6-47f2-9916-8ecc705b258a as PS3.5 B.2 writes it."""

# Elements of the private block.
_WHOLE = 0x04  # LO, SHA-256 of the image's transfer syntax and data set, hexadecimal
_BASE = 0x05  # LO, the same of the preview
_DIFFERENCE = 0x06  # OB


@dataclass(frozen=True)
class Remainder:
    """What was received in place of an image.

    Attributes:
        uid, sop_class: of the image.
        digest: of the image in the private syntax, as `digest_of` gives it.
        base_digest: of the preview that it needs.
        difference: of the two data sets.
    """

    uid: str
    sop_class: str
    digest: str
    base_digest: str
    difference: bytes

    def whole_of(self, base: bytes | memoryview, transfer_syntax: str, max_bytes: int) -> bytes:
        """The image's data set.

        Args:
            base: data set of the preview.
            transfer_syntax: of both, for the digest.
            max_bytes: largest data set to make.

        Raises:
            CorruptError: the remainder is damaged, or of another base.
            LimitError: more than ``max_bytes``.
        """
        whole = difference.add(self.difference, base, max_bytes)
        if (found := digest_of(whole, transfer_syntax)) != self.digest:
            raise CorruptError(
                f"base and remainder make SHA-256 {found}; the image has {self.digest}"
            )
        return whole


def make(whole: bytes, preview: bytes, transfer_syntax: str) -> bytes:
    """Make the remainder of an image; that both give the image again is checked.

    Args:
        whole: the image's file in the private syntax.
        preview: the file of its preview in the same.
        transfer_syntax: of both.

    Returns:
        A PS3.10 file.

    Raises:
        CorruptError: the two do not give the image.
        ImageError, FormatError: one of them cannot be parsed.
    """
    from pydicom.dataset import Dataset

    from xraycodec.files.dicom_writer import to_file

    image, base = bytes(data_set_of(whole)), bytes(data_set_of(preview))
    identity = identify(image, transfer_syntax)
    value = difference.subtract(image, base, _data_chunks(preview))
    dataset = Dataset()
    dataset.SOPClassUID = identity.sop_class
    dataset.SOPInstanceUID = identity.uid
    block = dataset.private_block(PRIVATE_GROUP, PRIVATE_CREATOR, create=True)
    block.add_new(_WHOLE, "LO", digest_of(image, transfer_syntax))
    block.add_new(_BASE, "LO", digest_of(base, transfer_syntax))
    block.add_new(_DIFFERENCE, "OB", value + b"\0" * (len(value) % 2))
    file = to_file(dataset, REMAINDER_UID)
    # Read as the receiver does: it must not be there that a fault of ours is found.
    read(data_set_of(file)).whole_of(base, transfer_syntax, len(image))
    return file


def read(data_set: bytes | memoryview) -> Remainder:
    """Read an encoded data set of the transfer syntax.

    Raises:
        CorruptImageError: it cannot be parsed, or is no remainder.
    """
    from pydicom.filereader import read_dataset

    with warnings.catch_warnings(), damage_as_corrupt("remainder"):
        warnings.simplefilter("ignore")
        dataset = read_dataset(io.BytesIO(data_set), False, True)
        block = dataset.private_block(PRIVATE_GROUP, PRIVATE_CREATOR)
        whole, base, value = (block[element].value for element in (_WHOLE, _BASE, _DIFFERENCE))
        identity = identify(data_set, REMAINDER_UID)
    for digest in (whole, base):
        if not isinstance(digest, str) or len(digest) != 64 or digest.strip("0123456789abcdef"):
            raise CorruptImageError("a digest of the remainder is malformed; allowed is a SHA-256")
    if not isinstance(value, bytes):
        raise CorruptImageError("the difference of a remainder is no OB")
    return Remainder(identity.uid, identity.sop_class, whole, base, value)


def _data_chunks(preview: bytes) -> Iterator[bytes]:
    """DATA chunks of the streams of a file, whole: those that the image's streams have, too."""
    from xraycodec.container import parse
    from xraycodec.gateway.layered import streams_of

    for stream in streams_of(preview):
        for chunk in parse(stream).chunks:
            if chunk.type == "DATA":
                yield stream[chunk.offset : chunk.end]
