"""DICOM files in: PS3.10 files and bare data sets to an XRay.

pydicom parses; this module checks what it finds against what an XRay can be. Nothing that
pydicom warns about or raises gets out: damage is a CorruptImageError.
"""

from __future__ import annotations

import io
import warnings
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xraycodec.errors import CorruptImageError, LimitError, UnsupportedImageError
from xraycodec.files import dicom_frames
from xraycodec.files.checks import check_pixels, damage_as_corrupt
from xraycodec.files.dicom_cells import (
    PixelLayout,
    native_cells,
    native_tail,
    spare_bits,
    stored_values,
)
from xraycodec.files.dicom_explicit import as_bytes, swap_units
from xraycodec.files.dicom_fragments import holds_frames, read_data_set
from xraycodec.files.dicom_lossy import is_marked, tell_loss
from xraycodec.image import PREAMBLE_BYTES, DicomFile, PhotometricInterpretation, XRay

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

PIXEL_TAGS = frozenset((0x7FE00001, 0x7FE00002, 0x7FE00003, 0x7FE00010))
"""Pixel Data, and what tells of its encapsulated form (PS3.3 C.7.6.3)."""

_UNDEFINED_LENGTH = 0xFFFFFFFF
_METADATA_BYTES = 2**26  # what a deflated data set may hold beside its pixels


@dataclass(frozen=True)
class _Parsed:
    """A data set as it lay in the file, and what lay before it."""

    dataset: Dataset
    transfer_syntax: str
    preamble: bytes | None
    meta: Dataset | None


def decode(data: bytes, max_pixels: int) -> XRay:
    """Decode a grayscale DICOM object, native or compressed.

    Values are stored values: no modality or VOI look-up table is applied. Bits of a cell that
    are not Bits Stored (embedded overlays, junk) become the image's spare bits. One frame gives
    ``(row, column)``, several ``(frame, row, column)``. Where codestreams say that they lost
    something, and the data set does not, the image's data set says so as well.

    Raises:
        UnsupportedImageError: no pixel data, colour, floats, 1, 32 or 64 bits allocated, an
            unknown transfer syntax.
        CorruptImageError: elements missing or contradictory, pixel data damaged.
        LimitError: more pixels than ``max_pixels``, or a deflated data set beyond reason.
        FormatError, ModelError: frames of the private transfer syntax, as `xraycodec.decompress`.
    """
    with warnings.catch_warnings(), damage_as_corrupt("DICOM"):
        warnings.simplefilter("ignore")
        parsed = _parse(data, max_pixels)
        dataset = parsed.dataset
        check_kind(dataset)
        layout = layout_of(dataset)
        if dataset.get("NumberOfFrames") == 0:
            dataset.NumberOfFrames = layout.frames
        check_pixels(layout.rows, layout.columns, layout.frames, max_pixels)
        cells = _cells(parsed, layout)
        pixels = stored_values(cells, layout)
        _tell_loss(parsed, layout)
        photometric: PhotometricInterpretation = dataset.PhotometricInterpretation.strip()
        file = _file_of(parsed, layout)
        return XRay(
            pixels[0] if layout.frames == 1 else pixels,
            layout.bits_stored,
            photometric,
            dicom=_without_pixels(parsed),
            dicom_file=file,
            spare_bits=spare_bits(cells, layout),
        )


def parse_data_set(data: bytes, *, implicit: bool = False, little: bool = True) -> Dataset:
    """Parse a data set without preamble or file meta information.

    Raises:
        CorruptImageError: it ends inside an element.
    """
    dataset = read_data_set(data, implicit=implicit, little=little)
    # pydicom gives an empty data set where the last element is cut short.
    if data and not dataset:
        raise CorruptImageError(f"no data set can be parsed from {len(data)} bytes")
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


