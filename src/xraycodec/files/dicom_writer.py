"""DICOM files out: an XRay as a PS3.10 file, native explicit VR little endian.

A radiograph that came from DICOM keeps its data set and its SOP Instance UID, because the
pixels are the same; only the Image Pixel module follows the XRay. Any other becomes a
new Secondary Capture object.
"""

from __future__ import annotations

import warnings
import zlib
from contextlib import suppress
from copy import copy
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from xraycodec.errors import CorruptImageError, ImageError, OptionError
from xraycodec.files.checks import damage_as_corrupt
from xraycodec.files.dicom import PIXEL_TAGS, layout_of
from xraycodec.files.dicom_cells import PixelLayout, raster_of
from xraycodec.files.dicom_explicit import as_bytes, encode_elements
from xraycodec.files.dicom_frames import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    NATIVE,
)
from xraycodec.files.dicom_lossy import UidPolicy, mark_losses, renew_instance
from xraycodec.files.dicom_parsing import parse_data_set
from xraycodec.files.dicom_secondary_capture import SECONDARY_CAPTURE, new_secondary_capture
from xraycodec.files.dicom_values import set_value, text_of
from xraycodec.image import PREAMBLE_BYTES, DicomFile, Loss, XRay

if TYPE_CHECKING:
    from pydicom.dataset import Dataset, FileMetaDataset

IMPLEMENTATION_CLASS_UID = "2.25.325352466372146267672577767031191629388"
"""Of this project, derived from a UUID (PS3.5 B.2)."""
IMPLEMENTATION_VERSION_NAME = f"XRAYCODEC_{version('xraycodec')}"[:16]

_MAX_SIDE = 65535  # Rows and Columns are unsigned shorts


def encode(image: XRay) -> bytes:
    """Encode as a DICOM file.

    Raises:
        OptionError: sizes beyond DICOM's fields.
        CorruptImageError: the XRay's own data set cannot be parsed or written.
    """
    return to_file(to_data_set(image))


def check_restorable(dicom: bytes, file: DicomFile | None, losses: tuple[Loss, ...]) -> None:
    """Check that the DICOM file of an image can be written, by writing it with a single pixel.

    Args:
        dicom: the image's data set.
        file: how a file held it.
        losses: steps of lossy compression that the file has to tell of.

    Raises:
        CorruptImageError: it cannot.
    """
    pixel = np.zeros((1, 1), np.uint8)
    encode(XRay(pixel, 8, dicom=dicom, dicom_file=file, losses=losses))


def to_data_set(image: XRay, *, uid_policy: UidPolicy = "standard") -> Dataset:
    """Make the DICOM object of a radiograph, its pixels native.

    Args:
        image: where its losses are not empty, the object is marked as lossy: see
            :func:`~xraycodec.files.dicom_lossy.mark_lossy`.
        uid_policy: which SOP Instance UID the object has.

    Returns:
        A new data set as explicit VR little endian has it: the image's own, or a new Secondary
        Capture; Image Pixel module and Pixel Data as the pixels are. ``file_meta`` is set, with
        class and instance; so is ``preamble``, if the image's file had one.

    Raises:
        OptionError: sizes beyond DICOM's fields.
        CorruptImageError: the XRay's own data set cannot be parsed.
    """
    frames, rows, columns = image.frames.shape
    if max(rows, columns) > _MAX_SIDE or image.pixels.nbytes > 0xFFFFFFFE:
        raise OptionError(
            f"DICOM cannot hold {frames} frame(s) of {rows} rows x {columns} columns natively;"
            f" allowed are sides up to {_MAX_SIDE} and {0xFFFFFFFE} bytes"
        )
    with warnings.catch_warnings(), damage_as_corrupt("DICOM data set"):
        warnings.simplefilter("ignore")
        dataset = (
            new_secondary_capture(image) if image.dicom is None else parse_data_set(image.dicom)
        )
        dataset.file_meta = _file_meta(image)
        if image.dicom_file is not None and image.dicom_file.preamble is not None:
            dataset.preamble = image.dicom_file.preamble
        _set_pixels(dataset, image)
        _add_identity(dataset, image)
        if image.losses:
            ends = int(image.pixels.min()), int(image.pixels.max())
            mark_losses(dataset, image.losses, uid_policy, ends)
        elif uid_policy == "new":
            renew_instance(dataset)
        _follow(dataset.file_meta, dataset)
        return dataset


