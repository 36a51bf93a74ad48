"""New Secondary Capture objects, for images that do not come from DICOM (PS3.3 A.8).

Of the multi-frame kinds PS3.3 A.8.3 and A.8.4 know unsigned MONOCHROME2 only; signed or
MONOCHROME1 frames are written all the same, in the same classes, since no general-purpose class
has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xraycodec.image import XRay

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_MULTI_FRAME_BYTE = "1.2.840.10008.5.1.4.1.1.7.2"
_MULTI_FRAME_WORD = "1.2.840.10008.5.1.4.1.1.7.3"


def new_secondary_capture(image: XRay) -> Dataset:
    """A minimal object with new UIDs, without its Image Pixel module; type 2 elements are empty."""
    from pydicom.dataset import Dataset
    from pydicom.uid import generate_uid

    dataset = Dataset()
    frames = len(image.frames)
    dataset.SOPClassUID = SECONDARY_CAPTURE
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
