"""From inputs to files: folders, lists, names in the archive."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from xraycodec.archive.records import Found
from xraycodec.archive.scanning import Request, below_base, lines, scan, zero_ended
from xraycodec.errors import OptionError


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
    listed = ["memory://scan/other", "memory://scan/gone"]
    sizes = {
        file.output: file.size_bytes
        for file in scan(Request([], [listed], "memory://scan", ""), lambda *_: None)
    }
    assert sizes == {"other.xrc": 1, "gone.xrc": None}
