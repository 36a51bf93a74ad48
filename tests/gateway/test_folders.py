from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_building import radiograph
from pydicom import dcmread

from xraycodec.errors import CorruptImageError
from xraycodec.files.dicom_writer import to_file
from xraycodec.gateway.config import FolderTarget
from xraycodec.gateway.faults import NameTaken, Unreadable, is_of_machine, is_of_object
from xraycodec.gateway.folders import file_instance, remove_instances, remove_temporaries

# pydicom's word on the values that these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR UI", "ignore:The value length")

STUDY = f"{radiograph(1).StudyInstanceUID}/{radiograph(1).SeriesInstanceUID}"
UID = str(radiograph(1).SOPInstanceUID)


@pytest.fixture(params=[0, 0o077, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def _instance(folder: Path, number: int = 1, **elements: str) -> Path:
    """A file whose data set has these values, which pydicom would not write on its own."""
    path = folder / f"source-{number}"
    dataset = radiograph(number)
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    path.write_bytes(to_file(dataset))
    return path


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_an_instance_has_its_uids_for_names(tmp_path: Path) -> None:
    target = FolderTarget(tmp_path / "made" / "drop")
    for _ in range(2):
        file_instance(target, _instance(tmp_path), UID)
        assert _files(target.folder) == [f"{STUDY}/{UID}.dcm"]
    assert dcmread(target.folder / STUDY / f"{UID}.dcm") == radiograph(1)


# What a folder's name can be made of, without leading out of it and without being another's.
ODD = ("", ".", "..", "....", ".1.2.3", "1.2.3.", "1..2", "../../etc", "/etc", "a\\b", "1" * 300)


def test_values_that_are_no_uid_have_names_of_their_own(tmp_path: Path) -> None:
    target = FolderTarget(tmp_path / "drop")
    for number, value in enumerate(ODD):
        source = _instance(tmp_path, number, StudyInstanceUID=value, SeriesInstanceUID=value)
        file_instance(target, source, str(radiograph(number).SOPInstanceUID))
    studies = sorted(path.name for path in target.folder.iterdir())
    assert len(studies) == len(ODD)
    assert all(name.startswith("unknown-") and len(name) == 40 for name in studies)
    assert len(_files(target.folder)) == len(ODD)
    # Nothing was written beside the folder.
    assert {path.name for path in tmp_path.iterdir()} == {
        "drop",
        *(f"source-{number}" for number in range(len(ODD))),
    }


def test_instances_of_old_spools_whose_uid_is_none_do_not_replace_each_other(
    tmp_path: Path,
) -> None:
    target = FolderTarget(tmp_path / "drop")
    for number, value in enumerate(ODD[1:]):
        file_instance(target, _instance(tmp_path, number, SOPInstanceUID=value), value)
    assert len(_files(target.folder)) == len(ODD) - 1


def test_the_file_of_another_instance_stays(tmp_path: Path) -> None:
    target = FolderTarget(tmp_path / "drop")
    place = target.folder / STUDY
    place.mkdir(parents=True)
    taken = place / f"{UID}.dcm"
    for content in (_instance(tmp_path, 2).read_bytes(), b"no DICOM", b""):
        taken.write_bytes(content)
        with pytest.raises(NameTaken) as caught:
            file_instance(target, _instance(tmp_path), UID)
        assert UID not in str(caught.value)
        with pytest.raises(NameTaken):
            remove_instances(target.folder, _instance(tmp_path), [UID])
        assert taken.read_bytes() == content
        assert _files(target.folder) == [f"{STUDY}/{UID}.dcm"]
    taken.unlink()
    taken.mkdir()
    with pytest.raises(NameTaken):
        file_instance(target, _instance(tmp_path), UID)


def test_the_instance_itself_is_replaced_and_removed(tmp_path: Path) -> None:
    target = FolderTarget(tmp_path / "drop")
    file_instance(target, _instance(tmp_path, PatientName="Doe^Jane"), UID)
    file_instance(target, _instance(tmp_path, PatientName="Doe^Janet"), UID)
    assert dcmread(target.folder / STUDY / f"{UID}.dcm").PatientName == "Doe^Janet"
    remove_instances(target.folder, _instance(tmp_path), [UID, "1.2.3"])
    assert _files(target.folder) == []


def test_a_source_that_cannot_be_read_is_of_the_object(tmp_path: Path) -> None:
    target = FolderTarget(tmp_path / "drop")
    with pytest.raises(Unreadable):
        file_instance(target, tmp_path / "none", UID)
    (tmp_path / "damaged").write_bytes(b"no DICOM")
    with pytest.raises(CorruptImageError):
        file_instance(target, tmp_path / "damaged", UID)
    assert not target.folder.exists()


@pytest.mark.skipif(os.name == "nt", reason="has other permissions")
@pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o600, 0o700), (0o640, 0o750)])
def test_permissions_are_as_configured_whatever_the_umask(
    tmp_path: Path, umask: int, file_mode: int, folder_mode: int
) -> None:
    os.umask(0o077)
    source = _instance(tmp_path)
    os.umask(umask)
    target = FolderTarget(tmp_path / "made" / "drop", file_mode, folder_mode)
    for _ in range(2):
        file_instance(target, source, UID)
        for path in (tmp_path / "made").rglob("*"):
            expected = folder_mode if path.is_dir() else file_mode
            assert path.stat().st_mode & 0o7777 == expected, path
    assert (tmp_path / "made").stat().st_mode & 0o7777 == folder_mode


