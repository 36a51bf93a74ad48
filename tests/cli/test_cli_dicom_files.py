"""DICOM on the command line: lossy outputs, UIDs, file sets with a DICOMDIR."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from cli_running import names_in, radiograph, read_image, run, write_image

from xraycodec.errors import CorruptImageError, UnsupportedImageError
from xraycodec.files.dicomdir import files_of, is_dicomdir
from xraycodec.image import XRay


@pytest.fixture
def file_set(tmp_path: Path) -> Path:
    """A file set of two images, one report and a record without its file."""
    root = tmp_path / "medium"
    records = []
    for names, kind in (
        (["A", "IM1"], "IMAGE"),
        (["A", "IM2"], "IMAGE"),
        (["SR1"], "SR DOCUMENT"),
        (["A", "GONE"], "IMAGE"),
        (None, "PATIENT"),
    ):
        record = pydicom.Dataset()
        record.DirectoryRecordType = kind
        if names:
            record.ReferencedFileID = names
            path = root.joinpath(*names)
            path.parent.mkdir(parents=True, exist_ok=True)
            if names[-1] != "GONE":
                write_image(path, radiograph(12, "MONOCHROME2"), "dicom")
        records.append(record)
    write_dicomdir(root / "DICOMDIR", records)
    return root


def write_dicomdir(path: Path, records: list[pydicom.Dataset]) -> None:
    ds = pydicom.Dataset()
    ds.FileSetID = "TEST"
    ds.DirectoryRecordSequence = records
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    pydicom.dcmwrite(path, ds, enforce_file_format=True)


def test_a_dicomdir_stands_for_its_images(file_set: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = run("compress", "--codec", "stored", file_set / "DICOMDIR", "-o", out)
    assert outcome.code == 1  # one file is missing
    assert "GONE: No such file" in outcome.err
    assert "SR1: passed over: a SR DOCUMENT record" in outcome.err
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.xrc")) == [
        "A/IM1.xrc",
        "A/IM2.xrc",
    ]
    back = tmp_path / "back"
    assert run("decompress", "-r", out, "-o", back).code == 0
    for name in ("A/IM1", "A/IM2"):
        source, result = pydicom.dcmread(file_set / name), pydicom.dcmread(back / name)
        assert result == source


def test_others_of_a_file_set_are_copied(file_set: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = run(
        "compress", "--codec", "stored", file_set / "DICOMDIR", "-o", out, "--others", "copy"
    )
    assert outcome.code == 1  # one file is missing
    assert outcome.out.splitlines()[2].endswith(
        f"SR1: copied, a SR DOCUMENT record, no image -> {out}/SR1"
    )
    assert names_in(out) == ["A/IM1.xrc", "A/IM2.xrc", "SR1"]
    assert (out / "SR1").read_bytes() == (file_set / "SR1").read_bytes()


def test_a_folder_with_a_dicomdir(file_set: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = run("compress", "-v", "--codec", "stored", "-r", file_set, "-o", out)
    assert outcome.code == 0
    assert "DICOMDIR: skipped" in outcome.err
    assert names_in(out) == ["A/IM1.xrc", "A/IM2.xrc", "SR1.xrc"]


def test_names_are_found_in_other_cases(file_set: Path) -> None:
    (file_set / "A").rename(file_set / "a")
    (file_set / "a" / "IM1").rename(file_set / "a" / "im1.;1")
    found = [file.below.as_posix() for file in files_of(file_set / "DICOMDIR")]
    assert found[:2] == ["a/im1.;1", "a/IM2"]


@pytest.mark.parametrize("names", [["..", "X"], ["A/../../X"], ["C:\\X"], ["A"] * 9, ["."]])
def test_a_file_id_must_not_lead_out(tmp_path: Path, names: list[str]) -> None:
    record = pydicom.Dataset()
    record.DirectoryRecordType = "IMAGE"
    with pydicom.config.disable_value_validation():
        record.ReferencedFileID = names
        element = record["ReferencedFileID"]
        element.value = names
        write_dicomdir(tmp_path / "DICOMDIR", [record])
    if any("\\" in name for name in names):
        return  # a backslash separates values: these are two plain names by now
    with pytest.raises(
        CorruptImageError, match="directory record 0 has a File ID that cannot be used"
    ):
        files_of(tmp_path / "DICOMDIR")
    outcome = run("compress", tmp_path / "DICOMDIR", "-o", tmp_path / "out")
    assert (outcome.code, outcome.out) == (1, "")


def test_what_is_no_dicomdir(tmp_path: Path) -> None:
    path = write_image(tmp_path / "DICOMDIR", radiograph(8, "MONOCHROME2"), "dicom")
    assert not is_dicomdir(path)
    with pytest.raises(UnsupportedImageError, match="no DICOMDIR"):
        files_of(path)
    path.write_bytes(bytes(128) + b"DICM\x02\x00\x02\x00UI\x14\x001.2.840.10008.1.3.10\x02")
    assert is_dicomdir(path)
    outcome = run("compress", path)
    assert outcome.code == 1
    assert "the last 1 bytes are no whole element" in outcome.err


@pytest.fixture(scope="module")
def lossy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lossy file beside its source, chest.dcm."""
    folder = tmp_path_factory.mktemp("lossy")
    path = write_image(folder / "chest.dcm", radiograph(12, "MONOCHROME2"), "dicom")
    assert run("compress", "--max-error", 3, path).code == 0
    return folder / "chest.dcm.xrc"


