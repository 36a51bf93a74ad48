"""Previews that go ahead of their images, and the notes that withdraw them.

A preview is an ordinary DICOM object: a lossy derived image with a UID and a series of its own,
marked as PS3.3 C.7.6.1.1.5 asks, that references its image. A private element says that it is
only a preview (`instance.mark_preview`): when the image arrives, a gateway drops what it still
holds of the preview, and where it was passed on, withdraws it once the image is there: in folders
by removing the file, at DICOM nodes by a Key Object Selection, "Data Retention Policy Expired",
as IHE Imaging Object Change Management has it (RAD TF-3, 4.66.4.1.3.4).
"""

from __future__ import annotations

import io
import uuid
import warnings
from typing import TYPE_CHECKING, Any

from xraycodec.errors import CorruptError
from xraycodec.files.checks import damage_as_corrupt
from xraycodec.gateway.config import LAYERED_CODEC, Preview
from xraycodec.gateway.instance import mark_preview

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from xraycodec.codecs.base import Codec

_NAMESPACE = uuid.UUID("9e5d5b0e-3d0b-4f9a-8f66-1c2a7a6f0c11")
_KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"
_DESCRIPTION = "Preview, lossy"
_PATIENT_AND_STUDY = (
    *("SpecificCharacterSet", "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate"),
    *("PatientSex", "StudyInstanceUID", "StudyDate", "StudyTime", "ReferringPhysicianName"),
    *("StudyID", "AccessionNumber"),
)


def preview(data: bytes, settings: Preview) -> bytes:
    """Make the preview of an image, in the private syntax.

    The same image and settings give the same UIDs, so that a preview made twice is one. Overlays
    that lie in the image's cells are Overlay Data of the preview.

    Raises:
        XrayCodecError: none can be made of this object.
    """
    from xraycodec.dicom.encapsulation import XRC_UID, encapsulate, is_wrapped
    from xraycodec.dicom.overlays import of_stored_bits
    from xraycodec.files.dicom import decode
    from xraycodec.files.dicom_writer import to_file

    # Bits around the stored ones would not outlive the loss.
    dataset, _ = of_stored_bits(decode(data))
    image_uid = str(dataset.SOPInstanceUID)
    encapsulate(dataset, _codec(settings), uid_policy="standard")
    if dataset.get("LossyImageCompression") != "01" or dataset.SOPInstanceUID == image_uid:
        raise CorruptError("a preview was not marked as lossy")
    # An image that is in the private syntax already goes on as it is.
    is_base = settings.codec == LAYERED_CODEC and not is_wrapped(data)
    _rename(dataset, image_uid, settings, is_base=is_base)
    return to_file(dataset, XRC_UID)


def withdrawal(data: bytes, previews: tuple[tuple[str, str], ...]) -> bytes:
    """Make the note that withdraws the previews of an image (PS3.3 A.35.4).

    Args:
        data: the image's DICOM file.
        previews: SOP class and instance UID of each.

    Raises:
        CorruptImageError: the file cannot be parsed.
    """
    from pydicom.dataset import Dataset
    from pydicom.filereader import dcmread

    from xraycodec.files.dicom_writer import to_file

    with warnings.catch_warnings(), damage_as_corrupt("DICOM"):
        warnings.simplefilter("ignore")
        image = dcmread(io.BytesIO(data), stop_before_pixels=True)
        image_uid = str(image.SOPInstanceUID)
        note = Dataset()
        for keyword in _PATIENT_AND_STUDY:
            if keyword in image:
                note[keyword] = image[keyword]
            elif keyword not in ("SpecificCharacterSet", "IssuerOfPatientID"):
                setattr(note, keyword, "")
        note.SOPClassUID = _KEY_OBJECT_SELECTION
        note.SOPInstanceUID = _uid("withdrawal", image_uid)
        note.Modality = "KO"
        note.SeriesInstanceUID = _uid("withdrawal series", image_uid)
        note.SeriesNumber, note.InstanceNumber = 1, 1
        note.SeriesDescription = "Previews withdrawn"
        note.ReferencedPerformedProcedureStepSequence = []
        note.Manufacturer = "xraycodec"
        # The image's own date: the same note again is the same, byte for byte.
        note.ContentDate = image.get("StudyDate") or "19700101"
        note.ContentTime = image.get("StudyTime") or "000000"
        _add_content(note, image, previews)
        return to_file(note)


def _add_content(note: Dataset, image: Any, previews: tuple[tuple[str, str], ...]) -> None:
    items = []
    references = []
    for sop_class, uid in previews:
        reference = _item(ReferencedSOPClassUID=sop_class, ReferencedSOPInstanceUID=uid)
        references.append(reference)
        items.append(
            _item(RelationshipType="CONTAINS", ValueType="IMAGE", ReferencedSOPSequence=[reference])
        )
    series = _item(
        SeriesInstanceUID=_uid("series", str(image.get("SeriesInstanceUID", ""))),
        ReferencedSOPSequence=references,
    )
    note.CurrentRequestedProcedureEvidenceSequence = [
        _item(StudyInstanceUID=image.get("StudyInstanceUID", ""), ReferencedSeriesSequence=[series])
    ]
    note.ValueType = "CONTAINER"
    note.ConceptNameCodeSequence = [_code("113039", "Data Retention Policy Expired")]
    note.ContinuityOfContent = "SEPARATE"
    note.ContentTemplateSequence = [_item(MappingResource="DCMR", TemplateIdentifier="2010")]
    note.ContentSequence = items


def _rename(dataset: Dataset, image_uid: str, settings: Preview, *, is_base: bool) -> None:
    dataset.SOPInstanceUID = _uid("preview", f"{image_uid} {settings}")
    dataset.SeriesInstanceUID = _uid("series", str(dataset.get("SeriesInstanceUID", "")))
    dataset.SeriesDescription = _DESCRIPTION
    mark_preview(dataset, image_uid, is_base=is_base)


def _codec(settings: Preview) -> Codec:
    if settings.codec == LAYERED_CODEC:
        from xraycodec.gateway.layered import front

        return front(settings)
    if settings.codec == "lattice":
        from xraycodec.codecs.lattice import Lattice

        return Lattice(max_error=settings.max_error, profile="fast", threads=1)
    from xraycodec.codecs.rnn_conv import RnnConv

    return RnnConv(ratio=settings.ratio, threads=1)


def _uid(kind: str, name: str) -> str:
    """A UID that the same name gives again (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, f'{kind} {name}').int}"


def _code(value: str, meaning: str) -> Dataset:
    return _item(CodeValue=value, CodingSchemeDesignator="DCM", CodeMeaning=meaning)


def _item(**elements: object) -> Dataset:
    from pydicom.dataset import Dataset

    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item
