"""What a DICOM data set says of lossy compression (PS3.3 C.7.6.1.1.5, C.7.6.1.1.3, C.12.4.1.1).

An object whose pixels were compressed with loss is a derived image: another instance than its
source, to which it refers. What it says of its loss is added to what earlier steps said, and is
never taken back.
"""

from __future__ import annotations

import hashlib
import math
import uuid
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from xraycodec.errors import CorruptImageError
from xraycodec.files.checks import damage_as_corrupt
from xraycodec.files.dicom_values import integer_of, items_of, set_value, text_of, value_of
from xraycodec.image import Loss

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

UidPolicy = Literal["standard", "keep", "new"]
"""Which SOP Instance UID an output has.

``standard``: the source's while the pixels are the source's, a new one for lossy pixels.
``keep``: the source's, whatever the pixels are. ``new``: a new one, whatever they are.
"""
UID_POLICIES: tuple[UidPolicy, ...] = ("standard", "keep", "new")

_NAMESPACE = uuid.UUID("afab3e32-0c22-4e16-b408-a9ba37695171")
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_RATIO = "LossyImageCompressionRatio"
_MAX_DESCRIPTION = 1024  # characters of a short text (PS3.5 6.2)
# Facts on the very pixels and on the very instance, which hold no longer.
_CONTRADICTED = (
    *("SmallestPixelValueInSeries", "LargestPixelValueInSeries", "HistogramSequence"),
    *("SmallestImagePixelValueInPlane", "LargestImagePixelValueInPlane"),
    *("InstanceCreationDate", "InstanceCreationTime", "InstanceCreatorUID"),
    *("DigitalSignaturesSequence", "MACParametersSequence"),
)


def mark_lossy(
    dataset: Dataset,
    *,
    method: str,
    ratio: float,
    description: str,
    uid_policy: UidPolicy = "standard",
    pixel_range: tuple[int, int] | None = None,
) -> None:
    """Say in a data set that its pixels went through one step of lossy compression.

    Lossy Image Compression becomes 01; Ratio and Method get one value more; the image becomes
    DERIVED, with a description and the code 113040 DCM; it becomes a new instance that refers to
    its source. In an enhanced multi-frame object the functional groups say so as well. Facts that
    the new pixels contradict are corrected or removed.

    Args:
        dataset: its pixels lossy already, native or encapsulated; changed in place. Its file meta
            information follows when `to_file` writes it.
        method: a defined term of PS3.3 C.7.6.1.1.5.1, or one of our own, such as ``XRC_LATTICE``.
        ratio: size of the pixels at their bits stored to their compressed size.
        description: one sentence on what was done.
        uid_policy: ``keep`` leaves the instance UID, against the standard.
        pixel_range: smallest and largest value of the new pixels, if known.

    Raises:
        UnsupportedImageError: no such method, or a ratio out of bounds, as :class:`Loss`.
        CorruptImageError: an element to which something is added cannot be parsed.
    """
    _mark(dataset, [Loss(method, ratio)], [description], uid_policy, pixel_range)


def mark_losses(
    dataset: Dataset,
    losses: Sequence[Loss],
    uid_policy: UidPolicy = "standard",
    pixel_range: tuple[int, int] | None = None,
) -> None:
    """Say the same of several steps, after which there is one new instance; as `mark_lossy`."""
    _mark(dataset, losses, [describe(loss) for loss in losses], uid_policy, pixel_range)


def is_marked(dataset: Dataset) -> bool:
    """Whether a data set says that its pixels went through lossy compression."""
    return text_of(dataset, "LossyImageCompression") == "01"


def tell_loss(dataset: Dataset, loss: Loss) -> None:
    """Add what a data set should have said of the pixels that it came with.

    The instance stays what it is: its pixels are not changed here, and what it says of its
    origin is its writer's matter. Ratio and Method that it has already are kept.
    """
    if not text_of(dataset, _RATIO) and not text_of(dataset, "LossyImageCompressionMethod"):
        _append_step(dataset, loss)
    set_value(dataset, "LossyImageCompression", "01")


def describe(loss: Loss) -> str:
    """One sentence for Derivation Description."""
    bound = "" if loss.max_error is None else f", error at most {loss.max_error} grey levels"
    return f"Lossy compression by xraycodec, {loss.method} {loss.ratio:.4g}:1{bound}"


def renew_instance(dataset: Dataset) -> None:
    """Give a data set a new SOP Instance UID: always the same for the same source and pixels."""
    source = text_of(dataset, "SOPInstanceUID")
    pixels = hashlib.sha256(dataset.get("PixelData") or b"").hexdigest()
    uid = f"2.25.{uuid.uuid5(_NAMESPACE, f'{source} {pixels}').int}"
    set_value(dataset, "SOPInstanceUID", uid)


def _mark(
    dataset: Dataset,
    losses: Iterable[Loss],
    descriptions: Sequence[str],
    uid_policy: UidPolicy,
    pixel_range: tuple[int, int] | None,
) -> None:
    with warnings.catch_warnings(), damage_as_corrupt("DICOM data set"):
        warnings.simplefilter("ignore")
        was_lossy = is_marked(dataset)
        for loss in losses:
            _append_step(dataset, loss)
        set_value(dataset, "LossyImageCompression", "01")
        source = None if uid_policy == "keep" else _reference(dataset, was_lossy=was_lossy)
        if uid_policy != "keep":
            renew_instance(dataset)
        _derive_type(dataset)
        _describe_derivation(dataset, descriptions, source)
        _derive_frames(dataset, descriptions, source)
        _correct_facts(dataset, pixel_range)