def to_file(dataset: Dataset, transfer_syntax: str = EXPLICIT_LITTLE) -> bytes:
    """Write a data set as a PS3.10 file.

    Args:
        dataset: with SOP Class and Instance UID, there or in its ``file_meta``, of which all but
            what has to follow the data set and this writer is kept, as is its ``preamble``; Pixel
            Data as ``transfer_syntax`` has it, that is encapsulated (PS3.5 A.4) for any but the
            native ones. It is left as it is.
        transfer_syntax: its UID, a private one too; not Explicit VR Big Endian.

    Raises:
        OptionError: Explicit VR Big Endian.
        CorruptImageError: an element cannot be written.
    """
    if transfer_syntax == EXPLICIT_BIG:
        raise OptionError("Explicit VR Big Endian is retired and is not written")
    with warnings.catch_warnings(), damage_as_corrupt("DICOM data set"):
        warnings.simplefilter("ignore")
        preamble = getattr(dataset, "preamble", None) or bytes(PREAMBLE_BYTES)
        meta = _encoded_meta(dataset, transfer_syntax)
        encoded = encode_elements(
            _with_pixels_for(dataset, transfer_syntax), implicit=transfer_syntax == IMPLICIT_LITTLE
        )
        parts = [part for pieces in encoded.values() for part in pieces]
        if transfer_syntax == DEFLATED:
            deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
            parts = [*map(deflater.compress, parts), deflater.flush()]
            parts.append(b"\0" * (sum(map(len, parts)) % 2))
        return b"".join((preamble, b"DICM", meta, *parts))


def _encoded_meta(dataset: Dataset, transfer_syntax: str) -> bytes:
    """File meta information of a file (PS3.10 7.1), whose transfer syntax and writer are new."""
    from pydicom.dataset import FileMetaDataset

    known = getattr(dataset, "file_meta", None) or FileMetaDataset()
    meta = FileMetaDataset({tag: known.get_item(tag) for tag in known.keys()})  # noqa: SIM118
    _follow(meta, dataset)
    set_value(meta, "TransferSyntaxUID", transfer_syntax)
    set_value(meta, "FileMetaInformationVersion", b"\0\1")
    set_value(meta, "ImplementationClassUID", IMPLEMENTATION_CLASS_UID)
    set_value(meta, "ImplementationVersionName", IMPLEMENTATION_VERSION_NAME)
    encoded = as_bytes(meta)
    return b"\x02\0\0\0UL\x04\0" + len(encoded).to_bytes(4, "little") + encoded


def _with_pixels_for(dataset: Dataset, transfer_syntax: str) -> Dataset:
    """A data set of the same elements, Pixel Data of defined length or not as the syntax has it."""
    from pydicom.dataset import Dataset

    elements = {tag: dataset.get_item(tag) for tag in dataset.keys()}  # noqa: SIM118
    for tag in elements:
        if tag.group in (0x0000, 0x0002):
            raise CorruptImageError(f"{tag} cannot be in a data set")
    written = Dataset(elements)
    written.set_original_encoding(*dataset.original_encoding, dataset.original_character_set)
    if "PixelData" in written:
        pixels = copy(written["PixelData"])
        pixels.is_undefined_length = transfer_syntax not in NATIVE
        written["PixelData"] = pixels
    return written


def _file_meta(image: XRay) -> FileMetaDataset:
    from pydicom.dataset import FileMetaDataset

    if image.dicom_file is None or not image.dicom_file.meta:
        return FileMetaDataset()
    return FileMetaDataset(parse_data_set(image.dicom_file.meta))


