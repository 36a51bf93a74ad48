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
from typing import TYPE_CHECKING

from xraycodec.errors import OptionError
from xraycodec.files.checks import damage_as_corrupt
from xraycodec.files.dicom import PIXEL_GROUP, parse_data_set
from xraycodec.image import XRay

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

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
    frames, rows, columns = image.frames.shape
    if max(rows, columns) > _MAX_SIDE or image.pixels.nbytes > 0xFFFFFFFE:
        raise OptionError(
            f"DICOM cannot hold {frames} frame(s) of {rows} rows x {columns} columns natively;"
            f" allowed are sides up to {_MAX_SIDE} and {0xFFFFFFFE} bytes"
        )
    with warnings.catch_warnings(), damage_as_corrupt("DICOM data set"):
        warnings.simplefilter("ignore")
        dataset = _new_data_set(image) if image.dicom is None else parse_data_set(image.dicom)
        _add_identity(dataset)
        _set_pixels(dataset, image)
        return _to_file(dataset)


def _set_pixels(dataset: Dataset, image: XRay) -> None:
    """Make the Image Pixel module say what the XRay is."""
    for tag in list(dataset.keys()):
        if tag.group == PIXEL_GROUP:
            del dataset[tag]
    frames, rows, columns = image.frames.shape
    allocated = 8 * image.pixels.dtype.itemsize
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = image.photometric_interpretation
    dataset.Rows, dataset.Columns = rows, columns
    dataset.BitsAllocated = allocated
    dataset.BitsStored = image.bits_stored
    dataset.HighBit = image.bits_stored - 1
    dataset.PixelRepresentation = int(image.signed)
    if frames > 1 or "NumberOfFrames" in dataset:
        dataset.NumberOfFrames = frames
    raster = image.pixels.astype(image.pixels.dtype.newbyteorder("<"), copy=False).tobytes()
    dataset.add_new(
        "PixelData", "OB" if allocated == 8 else "OW", raster + b"\0" * (len(raster) % 2)
    )


def _add_identity(dataset: Dataset) -> None:
    """Give an object without class or instance the ones that a file cannot be without."""
    from pydicom.uid import generate_uid

    if not dataset.get("SOPClassUID"):
        dataset.SOPClassUID = _SECONDARY_CAPTURE
    if not dataset.get("SOPInstanceUID"):
        dataset.SOPInstanceUID = generate_uid(prefix=None)


def _to_file(dataset: Dataset) -> bytes:
    from pydicom.dataset import FileMetaDataset
    from pydicom.filewriter import dcmwrite
    from pydicom.uid import ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta
    stream = io.BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


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
