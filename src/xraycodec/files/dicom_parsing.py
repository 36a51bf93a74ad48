"""DICOM data sets out of files: bounded, inflated, parsed by pydicom, and checked for cuts.

Elements are counted before pydicom sees them; Pixel Data of native syntaxes is not copied.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xraycodec.dicom_outline import (
    COLUMNS,
    NUMBER_OF_FRAMES,
    PIXEL_DATA,
    ROWS,
    Outline,
    outline,
)
from xraycodec.errors import CorruptImageError, ImageError, LimitError, UnsupportedImageError
from xraycodec.files import dicom_frames
from xraycodec.files.checks import check_pixels, damage_as_corrupt
from xraycodec.files.dicom_fragments import read_data_set
from xraycodec.image import PREAMBLE_BYTES
from xraycodec.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_UNDEFINED_LENGTH = 0xFFFFFFFF
_FRONT_BYTES = 1 << 23  # of a deflated data set, which are looked at before the rest is inflated
_DEFERRED = 1 << 16  # bytes from which a value is taken from the file, not read by the parser


@dataclass(frozen=True)
class ParsedFile:
    """A data set as it lay in the file, and what lay before it."""

    dataset: Dataset
    transfer_syntax: str
    preamble: bytes | None
    meta: Dataset | None


def parse_data_set(
    data: bytes,
    *,
    start: int = 0,
    implicit: bool = False,
    little: bool = True,
    native: bool = False,
    limits: Limits | None = None,
) -> Dataset:
    """Parse a data set without preamble or file meta information.

    Args:
        data: holds it, from ``start`` to its end.
        start: byte at which it begins.
        implicit: whether it is implicit VR.
        little: whether it is little endian.
        native: give Pixel Data as a view of ``data``, not as a copy.
        limits: for data that are not trusted: of elements and of sequences in each other.

    Raises:
        CorruptImageError: it ends inside an element.
        LimitError: more elements, or deeper sequences, than ``limits`` allow.
    """
    if limits is not None:
        outline(data, limits, start=start, implicit=implicit, little=little)
    dataset = read_data_set(
        data,
        start=start,
        implicit=implicit,
        little=little,
        defer_bytes=_DEFERRED if native else None,
    )
    if native and not _fill_deferred(dataset, data):
        return parse_data_set(data, start=start, implicit=implicit, little=little)
    # pydicom gives an empty data set where the last element is cut short.
    if len(data) > start and not dataset:
        raise CorruptImageError(f"no data set can be parsed from {len(data) - start} bytes")
    end = len(data)
    for tag in dataset.keys():  # noqa: SIM118 - the data set itself iterates over values
        element = dataset.get_item(tag)
        end = len(data)
        if element.is_raw and element.length != _UNDEFINED_LENGTH:
            end = element.value_tell + element.length
            if end > len(data):
                raise CorruptImageError(
                    f"element {tag} claims {element.length} bytes; {len(data) - element.value_tell}"
                    " are left"
                )
    # pydicom takes the beginning of an element's header for the end of the file.
    if 0 < len(data) - end < 8 and data[end:].strip(b"\0"):
        raise CorruptImageError(f"the last {len(data) - end} bytes are no whole element")
    return dataset


def _fill_deferred(dataset: Dataset, data: bytes) -> bool:
    """Give elements that were deferred their values, and say whether that is possible."""
    for tag in list(dataset.keys()):
        element = dataset.get_item(tag, keep_deferred=True)
        if not element.is_raw or element.value is not None or not element.length:
            continue
        if element.length == _UNDEFINED_LENGTH:
            return False
        place = slice(element.value_tell, element.value_tell + element.length)
        value = memoryview(data)[place] if tag == PIXEL_DATA else data[place]
        dataset[tag] = element._replace(value=value)
    return True


def parse_file(data: bytes, limits: Limits) -> ParsedFile:
    """Parse a file: with preamble and file meta information, or a bare data set.

    Raises:
        CorruptImageError: it ends inside an element, or does not inflate.
        LimitError: more elements, deeper sequences or, where it is deflated, more bytes than
            ``limits`` allow.
    """
    preamble = data[:PREAMBLE_BYTES] if data[PREAMBLE_BYTES:132] == b"DICM" else None
    meta, start = read_file_meta(data, limits)
    transfer_syntax = "" if meta is None else str(meta.get("TransferSyntaxUID", "") or "").strip()
    if not transfer_syntax:
        transfer_syntax = _guess_transfer_syntax(data[start : start + 8])
    dicom_frames.check_transfer_syntax(transfer_syntax)
    if transfer_syntax == dicom_frames.DEFLATED:
        data, start = _inflate(data, start, limits), 0
    if transfer_syntax == dicom_frames.GE_BIG_PIXELS and _begins_explicit(data[start : start + 8]):
        # Of such files nobody knows whether the pixels were swapped.
        raise UnsupportedImageError(
            f"transfer syntax {transfer_syntax} is not supported with explicit VR"
        )
    dataset = parse_data_set(
        data,
        start=start,
        implicit=transfer_syntax in dicom_frames.IMPLICIT,
        little=transfer_syntax != dicom_frames.EXPLICIT_BIG,
        native=transfer_syntax in dicom_frames.NATIVE,
        limits=limits,
    )
    return ParsedFile(dataset, transfer_syntax, preamble, meta)


def read_file_meta(data: bytes, limits: Limits = DEFAULT_LIMITS) -> tuple[Dataset | None, int]:
    """File meta information, ``None`` where there is none, and the byte at which it ends.

    Raises:
        LimitError: more elements, or deeper sequences, than ``limits`` allow.
    """
    from pydicom.filereader import read_dataset

    start = 132 if data[PREAMBLE_BYTES:132] == b"DICM" else 0
    if data[start : start + 2] != b"\x02\x00":
        return None, start
    outline(data, limits, start=start, group=2)
    stream = io.BytesIO(data)
    stream.seek(start)
    # The group's own length is wrong too often to be used.
    meta = read_dataset(stream, False, True, stop_when=lambda tag, _vr, _length: tag >> 16 != 2)
    return meta, stream.tell()


def _guess_transfer_syntax(body: bytes) -> str:
    """For files that do not say: native, explicit if a value representation is in its place."""
    if not _begins_explicit(body):
        return dicom_frames.IMPLICIT_LITTLE
    # The first group is a small number in either byte order.
    little = body[1] == 0
    return dicom_frames.EXPLICIT_LITTLE if little else dicom_frames.EXPLICIT_BIG


def _begins_explicit(body: bytes) -> bool:
    return body[4:6].isalpha() and body[4:6].isupper()


def _inflate(data: bytes, start: int, limits: Limits) -> bytes:
    """Inflate a data set: what may come without pixels, then as much as its header asks for."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    most = min(_FRONT_BYTES, limits.max_metadata_bytes)
    inflated = inflater.decompress(memoryview(data)[start:], most)
    if not inflater.eof and inflater.unconsumed_tail:
        most = _most_bytes(inflated, limits, len(data))
        inflated += inflater.decompress(inflater.unconsumed_tail, most + 1 - len(inflated))
        if len(inflated) > most:
            raise LimitError(
                f"the deflated data set has more than the {most} bytes that its image size and"
                f" {limits.max_metadata_bytes} bytes of other elements take (max_metadata_bytes)"
            )
    if not inflater.eof:
        raise CorruptImageError("the deflated data set ends before its last block")
    return inflated