def _set_pixels(dataset: Dataset, image: XRay) -> None:
    """Make the Image Pixel module say what the XRay is; what says so already stays as it is."""
    for tag in PIXEL_TAGS & dataset.keys():
        del dataset[tag]
    layout, known = _layout_for(dataset, image)
    facts = {
        "SamplesPerPixel": 1,
        "Rows": layout.rows,
        "Columns": layout.columns,
        "BitsAllocated": layout.bits_allocated,
        "BitsStored": layout.bits_stored,
        "HighBit": layout.high_bit,
        "PixelRepresentation": int(layout.signed),
        "NumberOfFrames": layout.frames,
    }
    if not known:
        if layout.frames == 1 and "NumberOfFrames" not in dataset:
            del facts["NumberOfFrames"]
        for keyword, value in facts.items():
            set_value(dataset, keyword, value)
    if text_of(dataset, "PhotometricInterpretation") != image.photometric_interpretation:
        set_value(dataset, "PhotometricInterpretation", image.photometric_interpretation)
    # Spare bits mean something in the cells of their own data set alone.
    spare = image.spare_bits if known else None
    vr = "OB" if layout.bits_allocated == 8 else "OW"
    tail = b"\0" * (image.pixels.size * layout.cell.itemsize % 2)
    if known and image.dicom_file is not None and image.dicom_file.pixel_vr is not None:
        vr, tail = image.dicom_file.pixel_vr, image.dicom_file.pixel_tail
    dataset.add_new("PixelData", vr, raster_of(image.frames, layout, spare, tail))


def layout_for(image: XRay) -> tuple[PixelLayout, bool]:
    """How the cells of an image lie in what `to_data_set` makes, and whether it keeps spare bits.

    Raises:
        CorruptImageError: the image's own data set cannot be parsed.
    """
    from pydicom.dataset import Dataset

    with warnings.catch_warnings(), damage_as_corrupt("DICOM data set"):
        warnings.simplefilter("ignore")
        dataset = Dataset() if image.dicom is None else parse_data_set(image.dicom)
        return _layout_for(dataset, image)


def _layout_for(dataset: Dataset, image: XRay) -> tuple[PixelLayout, bool]:
    """How the cells of an image are to lie, and whether the data set says so already."""
    frames, rows, columns = image.frames.shape
    if image.dicom is not None:
        with suppress(ImageError):
            known = layout_of(dataset)
            if (*known.shape, known.bits_stored, known.signed) == (
                *image.frames.shape,
                image.bits_stored,
                image.signed,
            ):
                return known, True
    allocated = 8 * image.pixels.dtype.itemsize
    return (
        PixelLayout(
            *(frames, rows, columns),
            bits_allocated=allocated,
            bits_stored=image.bits_stored,
            high_bit=image.bits_stored - 1,
            signed=image.signed,
        ),
        False,
    )


def _add_identity(dataset: Dataset, image: XRay) -> None:
    """Give an object without class or instance the ones that a file cannot be without.

    Where the source is a file, only the file meta information gets them: its data set is kept.
    """
    from pydicom.uid import generate_uid

    meta = dataset.file_meta
    if image.dicom_file is None:
        if not text_of(dataset, "SOPClassUID"):
            set_value(dataset, "SOPClassUID", SECONDARY_CAPTURE)
        if not text_of(dataset, "SOPInstanceUID"):
            set_value(dataset, "SOPInstanceUID", generate_uid(prefix=None))
    if not text_of(dataset, "SOPClassUID") and not text_of(meta, "MediaStorageSOPClassUID"):
        set_value(meta, "MediaStorageSOPClassUID", SECONDARY_CAPTURE)
    if not text_of(dataset, "SOPInstanceUID") and not text_of(meta, "MediaStorageSOPInstanceUID"):
        set_value(meta, "MediaStorageSOPInstanceUID", generate_uid(prefix=None))


def _follow(meta: FileMetaDataset, dataset: Dataset) -> None:
    """Make file meta information name the class and instance of its data set, if that has them.

    What is no valid UID goes there as well, as it is.
    """
    from pydicom.datadict import tag_for_keyword
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import BaseTag

    for keyword in ("SOPClassUID", "SOPInstanceUID"):
        uid, named = text_of(dataset, keyword), f"MediaStorage{keyword}"
        if uid and uid != text_of(meta, named):
            value = uid.encode("latin-1") + b"\0" * (len(uid) % 2)
            tag = tag_for_keyword(named)
            meta[tag] = RawDataElement(BaseTag(tag), "UI", len(value), value, 0, False, True)
