"""What DICOM objects say of lossy compression, step after step (PS3.3 C.7.6.1.1.5)."""

from __future__ import annotations

import io
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from files_building import native_dicom, random_pixels
from pydicom.dataset import Dataset

from xraycodec import Stored, compress, decompress, verify
from xraycodec.dicom.lossy import mark_lossy
from xraycodec.errors import CorruptError, UnsupportedImageError
from xraycodec.files import decode, encode, read
from xraycodec.files.dicom_writer import to_data_set
from xraycodec.image import Loss, XRay

TEST_FILES = Path(pydicom.__file__).parent / "data" / "test_files"
STEP = Loss("XRC_LATTICE", 12.3456789, 2)


def image(**elements: object) -> XRay:
    return decode(native_dicom(random_pixels((3, 5), 12), 12, **elements))


def written(source: XRay, *losses: Loss) -> Dataset:
    return pydicom.dcmread(io.BytesIO(encode(replace(source, losses=losses), "dicom")))


def test_one_step():
    ds = written(image(ImageType=["ORIGINAL", "PRIMARY", "AXIAL"]), STEP)
    assert ds.LossyImageCompression == "01"
    assert float(ds.LossyImageCompressionRatio) == 12.346
    assert ds.LossyImageCompressionMethod == "XRC_LATTICE"
    assert ds.ImageType == ["DERIVED", "PRIMARY", "AXIAL"]
    assert ds.DerivationDescription == (
        "Lossy compression by xraycodec, XRC_LATTICE 12.35:1, error at most 2 grey levels"
    )
    (code,) = ds.DerivationCodeSequence
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("113040", "DCM")
    (source,) = ds.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == "1.2.3.4"
    assert source.ReferencedSOPClassUID == ds.SOPClassUID
    assert source.PurposeOfReferenceCodeSequence[0].CodeValue == "121320"
    assert ds.SOPInstanceUID != "1.2.3.4"
    assert ds.SOPInstanceUID.is_valid
    assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID


def test_the_next_step_is_appended():
    first = encode(replace(image(), losses=(STEP,)), "dicom")
    ds = written(decode(first), Loss("XRC_TODERICI", 20))
    assert ds.LossyImageCompression == "01"
    assert [float(ratio) for ratio in ds.LossyImageCompressionRatio] == [12.346, 20]
    assert ds.LossyImageCompressionMethod == ["XRC_LATTICE", "XRC_TODERICI"]
    assert len(ds.DerivationCodeSequence) == 1
    assert ds.DerivationDescription.count("xraycodec") == 2
    purposes = [s.PurposeOfReferenceCodeSequence[0].CodeValue for s in ds.SourceImageSequence]
    assert purposes == ["121320", "121322"]
    uids = [s.ReferencedSOPInstanceUID for s in ds.SourceImageSequence]
    assert uids == ["1.2.3.4", decode_uid(first)]


def decode_uid(data: bytes) -> str:
    return str(pydicom.dcmread(io.BytesIO(data)).SOPInstanceUID)


def test_values_of_earlier_steps_stay_together():
    told = image(LossyImageCompression="01", LossyImageCompressionRatio=["5", "7"])
    ds = written(told, STEP)
    assert [str(ratio) for ratio in ds.LossyImageCompressionRatio] == ["5", "7", "12.346"]
    assert list(ds.LossyImageCompressionMethod) == ["", "", "XRC_LATTICE"]


@pytest.mark.parametrize("policy", ["standard", "keep", "new"])
@pytest.mark.parametrize("losses", [(), (STEP,)])
def test_uid_policies(policy, losses):
    ds = to_data_set(replace(image(), losses=losses), uid_policy=policy)
    kept = policy == "keep" or (policy == "standard" and not losses)
    assert (ds.SOPInstanceUID == "1.2.3.4") == kept
    assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
    assert ("SourceImageSequence" in ds) == (bool(losses) and policy != "keep")
    assert (ds.get("LossyImageCompression") == "01") == bool(losses)


def test_the_new_uid_belongs_to_the_pixels():
    """Decompressing twice gives one instance, not two; other pixels are another one."""
    source = replace(image(), losses=(STEP,))
    uid = to_data_set(source).SOPInstanceUID
    assert to_data_set(source).SOPInstanceUID == uid
    other = replace(source, pixels=np.roll(source.pixels, 1))
    assert to_data_set(other).SOPInstanceUID != uid