def test_uid_policy(lossy: Path, tmp_path: Path) -> None:
    source = pydicom.dcmread(lossy.with_suffix(""))
    for policy in ("standard", "keep", "new"):
        out = tmp_path / f"{policy}.dcm"
        outcome = run("decompress", "--json", "--uid-policy", policy, lossy, "-o", out)
        assert outcome.code == 0
        (line,) = outcome.json_lines
        ds = pydicom.dcmread(out)
        assert line["lossy"] is True
        assert line["sop_instance_uid"] == ds.SOPInstanceUID
        assert (ds.SOPInstanceUID == source.SOPInstanceUID) == (policy == "keep")
        assert ds.LossyImageCompression == "01"
        assert ds.LossyImageCompressionMethod == "XRC_LATTICE"
        assert "error at most 3 grey levels" in ds.DerivationDescription
        error = np.abs(ds.pixel_array.astype(int) - source.pixel_array)
        assert 0 < error.max() <= 3


def test_the_ratio_is_against_bits_stored(lossy: Path) -> None:
    from xraycodec import decompress
    from xraycodec.container import inspect

    data = lossy.read_bytes()
    image = decompress(data)
    expected = image.pixels.size * 12 / 8 / inspect(data).payload_bytes
    assert image.losses[0].ratio == pytest.approx(expected, abs=0.001)


def test_parts_of_lossy_files_are_lossy(lossy: Path, tmp_path: Path) -> None:
    out = tmp_path / "part.dcm"
    assert run("decompress", "--scale", 2, lossy, "-o", out).code == 0
    assert pydicom.dcmread(out).LossyImageCompression == "01"


def test_lossless_files_keep_their_uid(tmp_path: Path) -> None:
    path = write_image(tmp_path / "chest.dcm", radiograph(12, "MONOCHROME2"), "dicom")
    assert run("compress", "--codec", "stored", path).code == 0
    outcome = run("decompress", "--json", f"{path}.xrc", "-o", tmp_path / "again.dcm")
    (line,) = outcome.json_lines
    assert line["lossy"] is False
    assert pydicom.dcmread(tmp_path / "again.dcm") == pydicom.dcmread(path)


def test_uid_policy_is_dicoms(lossy: Path) -> None:
    outcome = run("decompress", "--format", "png", "--uid-policy", "new", lossy, "-o", "-")
    assert outcome.code == 2
    assert "--uid-policy goes with DICOM outputs, not with png" in outcome.err


def test_a_lossy_file_made_lossless_stays_lossy(lossy: Path, tmp_path: Path) -> None:
    first = tmp_path / "first.dcm"
    assert run("decompress", lossy, "-o", first).code == 0
    assert run("compress", "--codec", "stored", first).code == 0
    assert run("decompress", f"{first}.xrc", "-o", tmp_path / "second.dcm").code == 0
    assert pydicom.dcmread(tmp_path / "second.dcm") == pydicom.dcmread(first)
    assert isinstance(read_image(first), XRay)
