"""DICOM files out: an XRay as a PS3.10 file, native explicit VR little endian.

A radiograph that came from DICOM keeps its data set and its SOP Instance UID, because the
pixels are the same; only the Image Pixel module follows the XRay. Any other becomes a
Secondary Capture object with new UIDs (PS3.3 A.8). Of the multi-frame kinds PS3.3 A.8.3 and
A.8.4 know unsigned MONOCHROME2 only; signed or MONOCHROME1 frames are written all the same,
in the same classes, since no general-purpose class has them.
"""

from __future__ import annotations

import io
import warnings
from contextlib import suppress
from copy import copy
from importlib.metadata import version
from typing import TYPE_CHECKING

from xraycodec.errors import ImageError, OptionError
from xraycodec.files.checks import damage_as_corrupt
from xraycodec.files.dicom import PIXEL_TAGS, layout_of
from xraycodec.files.dicom_cells import PixelLayout, raster_of
from xraycodec.files.dicom_frames import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, NATIVE
from xraycodec.files.dicom_lossy import UidPolicy, mark_losses, renew_instance
from xraycodec.files.dicom_parsing import parse_data_set
from xraycodec.image import XRay

if TYPE_CHECKING:
    from pydicom.dataset import Dataset, FileMetaDataset

IMPLEMENTATION_CLASS_UID = "2.25.325352466372146267672577767031191629388"
"""Of this project, derived from a UUID (PS3.5 B.2)."""
IMPLEMENTATION_VERSION_NAME = f"XRAYCODEC_{version('xraycodec')}"[:16]

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_MULTI_FRAME_BYTE = "1.2.840.10008.5.1.4.1.1.7.2"
_MULTI_FRAME_WORD = "1.2.840.10008.5.1.4.1.1.7.3"
_MAX_SIDE = 65535  # Rows and Columns are unsigned shorts


def encode(image: XRay) -> bytes:
    """Encode as a DICOM file.

    Raises:
        OptionError: sizes beyond DICOM's fields.
        CorruptImageError: the XRay's own data set cannot be parsed or written.
    """
    return to_file(to_data_set(image))


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
        dataset = _new_data_set(image) if image.dicom is None else parse_data_set(image.dicom)
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
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.filewriter import dcmwrite
    from pydicom.uid import UID

    if transfer_syntax == EXPLICIT_BIG:
        raise OptionError("Explicit VR Big Endian is retired and is not written")
    with warnings.catch_warnings(), damage_as_corrupt("DICOM data set"):
        warnings.simplefilter("ignore")
        known = getattr(dataset, "file_meta", None) or FileMetaDataset()
        meta = FileMetaDataset({tag: known.get_item(tag) for tag in known.keys()})  # noqa: SIM118
        _follow(meta, dataset)
        meta.TransferSyntaxUID = UID(transfer_syntax)
        meta.FileMetaInformationVersion = b"\0\1"
        meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
        meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
        # A data set of the same elements, raw ones too, so that nothing set here is seen outside.
        written = Dataset({tag: dataset.get_item(tag) for tag in dataset.keys()})  # noqa: SIM118
        written.set_original_encoding(*dataset.original_encoding, dataset.original_character_set)
        written.file_meta = meta
        if getattr(dataset, "preamble", None):
            written.preamble = dataset.preamble
        if "PixelData" in written:
            pixels = copy(written["PixelData"])
            pixels.is_undefined_length = transfer_syntax not in NATIVE
            if isinstance(pixels.value, bytes) and pixels.VR in ("OB", "OW"):
                # pydicom copies values into a buffer of their own, but not those of streams.
                pixels.value = io.BytesIO(pixels.value)
            written["PixelData"] = pixels
        stream = io.BytesIO()
        dcmwrite(
            stream,
            written,
            implicit_vr=transfer_syntax == IMPLICIT_LITTLE,
            little_endian=True,
            enforce_file_format=True,
        )
        return stream.getvalue()


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
            setattr(dataset, keyword, value)
    if str(dataset.get("PhotometricInterpretation", "")).strip() != (
        image.photometric_interpretation
    ):
        dataset.PhotometricInterpretation = image.photometric_interpretation
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
        if not dataset.get("SOPClassUID"):
            dataset.SOPClassUID = _SECONDARY_CAPTURE
        if not dataset.get("SOPInstanceUID"):
            dataset.SOPInstanceUID = generate_uid(prefix=None)
    if not dataset.get("SOPClassUID") and not meta.get("MediaStorageSOPClassUID"):
        meta.MediaStorageSOPClassUID = _SECONDARY_CAPTURE
    if not dataset.get("SOPInstanceUID") and not meta.get("MediaStorageSOPInstanceUID"):
        meta.MediaStorageSOPInstanceUID = generate_uid(prefix=None)


def _follow(meta: FileMetaDataset, dataset: Dataset) -> None:
    """Make file meta information name the class and instance of its data set, if that has them."""
    if dataset.get("SOPClassUID"):
        meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    if dataset.get("SOPInstanceUID"):
        meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID


def _new_data_set(image: XRay) -> Dataset:
    """A minimal Secondary Capture object; type 2 elements are empty."""
    from pydicom.dataset import Dataset
    from pydicom.uid import generate_uid

    dataset = Dataset()
    frames = len(image.frames)
    dataset.SOPClassUID = _SECONDARY_CAPTURE
    dataset.Modality = "OT"
    dataset.ConversionType = "WSD"
    dataset.StudyInstanceUID = generate_uid(prefix=None)
    dataset.SeriesInstanceUID = generate_uid(prefix=None)
    dataset.InstanceNumber = 1
    for keyword in (
        *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientOrientation"),
        *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
        *("SeriesNumber", "Laterality"),
    ):
        setattr(dataset, keyword, "")
    if frames > 1:
        one_byte = image.pixels.dtype.itemsize == 1
        dataset.SOPClassUID = _MULTI_FRAME_BYTE if one_byte else _MULTI_FRAME_WORD
        # Nobody has looked: the careful answer to whether text is burned in.
        dataset.BurnedInAnnotation = "YES"
        inverse = image.photometric_interpretation == "MONOCHROME1"
        dataset.PresentationLUTShape = "INVERSE" if inverse else "IDENTITY"
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
        dataset.FrameIncrementPointer = 0x00182001  # Page Number Vector
        dataset.PageNumberVector = list(range(1, frames + 1))
    return dataset