def test_facts_that_other_pixels_contradict():
    source = image(
        SmallestImagePixelValue=1,
        LargestImagePixelValue=2,
        SmallestPixelValueInSeries=3,
        InstanceCreationDate="20200101",
        HistogramSequence=[Dataset()],
        PixelPaddingValue=0,
    )
    ds = written(source, STEP)
    assert (ds.SmallestImagePixelValue, ds.LargestImagePixelValue) == (0, 4095)
    for keyword in ("SmallestPixelValueInSeries", "InstanceCreationDate", "HistogramSequence"):
        assert keyword not in ds
    assert ds.PixelPaddingValue == 0
    kept = written(source)
    assert kept.SmallestImagePixelValue == 1
    assert "HistogramSequence" in kept


@pytest.mark.parametrize("per_frame", [False, True])
def test_functional_groups_of_enhanced_objects(per_frame):
    kind, shared, frame, old = Dataset(), Dataset(), Dataset(), Dataset()
    kind.FrameType = ["ORIGINAL", "PRIMARY"]
    shared.XRay3DFrameTypeSequence = [kind]
    if per_frame:
        old.DerivationDescription = "earlier"
        frame.DerivationImageSequence = [old]
    source = image(
        SharedFunctionalGroupsSequence=[shared], PerFrameFunctionalGroupsSequence=[frame]
    )
    ds = written(source, STEP)
    groups = ds.SharedFunctionalGroupsSequence[0]
    assert groups.XRay3DFrameTypeSequence[0].FrameType == ["DERIVED", "PRIMARY"]
    holder = ds.PerFrameFunctionalGroupsSequence[0] if per_frame else groups
    assert ("DerivationImageSequence" in groups) != per_frame
    assert len(holder.DerivationImageSequence) == 1 + per_frame
    step = holder.DerivationImageSequence[-1]
    assert step.DerivationCodeSequence[0].CodeValue == "113040"
    assert step.SourceImageSequence[0].ReferencedSOPInstanceUID == "1.2.3.4"


def test_new_objects_say_it_too():
    ds = written(XRay(random_pixels((3, 5), 12), 12), STEP)
    assert ds.LossyImageCompression == "01"
    assert ds.ImageType == ["DERIVED", "SECONDARY"]


def test_other_writers_mark_with_their_own_words():
    ds = to_data_set(image())
    mark_lossy(ds, method="ISO_14495_1", ratio=4.5, description="near-lossless JPEG-LS, error 2")
    assert ds.DerivationDescription == "near-lossless JPEG-LS, error 2"
    assert ds.LossyImageCompressionMethod == "ISO_14495_1"
    for method, ratio in (("", 2), ("lower", 2), ("A" * 17, 2), ("A", 0), ("A", -1), ("A", 2e9)):
        with pytest.raises(UnsupportedImageError):
            mark_lossy(ds, method=method, ratio=ratio, description="")


def test_nothing_turns_lossy_back_into_lossless():
    """Compressed again without loss, the pixels are still the lossy ones."""
    lossy = replace(image(), losses=(STEP,))
    for source in (lossy, replace(lossy, dicom=None, dicom_file=None)):
        data = compress(source, Stored())
        assert verify(data, original=source).identical
        again = decompress(data)
        assert again.losses == (STEP,)
        assert pydicom.dcmread(io.BytesIO(encode(again, "dicom"))).LossyImageCompression == "01"
        with pytest.raises(CorruptError, match="other losses"):
            verify(data, original=replace(source, losses=()))
    told = decode(encode(lossy, "dicom"))
    ds = written(decompress(compress(told, Stored())))
    assert ds.LossyImageCompression == "01"
    assert ds.SOPInstanceUID == decode_uid(encode(lossy, "dicom"))


def errors_of_dciodvfy(data: bytes, folder: Path) -> set[str]:
    path = folder / "image.dcm"
    path.write_bytes(data)
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    return {line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")}


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dciodvfy of dicom3tools")
@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "JPEGLSNearLossless_16.dcm"])
def test_dciodvfy_finds_no_more_errors_than_in_the_source(name, tmp_path):
    source = read(TEST_FILES / name)
    before = errors_of_dciodvfy(encode(source, "dicom"), tmp_path)
    after = encode(replace(source, losses=(STEP,)), "dicom")
    assert errors_of_dciodvfy(after, tmp_path) <= before
    twice = encode(replace(decode(after), losses=(STEP,)), "dicom")
    assert errors_of_dciodvfy(twice, tmp_path) <= before