def _parse(data: bytes, max_pixels: int) -> _Parsed:
    from pydicom.filereader import read_dataset

    stream = io.BytesIO(data)
    preamble = data[:PREAMBLE_BYTES] if data[PREAMBLE_BYTES:132] == b"DICM" else None
    stream.seek(0 if preamble is None else 132)
    transfer_syntax, meta = "", None
    if data[stream.tell() : stream.tell() + 2] == b"\x02\x00":
        # The group's own length is wrong too often to be used.
        meta = read_dataset(stream, False, True, stop_when=lambda tag, _vr, _length: tag >> 16 != 2)
        transfer_syntax = str(meta.get("TransferSyntaxUID", "") or "").strip()
    body = data[stream.tell() :]
    if not transfer_syntax:
        transfer_syntax = _guess_transfer_syntax(body)
    dicom_frames.check_transfer_syntax(transfer_syntax)
    if transfer_syntax == dicom_frames.DEFLATED:
        body = _inflate(body, 2 * max_pixels + _METADATA_BYTES)
    implicit = transfer_syntax in (dicom_frames.IMPLICIT_LITTLE, dicom_frames.GE_BIG_PIXELS)
    if transfer_syntax == dicom_frames.GE_BIG_PIXELS and _begins_explicit(body):
        # Of such files nobody knows whether the pixels were swapped.
        raise UnsupportedImageError(
            f"transfer syntax {transfer_syntax} is not supported with explicit VR"
        )
    dataset = parse_data_set(
        body,
        implicit=implicit,
        little=transfer_syntax != dicom_frames.EXPLICIT_BIG,
    )
    return _Parsed(dataset, transfer_syntax, preamble, meta)


def _guess_transfer_syntax(body: bytes) -> str:
    """For files that do not say: native, explicit if a value representation is in its place."""
    if not _begins_explicit(body):
        return dicom_frames.IMPLICIT_LITTLE
    # The first group is a small number in either byte order.
    little = body[1] == 0
    return dicom_frames.EXPLICIT_LITTLE if little else dicom_frames.EXPLICIT_BIG


def _begins_explicit(body: bytes) -> bool:
    return body[4:6].isalpha() and body[4:6].isupper()


def _inflate(body: bytes, limit_bytes: int) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(body, limit_bytes + 1)
    if len(inflated) > limit_bytes:
        raise LimitError(f"the deflated data set exceeds the limit of {limit_bytes} bytes")
    if not inflater.eof:
        raise CorruptImageError("the deflated data set ends before its last block")
    return inflated


def check_kind(dataset: Dataset) -> None:
    """Check that a data set is of a grayscale integer image.

    Raises:
        UnsupportedImageError: it is not.
        CorruptImageError: it does not say, or it or its Pixel Data is empty.
    """
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        raise UnsupportedImageError("the object holds Float Pixel Data; allowed are integers")
    if "PixelData" not in dataset:
        if not dataset:
            raise CorruptImageError("the data set is empty")
        raise UnsupportedImageError("the object holds no Pixel Data")
    if not dataset["PixelData"].value:
        raise CorruptImageError("Pixel Data is empty")
    samples = _integer(dataset, "SamplesPerPixel", default=1)
    photometric = str(dataset.get("PhotometricInterpretation", "") or "").strip()
    if not photometric:
        raise CorruptImageError("Photometric Interpretation is missing")
    if samples != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise UnsupportedImageError(
            f"Photometric Interpretation is {photometric}, Samples per Pixel {samples}; allowed"
            " are MONOCHROME1 and MONOCHROME2 with 1"
        )


def layout_of(dataset: Dataset) -> PixelLayout:
    """Read the Image Pixel module, sizes but for their being too large.

    Raises:
        UnsupportedImageError: other bits allocated than 8 and 16.
        CorruptImageError: attributes missing or contradictory.
    """
    allocated = _integer(dataset, "BitsAllocated")
    if allocated not in (8, 16):
        raise UnsupportedImageError(f"Bits Allocated is {allocated}; allowed are 8 and 16")
    stored = _integer(dataset, "BitsStored")
    if not 1 <= stored <= allocated:
        raise CorruptImageError(f"Bits Stored is {stored}; allowed are 1 to {allocated}")
    high_bit = _integer(dataset, "HighBit", default=stored - 1)
    if not stored - 1 <= high_bit < allocated:
        raise CorruptImageError(
            f"High Bit is {high_bit}; allowed are {stored - 1} to {allocated - 1} for {stored}"
            f" bits stored in {allocated}"
        )
    representation = _integer(dataset, "PixelRepresentation", default=0)
    if representation not in (0, 1):
        raise CorruptImageError(f"Pixel Representation is {representation}; allowed are 0 and 1")
    return PixelLayout(
        # 0 is not allowed, but common where there is one frame (PS3.3 C.7.6.6).
        frames=_integer(dataset, "NumberOfFrames", default=1) or 1,
        rows=_integer(dataset, "Rows"),
        columns=_integer(dataset, "Columns"),
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high_bit,
        signed=representation == 1,
    )