def test_folders_that_are_there_keep_their_permissions(tmp_path: Path) -> None:
    folder = tmp_path / "drop"
    (folder / STUDY).mkdir(parents=True)
    (folder / STUDY).chmod(0o750)
    file_instance(FolderTarget(folder), _instance(tmp_path), UID)
    assert (folder / STUDY).stat().st_mode & 0o7777 == 0o750


def test_only_temporaries_of_ours_are_removed(tmp_path: Path) -> None:
    place = tmp_path / STUDY
    place.mkdir(parents=True)
    kept = [".x.tmp", f".{'A' * 32}.tmp", f"{'a' * 32}.tmp", f".{'a' * 31}.tmp", "1.2.dcm"]
    for name in [*kept, f".{'0f' * 16}.tmp"]:
        (place / name).write_bytes(b"")
    (tmp_path / f".{'0e' * 16}.tmp").write_bytes(b"")
    (place / f".{'0d' * 16}.tmp").mkdir()
    assert remove_temporaries(tmp_path) == 1
    assert sorted(path.name for path in place.iterdir()) == sorted([*kept, f".{'0d' * 16}.tmp"])
    assert (tmp_path / f".{'0e' * 16}.tmp").exists()
    assert remove_temporaries(tmp_path / "none") == 0


@pytest.mark.parametrize(
    "code",
    [
        *(errno.ENAMETOOLONG, errno.EINVAL, errno.EISDIR, errno.ENOTDIR, errno.EEXIST),
        *(errno.EACCES, errno.EPERM, errno.ELOOP, errno.EILSEQ, errno.EFBIG, errno.ENOENT),
    ],
    ids=errno.errorcode.get,
)
def test_an_error_of_one_name_is_of_the_object_while_the_folder_is_there(
    tmp_path: Path, code: int
) -> None:
    error = OSError(code, os.strerror(code))
    assert is_of_object(error, tmp_path)
    assert not is_of_object(error, tmp_path / "none")
    assert not is_of_machine(error)


@pytest.mark.parametrize(
    "code",
    [
        *(errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT, errno.ECONNREFUSED, errno.ESTALE),
        *(errno.EMFILE, errno.ENOMEM, errno.ETIMEDOUT, errno.EHOSTDOWN),
    ],
    ids=errno.errorcode.get,
)
def test_any_other_error_is_of_the_destination(tmp_path: Path, code: int) -> None:
    assert not is_of_object(OSError(code, os.strerror(code)), tmp_path)


def test_a_folder_that_cannot_be_written_is_at_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert not is_of_object(PermissionError(errno.EACCES, "denied"), tmp_path)
