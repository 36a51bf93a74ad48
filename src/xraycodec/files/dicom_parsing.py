"""DICOM data sets out of files: bounded, inflated, and their elements found.

Elements are counted before pydicom sees them; Pixel Data of native syntaxes is not copied.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
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
from xraycodec.files.dicom_elements import UNDEFINED_LENGTH, Element, Reader, name_of
from xraycodec.files.dicom_values import text_of, value_of
from xraycodec.image import PREAMBLE_BYTES
from xraycodec.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_FRONT_BYTES = 1 << 23  # of a deflated data set, which are looked at before the rest is inflated


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

    Returns:
        Elements that pydicom parses when their values are asked for.

    Raises:
        CorruptImageError: it ends inside an element, or has one twice with different values.
        LimitError: more elements, or deeper sequences, than ``limits`` allow.
    """
    if limits is not None:
        outline(data, limits, start=start, implicit=implicit, little=little)
    reader = Reader(data, little=little)
    if len(data) - start >= 8:  # writers mistake one for the other
        implicit = reader.looks_implicit(start)
    elements = _unique(reader.elements(start, implicit=implicit))
    dataset = data_set_of(elements, implicit=implicit, little=little, native=native)
    if len(data) > start and not dataset:
        raise CorruptImageError(f"no data set can be parsed from {len(data) - start} bytes")
    return dataset


def data_set_of(
    elements: Iterable[Element], *, implicit: bool = False, little: bool = True, native: bool = True
) -> Dataset:
    """Make a pydicom data set of elements, their values as they are; as `parse_data_set`."""
    from pydicom.dataelem import RawDataElement
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

    raw = {}
    for element in elements:
        view = native and element.tag == PIXEL_DATA and element.defined
        raw[BaseTag(element.tag)] = RawDataElement(
            BaseTag(element.tag),
            element.vr or None,
            len(element.value) if element.defined else UNDEFINED_LENGTH,
            element.value if view else bytes(element.value),
            element.start,
            not element.vr,
            little,
        )
    dataset = Dataset(raw)
    dataset.set_original_encoding(implicit, little, _character_sets(dataset))
    return dataset


def _unique(elements: Iterable[Element]) -> Iterator[Element]:
    """Elements, repetitions left out.

    Raises:
        CorruptImageError: one is there twice with different values, of which one would be lost.
    """
    known: dict[int, Element] = {}
    for element in elements:
        first = known.setdefault(element.tag, element)
        if first is element:
            yield element
        elif (first.vr, first.value) != (element.vr, element.value):
            raise CorruptImageError(
                f"element {name_of(element.tag)} is there twice, with different values at bytes"
                f" {first.start} and {element.start}"
            )


def _character_sets(dataset: Dataset) -> list[str]:
    """Python's names of the character sets, which pydicom needs for text."""
    from pydicom.charset import convert_encodings, default_encoding

    with suppress(Exception):  # pydicom raises many kinds on terms that are none
        named = value_of(dataset, "SpecificCharacterSet") or default_encoding
        return list(convert_encodings(named))
    return [default_encoding]


def parse_file(data: bytes, limits: Limits) -> ParsedFile:
    """Parse a file: with preamble and file meta information, or a bare data set.

    Raises:
        CorruptImageError: it ends inside an element, or does not inflate.
        LimitError: more elements, deeper sequences or, where it is deflated, more bytes than
            ``limits`` allow.
    """
    preamble = data[:PREAMBLE_BYTES] if data[PREAMBLE_BYTES:132] == b"DICM" else None
    meta, start = read_file_meta(data, limits)
    transfer_syntax = "" if meta is None else text_of(meta, "TransferSyntaxUID")
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
        CorruptImageError: it ends inside an element, or has one twice with different values.
        LimitError: more elements, or deeper sequences, than ``limits`` allow.
    """
    start = 132 if data[PREAMBLE_BYTES:132] == b"DICM" else 0
    if data[start : start + 2] != b"\x02\x00":
        return None, start
    outline(data, limits, start=start, group=2)
    # The group's own length is wrong too often to be used.
    found = list(_unique(Reader(data).elements(start, group=2)))
    return data_set_of(found), found[-1].after


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
        syntax = "" if meta is None else text_of(meta, "TransferSyntaxUID")
        syntax = syntax or _guess_transfer_syntax(head[start : start + 8])
        if syntax == dicom_frames.DEFLATED:
            return
        implicit = syntax in dicom_frames.IMPLICIT
        little = syntax != dicom_frames.EXPLICIT_BIG
        found = outline(head, limits, start=start, implicit=implicit, little=little)
        if (claim := claimed_pixels(head, found, "<" if little else ">")) is not None:
            frames, rows, columns = claim
            check_pixels(rows, columns, frames, limits, size_bytes)