def _integer(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    try:
        value = dataset.get(keyword)
    except Exception as error:  # pydicom raises many kinds on bytes that do not fit the VR
        raise CorruptImageError(f"{keyword} cannot be read") from error
    if value is None or value == "":
        if default is None:
            raise CorruptImageError(f"{keyword} is missing")
        return default
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise CorruptImageError(f"{keyword} is {value!r}; allowed is one integer") from error


def _cells(parsed: _Parsed, layout: PixelLayout) -> np.ndarray[Any, Any]:
    element = parsed.dataset["PixelData"]
    if not element.value:
        raise CorruptImageError("Pixel Data is empty")
    native = parsed.transfer_syntax in dicom_frames.NATIVE
    if native and element.is_undefined_length:
        raise CorruptImageError(
            f"Pixel Data is encapsulated, which contradicts transfer syntax"
            f" {parsed.transfer_syntax}"
        )
    if native:
        big_endian = parsed.transfer_syntax in dicom_frames.BIG_ENDIAN_PIXELS
        return native_cells(element.value, layout, big_endian=big_endian, words=element.VR == "OW")
    if not element.is_undefined_length and not holds_frames(element.value):
        raise CorruptImageError(
            f"Pixel Data is native, which contradicts transfer syntax {parsed.transfer_syntax}"
        )
    extended = _extended_offsets(parsed.dataset)
    return dicom_frames.encapsulated_cells(element.value, layout, parsed.transfer_syntax, extended)


def _extended_offsets(dataset: Dataset) -> tuple[bytes, bytes] | None:
    offsets = dataset.get("ExtendedOffsetTable")
    lengths = dataset.get("ExtendedOffsetTableLengths")
    return (offsets, lengths) if offsets and lengths else None


def _tell_loss(parsed: _Parsed, layout: PixelLayout) -> None:
    """Have the data set say of lossy codestreams what their writer left out."""
    dataset, syntax = parsed.dataset, parsed.transfer_syntax
    if syntax in dicom_frames.NATIVE or is_marked(dataset):
        return
    value, extended = dataset["PixelData"].value, _extended_offsets(dataset)
    if (loss := dicom_frames.loss_of(value, layout, syntax, extended)) is not None:
        tell_loss(dataset, loss)


def _file_of(parsed: _Parsed, layout: PixelLayout) -> DicomFile:
    """What the file had beside the data set without its pixels."""
    meta = b"" if parsed.meta is None else as_bytes(parsed.meta, leave_out=_is_group_length)
    element = parsed.dataset["PixelData"]
    if parsed.transfer_syntax not in dicom_frames.NATIVE:
        return DicomFile(meta, parsed.preamble)
    words = element.VR == "OW"
    big_endian = parsed.transfer_syntax in dicom_frames.BIG_ENDIAN_PIXELS
    tail = native_tail(element.value, layout, big_endian=big_endian, words=words)
    return DicomFile(meta, parsed.preamble, "OW" if words else "OB", tail)


def _is_group_length(tag: BaseTag) -> bool:
    return bool(tag.element == 0)


def _without_pixels(parsed: _Parsed) -> bytes:
    """The data set without pixel data, as explicit VR little endian."""
    dataset = parsed.dataset
    if parsed.transfer_syntax == dicom_frames.EXPLICIT_BIG:
        dataset.walk(swap_units)
    return as_bytes(
        dataset, leave_out=lambda tag: tag.group in (0x0000, 0x0002) or tag in PIXEL_TAGS
    )
