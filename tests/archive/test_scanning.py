"""From inputs to files: folders, lists, names in the archive."""

from __future__ import annotations

import errno
import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest

from xraycodec.archive.originals import read_original
from xraycodec.archive.records import Found
from xraycodec.archive.scanning import Request, below_base, lines, scan, zero_ended
from xraycodec.errors import OptionError
from xraycodec.files.dicomdir import MEDIA_STORAGE_DIRECTORY


def names(request: Request) -> tuple[list[str], list[tuple[str, str]]]:
    problems: list[tuple[str, str]] = []
    found = scan(request, lambda name, error: problems.append((name, str(error))))
    return sorted(file.output for file in found), problems


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def test_folders_are_walked_without_what_archives_leave(tmp_path: Path) -> None:
    root = touch(
        tmp_path, "a/b/1.png", "2.dcm", "out/2.dcm.xrc", "out/odd", ".xrc-archive/x.tmp", "3.XRC"
    )
    (root / "loop").symlink_to(root)
    (root / "link.png").symlink_to(root / "2.dcm")
    os.mkfifo(root / "pipe")
    found, problems = names(Request([str(root)], [], None, str(root / "out")))
    assert found == ["2.dcm.xrc", "a/b/1.png.xrc", "link.png.xrc"]
    assert problems == []


def test_a_bad_entry_costs_no_other(tmp_path: Path) -> None:
    """Dangling links and links to themselves are found, so that the manifest has their failure."""
    root = touch(tmp_path, *(f"a/{number:02}.png" for number in range(40)))
    (root / "a" / "itself.png").symlink_to("itself.png")
    (root / "a" / "dangling").symlink_to("gone")
    (root / "a" / "dangling.xrc").symlink_to("gone")
    (root / "a" / "two").symlink_to("one")
    (root / "a" / "one").symlink_to("two")
    found, problems = names(Request([str(root)], [], None, ""))
    others = ["dangling", "itself.png", "one", "two"]
    assert found == sorted(
        f"a/{name}.xrc" for name in (*(f"{n:02}.png" for n in range(40)), *others)
    )
    assert problems == []


class Vanishing:
    """A folder's entry that another process removes as soon as it was listed."""

    def __init__(self, entry: os.DirEntry[str]) -> None:
        self.name, self.path = entry.name, entry.path

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        if "nostat" in self.name:
            raise PermissionError(errno.EACCES, "Permission denied", self.path)
        return False

    def is_symlink(self) -> bool:
        return False

    def stat(self) -> os.stat_result:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", self.path)


def test_what_vanishes_is_named_and_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = touch(tmp_path, "1.png", "2.png", "gone.png", "nostat.png", "later/3.png")
    scandir = os.scandir

    @contextmanager
    def entries(folder: str) -> Iterator[Iterator[object]]:
        with scandir(folder) as listed:
            yield (Vanishing(e) if e.name in ("gone.png", "nostat.png") else e for e in listed)

    monkeypatch.setattr(os, "scandir", entries)
    found, problems = names(Request([str(root)], [], None, ""))
    assert found == ["1.png.xrc", "2.png.xrc", "later/3.png.xrc"]
    assert sorted(name for name, _ in problems) == [
        str(root / "gone.png"),
        str(root / "nostat.png"),
    ]