def _append_step(dataset: Dataset, loss: Loss) -> None:
    """Append to Ratio and Method, which have to have as many values as each other."""
    ratios = [each if _is_number(each) else "" for each in _values(dataset, _RATIO)]
    methods = _values(dataset, "LossyImageCompressionMethod")
    steps = max(len(ratios), len(methods))
    # What earlier steps did not tell stays empty, so that values keep belonging together.
    ratios += [""] * (steps - len(ratios)) + [f"{loss.ratio:.7g}"]
    methods += [""] * (steps - len(methods)) + [loss.method]
    set_value(dataset, _RATIO, ratios)
    set_value(dataset, "LossyImageCompressionMethod", methods)


def _is_number(value: Any) -> bool:
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def _values(dataset: Dataset, keyword: str) -> list[Any]:
    try:
        value = value_of(dataset, keyword)
    except CorruptImageError:
        return []  # such as a ratio that is no number: what can be read of it is nothing
    if value is None or value == "" or isinstance(value, bytes):
        return []
    return [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)


def _derive_type(dataset: Dataset) -> None:
    """Image Type value 1 is DERIVED; value 2 is required beside it."""
    kinds = _values(dataset, "ImageType")
    captured = text_of(dataset, "SOPClassUID") == _SECONDARY_CAPTURE
    kinds = ["DERIVED", *(kinds[1:] or ["SECONDARY" if captured else "PRIMARY"])]
    set_value(dataset, "ImageType", kinds)


def _describe_derivation(
    dataset: Dataset, descriptions: Sequence[str], source: Dataset | None
) -> None:
    known = "\\".join(map(str, _values(dataset, "DerivationDescription")))
    text = "; ".join(filter(None, (known, *descriptions)))
    # The latest steps are at the end: of a text too long, the beginning goes.
    set_value(dataset, "DerivationDescription", text[-_MAX_DESCRIPTION:])
    codes = items_of(dataset, "DerivationCodeSequence")
    if not any(
        (code.get("CodeValue"), code.get("CodingSchemeDesignator")) == ("113040", "DCM")
        for code in codes
    ):
        codes.append(_code("113040", "Lossy Compression"))
        set_value(dataset, "DerivationCodeSequence", codes)
    if source is not None:
        sources = [*items_of(dataset, "SourceImageSequence"), source]
        set_value(dataset, "SourceImageSequence", sources)


def _derive_frames(dataset: Dataset, descriptions: Sequence[str], source: Dataset | None) -> None:
    """The same in the functional groups of enhanced objects (PS3.3 C.7.6.16.2.6)."""
    from pydicom.dataset import Dataset

    shared = items_of(dataset, "SharedFunctionalGroupsSequence")
    if not shared:
        return
    frames = items_of(dataset, "PerFrameFunctionalGroupsSequence")
    for groups in (*shared, *frames):
        for element in groups:
            if element.VR != "SQ":
                continue
            for item in element.value:
                if kinds := _values(item, "FrameType"):
                    set_value(item, "FrameType", ["DERIVED", *kinds[1:]])
    # A functional group is in the shared or in the per-frame sequence, never in both.
    per_frame = any("DerivationImageSequence" in groups for groups in frames)
    for groups in frames if per_frame else shared[:1]:
        step = Dataset()
        _describe_derivation(step, descriptions, source)
        step.setdefault("SourceImageSequence", [])
        steps = [*items_of(groups, "DerivationImageSequence"), step]
        set_value(groups, "DerivationImageSequence", steps)


def _reference(dataset: Dataset, *, was_lossy: bool) -> Dataset | None:
    """The item of Source Image Sequence that refers to the instance as it is now."""
    from pydicom.dataset import Dataset

    sop_class, instance = (text_of(dataset, name) for name in ("SOPClassUID", "SOPInstanceUID"))
    if not sop_class or not instance:
        return None
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class
    item.ReferencedSOPInstanceUID = instance
    item.PurposeOfReferenceCodeSequence = [
        _code("121322", "Source image for image processing operation")
        if was_lossy
        else _code("121320", "Uncompressed predecessor")
    ]
    item.SpatialLocationsPreserved = "YES"
    return item


def _code(value: str, meaning: str) -> Dataset:
    from pydicom.dataset import Dataset

    code = Dataset()
    code.CodeValue = value
    code.CodingSchemeDesignator = "DCM"
    code.CodeMeaning = meaning
    return code


def _correct_facts(dataset: Dataset, pixel_range: tuple[int, int] | None) -> None:
    for keyword in _CONTRADICTED:
        if keyword in dataset:
            delattr(dataset, keyword)
    vr = "SS" if integer_of(dataset, "PixelRepresentation", 0) else "US"
    for end, keyword in enumerate(("SmallestImagePixelValue", "LargestImagePixelValue")):
        if keyword in dataset:
            delattr(dataset, keyword)
            if pixel_range is not None:
                dataset.add_new(keyword, vr, pixel_range[end])
