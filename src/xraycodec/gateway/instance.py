"""What the gateway reads of a data set: its identity, and no more than it needs."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from xraycodec.errors import CorruptImageError
from xraycodec.files.checks import damage_as_corrupt
from xraycodec.gateway.records import Received

PRIVATE_GROUP = 0x0009
PRIVATE_CREATOR = "XRAYCODEC GATEWAY"
# Elements of the private block, both UI: the image's SOP Instance UID, and the preview's own. An
# object that somebody derived from a preview, private elements and all, is none itself.
PREVIEW_OF = 0x01
PREVIEW_ITSELF = 0x02
# CS: what else the preview is good for.
PREVIEW_USE = 0x03
_BASE = "BASE"

_IMPLICIT_LITTLE = "1.2.840.10008.1.2"
_EXPLICIT_BIG = "1.2.840.10008.1.2.2"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_LAST_GROUP = PRIVATE_GROUP
_FRONT_BYTES = 1 << 22  # of a deflated data set, in which the first groups are looked for
_GROUP_LENGTH = b"\x02\0\0\0UL\x04\0"  # (0002,0000), the first element
_GROUP_LENGTH_ENDS = 132 + len(_GROUP_LENGTH) + 4


@dataclass(frozen=True)
class Identity:
    """The first groups of a data set.

    Attributes:
        preview_of: UID of the image that it is a preview of, or ``None``.
        is_base: whether that image may come as a remainder, which this one makes whole.
    """

    uid: str
    sop_class: str
    modality: str
    preview_of: str | None
    is_base: bool = False


def is_uid(value: str) -> bool:
    """Whether a value is a UID (PS3.5 9.1).

    Leading zeros in a component, which old devices write, pass; empty components do not.
    """
    return len(value) <= 64 and _UID.fullmatch(value) is not None


def identify(data_set: bytes | memoryview, transfer_syntax: str) -> Identity:
    """Read the identity of an encoded data set; nothing behind group 0009 is looked at.

    Raises:
        CorruptImageError: it cannot be parsed.
    """
    from pydicom.filereader import read_dataset

    with warnings.catch_warnings(), damage_as_corrupt("DICOM data set"):
        warnings.simplefilter("ignore")
        if transfer_syntax == _DEFLATED:
            data_set = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data_set, _FRONT_BYTES)
        dataset = read_dataset(
            io.BytesIO(data_set),
            transfer_syntax == _IMPLICIT_LITTLE,
            transfer_syntax != _EXPLICIT_BIG,
            stop_when=lambda tag, _vr, _length: tag >> 16 > _LAST_GROUP,
        )
        preview_of = _preview_of(dataset)
        return Identity(
            uid=_text(dataset, "SOPInstanceUID"),
            sop_class=_text(dataset, "SOPClassUID"),
            modality=_text(dataset, "Modality"),
            preview_of=preview_of,
            is_base=preview_of is not None and _private_text(dataset, PREVIEW_USE) == _BASE,
        )


def digest_of(data_set: bytes | memoryview, transfer_syntax: str) -> str:
    """SHA-256 of transfer syntax and data set, hexadecimal: what an instance is known by."""
    digest = hashlib.sha256(transfer_syntax.encode() + b"\0")
    digest.update(data_set)
    return digest.hexdigest()


def data_set_of(file: bytes) -> memoryview:
    """The encoded data set of a PS3.10 file, as it goes over the wire.

    Raises:
        CorruptImageError: file meta information does not begin with its length.
    """
    front = file[:_GROUP_LENGTH_ENDS]
    if front[128:132] != b"DICM" or front[132:-4] != _GROUP_LENGTH:
        raise CorruptImageError("no PS3.10 file, or one without the length of its group 0002")
    end = _GROUP_LENGTH_ENDS + int.from_bytes(front[-4:], "little")
    if end > len(file):
        raise CorruptImageError(f"group 0002 ends at byte {end}; the file at {len(file)}")
    return memoryview(file)[end:]


def describe_received(
    identity: Identity, data_set: bytes | memoryview, transfer_syntax: str
) -> Received:
    """Make the ledger's entry: the identity, and the hash of transfer syntax and data set."""
    return Received(
        uid=identity.uid,
        digest=digest_of(data_set, transfer_syntax),
        sop_class=identity.sop_class,
        transfer_syntax=transfer_syntax,
        size_bytes=len(data_set),
        preview_of=identity.preview_of,
    )


def file_pieces(
    received: Received, data_set: bytes | memoryview, sender: str
) -> Iterator[bytes | memoryview]:
    """The PS3.10 file of a data set, which is in it byte for byte."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.filewriter import write_file_meta_info
    from pydicom.uid import UID

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(received.sop_class)
    meta.MediaStorageSOPInstanceUID = UID(received.uid)
    meta.TransferSyntaxUID = UID(received.transfer_syntax)
    meta.SourceApplicationEntityTitle = sender
    stream = io.BytesIO()
    write_file_meta_info(stream, meta, enforce_standard=True)
    yield b"\0" * 128 + b"DICM"
    yield stream.getvalue()
    yield data_set


def mark_preview(dataset: Any, image_uid: str, *, is_base: bool = False) -> None:
    """Say in a private block of a pydicom data set that it is a preview, and of what.

    The data set has its own SOP Instance UID already.
    """
    block = dataset.private_block(PRIVATE_GROUP, PRIVATE_CREATOR, create=True)
    block.add_new(PREVIEW_OF, "UI", image_uid)
    block.add_new(PREVIEW_ITSELF, "UI", dataset.SOPInstanceUID)
    if is_base:
        block.add_new(PREVIEW_USE, "CS", _BASE)


def _private_text(dataset: Any, element: int) -> str | None:
    try:
        value = dataset.private_block(PRIVATE_GROUP, PRIVATE_CREATOR)[element].value
    except KeyError:
        return None
    # Implicit VR has no VR of private elements.
    return (value.decode("ascii") if isinstance(value, bytes) else str(value)).strip("\0 ")


def _preview_of(dataset: Any) -> str | None:
    image, itself = (_private_text(dataset, each) for each in (PREVIEW_OF, PREVIEW_ITSELF))
    if image is None or itself is None:
        return None
    if itself != _text(dataset, "SOPInstanceUID") or image == itself:
        return None
    return _checked_uid(image, "the image of the preview")


def _text(dataset: Any, keyword: str) -> str:
    value = str(dataset.get(keyword, "") or "").strip("\0 ")
    if keyword.endswith("UID"):
        return _checked_uid(value, keyword)
    return value


def _checked_uid(value: str, name: str) -> str:
    if not is_uid(value):
        raise CorruptImageError(
            f"{name} has {len(value)} characters and is no UID; allowed are 1 to 64 characters,"
            " numbers with one dot between two of them"
        )
    return value