def test_a_folder_that_cannot_be_listed_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = touch(tmp_path, "a/1.png", "b/2.png", "c/3.png")
    scandir = os.scandir

    def refuse(folder: str) -> object:
        if folder == str(root / "b"):
            raise PermissionError(errno.EACCES, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    found, problems = names(Request([str(root)], [], None, ""))
    assert found == ["a/1.png.xrc", "c/3.png.xrc"]
    assert [name for name, _ in problems] == [str(root / "b")]


def test_a_bad_line_costs_no_other(tmp_path: Path) -> None:
    root = touch(tmp_path, "1.png", "2.png")
    (root / "itself").symlink_to("itself")
    listed = [
        f"{root}/1.png",
        f"{root}/a\0b.png",
        f"{root}/itself",
        f"{root}/{'x' * 300}",
        f"{root}/2.png",
    ]
    found, problems = names(Request([], [listed], str(root), ""))
    assert found == sorted(["1.png.xrc", "2.png.xrc", "itself.xrc", f"{'x' * 300}.xrc"])
    assert problems == [
        (listed[1], "the name has a zero byte in it; -0 reads names that zero bytes end")
    ]


def test_a_bad_record_of_a_dicomdir_costs_no_other(tmp_path: Path) -> None:
    root = touch(tmp_path, "IM1", "IM2")
    records = []
    for name in ("IM1", "..", "IM2", "GONE", "X" * 300):
        record = pydicom.Dataset()
        record.DirectoryRecordType = "IMAGE"
        with pydicom.config.disable_value_validation():
            record.ReferencedFileID = name
        records.append(record)
    directory = pydicom.Dataset()
    directory.DirectoryRecordSequence = pydicom.Sequence(records)
    directory.file_meta = pydicom.dataset.FileMetaDataset()
    directory.file_meta.MediaStorageSOPClassUID = MEDIA_STORAGE_DIRECTORY
    directory.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    directory.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        directory.save_as(root / "DICOMDIR", enforce_file_format=True)
    found, problems = names(Request([str(root / "DICOMDIR")], [], None, ""))
    assert found == ["GONE.xrc", "IM1.xrc", "IM2.xrc"]
    assert [name for name, _ in problems] == [str(root / "DICOMDIR")] * 2
    assert problems[0][1].startswith("directory record 1 has a File ID that cannot be used")
    assert problems[1][1].startswith("directory record 4: ")


def test_a_file_is_named_and_a_missing_one_too(tmp_path: Path) -> None:
    root = touch(tmp_path, "a/1.png")
    request = Request([str(root / "a/1.png"), f"file://{root}/none"], [], None, "")
    first, second = scan(request, lambda *_: pytest.fail("a problem"))
    stat = (root / "a/1.png").stat()
    assert first == Found(str(root / "a/1.png"), "1.png.xrc", 1, stat.st_mtime_ns, True)
    assert second == Found(str(root / "none"), "none.xrc", None, None, True)


def test_lists_repeat_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = touch(tmp_path, "a/1.png", "b/2.png")
    monkeypatch.chdir(root)
    listed = ["a/1.png", "", "./b/../b/2.png", "../c", str(root / "b/2.png")]
    found, problems = names(Request([], [listed], None, ""))
    inside = str(root).lstrip("/")
    assert found == sorted(["a/1.png.xrc", "b/2.png.xrc", f"{inside}/b/2.png.xrc"])
    assert problems == [("../c", "it leads out of the folder; say --base")]
    found, problems = names(Request([], [["b/2.png", "/etc/hosts"]], str(root / "b"), ""))
    assert found == ["2.png.xrc"]
    assert problems == [("/etc/hosts", f"it is not below {root / 'b'}")]


def test_names_of_urls_below_a_base() -> None:
    assert below_base("s3://bucket/a/b.dcm", None) == "bucket/a/b.dcm"
    assert below_base("s3://bucket/a/b.dcm", "s3://bucket/a/") == "b.dcm"
    for name in ("s3://bucket/ab.dcm", "s3://bucket/a/"):
        with pytest.raises(OptionError):
            below_base(name, "s3://bucket/a")


def test_lists_of_lines_and_of_zero_ended_names() -> None:
    assert list(lines(io.BytesIO(b"a b\r\n\xff\nlast"))) == ["a b", os.fsdecode(b"\xff"), "last"]
    stream = io.BytesIO(b"a\nb\0c\0" + b"d" * 100_000)
    assert list(zero_ended(stream.read)) == ["a\nb", "c", "d" * 100_000]
    assert list(zero_ended(io.BytesIO(b"").read)) == []


def test_objects_below_a_prefix() -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    for name in ("a/1.png", "a/b/2.png", "a/b/2.png.xrc", "other"):
        memory.pipe_file(f"/scan/{name}", b"x")
    found, problems = names(Request(["memory://scan/a"], [], None, ""))
    assert (found, problems) == (["1.png.xrc", "b/2.png.xrc"], [])
    found, problems = names(Request(["memory://scan/a/1.png"], [], None, ""))
    assert (found, problems) == (["1.png.xrc"], [])
    found, problems = names(Request(["memory://scan/none"], [], None, ""))
    assert found == []
    assert problems[0][0] == "memory://scan/none"
    ((name, why),) = problems
    assert why == f"{name}: there is no object of this name, nor any below it"
    listed = ["memory://scan/other", "memory://scan/gone"]
    sizes = {
        file.output: file.size_bytes
        for file in scan(Request([], [listed], "memory://scan", ""), lambda *_: None)
    }
    assert sizes == {"other.xrc": 1, "gone.xrc": None}


def test_a_prefix_that_cannot_be_listed_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    for name in ("1.png", "b/2.png", "c/3.png", "x::http"):
        memory.pipe_file(f"/listing/{name}", b"x")
    ls = type(memory).ls

    def refuse(self: object, path: str, detail: bool = True, **options: object) -> object:
        if path.rstrip("/").endswith("/b"):
            raise TimeoutError("no answer")
        return ls(self, path, detail=detail, **options)

    monkeypatch.setattr(type(memory), "ls", refuse)
    found, problems = names(Request(["memory://listing"], [], None, ""))
    assert found == ["1.png.xrc", "c/3.png.xrc", "x::http.xrc"]
    assert problems == [("memory:///listing/b", "no answer")]
    # A name that fsspec would take for the URL of another host is not asked for.
    with pytest.raises(OptionError, match="chain others"):
        read_original("memory:///listing/x::http", named=False)