def _most_bytes(front: bytes, limits: Limits, size_bytes: int) -> int:
    """How long a data set may be that begins with ``front``, in a file of ``size_bytes``."""
    found = outline(front, limits)
    claim = claimed_pixels(front, found)
    if claim is None:
        return limits.max_metadata_bytes
    frames, rows, columns = claim
    check_pixels(rows, columns, frames, limits, size_bytes)
    cells = 2 * frames * rows * columns
    if (pixels := found.places.get(PIXEL_DATA)) is not None:
        return pixels.start + cells + _FRONT_BYTES
    return cells + limits.max_metadata_bytes


def claimed_pixels(data: bytes, found: Outline, order: str = "<") -> tuple[int, int, int] | None:
    """Frames, rows and columns that the elements at the top level give; ``None`` without them."""
    sizes = []
    for tag in (ROWS, COLUMNS):
        place = found.places.get(tag)
        if place is None or place.end - place.start < 2:
            return None
        sizes.append(struct.unpack_from(order + "H", data, place.start)[0])
    frames = b"1"
    if (place := found.places.get(NUMBER_OF_FRAMES)) is not None:
        frames = data[place.start : min(place.end, place.start + 16)].strip(b" \0")
    return (int(frames) if frames.isdigit() else 1, *sizes)


def check_head(head: bytes, size_bytes: int | None, limits: Limits) -> None:
    """Refuse a file by its first bytes, as far as these tell: before the rest is read.

    Args:
        head: of the file.
        size_bytes: of the whole file, ``None`` if that is not known.
        limits: of pixels, elements and sequences in each other.

    Raises:
        LimitError: the file will be refused.
    """
    with suppress(ImageError), warnings.catch_warnings(), damage_as_corrupt("DICOM"):
        warnings.simplefilter("ignore")
        meta, start = read_file_meta(head, limits)
        syntax = "" if meta is None else str(meta.get("TransferSyntaxUID", "") or "").strip()
        syntax = syntax or _guess_transfer_syntax(head[start : start + 8])
        if syntax == dicom_frames.DEFLATED:
            return
        implicit = syntax in dicom_frames.IMPLICIT
        little = syntax != dicom_frames.EXPLICIT_BIG
        found = outline(head, limits, start=start, implicit=implicit, little=little)
        if (claim := claimed_pixels(head, found, "<" if little else ">")) is not None:
            frames, rows, columns = claim
            check_pixels(rows, columns, frames, limits, size_bytes)
