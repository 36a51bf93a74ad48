"""Places: whole files or none, nothing overwritten by accident, nothing outside."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest

from xraycodec.archive.modes import NO_ORIGIN, Origin
from xraycodec.archive.places import LocalPlace, Place, check_name, digest, place_for
from xraycodec.archive.temporaries import TEMPORARIES
from xraycodec.errors import CorruptError, OptionError

OWNER, OTHER = "0" * 16, "1" * 16


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "memory":
        pytest.importorskip("fsspec")
        return place_for(f"memory://{tmp_path.name}", "me")
    return place_for(str(tmp_path / "out"), "me")


def test_files_are_put_and_read(place: Place) -> None:
    assert place.size_bytes("a/b.xrc") is None
    place.put("a/b.xrc", b"data", earlier=None, force=False)
    assert place.size_bytes("a/b.xrc") == 4
    assert place.read("a/b.xrc") == b"data"
    assert place.size_bytes("a/b.xrc/c") is None


def test_what_is_there_is_replaced_only_where_it_may_be(place: Place) -> None:
    place.put("a", b"one", earlier=None, force=False)
    place.put("a", b"one", earlier=None, force=False)
    with pytest.raises(OptionError, match="a exists with other content; -f overwrites it"):
        place.put("a", b"two", earlier=digest(b"another"), force=False)
    assert place.read("a") == b"one"
    place.put("a", b"two", earlier=digest(b"one"), force=False)
    assert place.read("a") == b"two"
    place.put("a", b"three", earlier=None, force=True)
    assert place.read("a") == b"three"


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/a", ".."])
def test_names_that_lead_out_are_refused(place: Place, name: str) -> None:
    for action in (
        lambda: place.put(name, b"", earlier=None, force=True),
        lambda: place.write(name, b"", replace=True),
        lambda: place.read(name),
        lambda: place.size_bytes(name),
    ):
        with pytest.raises(OptionError, match="leads out of the folder"):
            action()


@pytest.mark.parametrize("name", ["", ".", "a\0b"])
def test_what_is_no_name_is_refused(place: Place, name: str) -> None:
    with pytest.raises(OptionError, match="is none that a file can have"):
        place.read(name)


@pytest.mark.parametrize("name", ["C:\\a", "C:a", "C:/a", "a\\..\\..\\b", "\\\\host\\share\\a"])
def test_names_that_lead_out_on_windows(name: str) -> None:
    with pytest.raises(OptionError, match="leads out of the folder"):
        check_name(name, PureWindowsPath)
    check_name(name.replace("..", "__"), PurePosixPath)


def test_links_that_lead_out_are_refused(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    (outside / "sub").mkdir(parents=True)
    (outside / "a").write_bytes(b"theirs")
    root.mkdir()
    (root / "folder").symlink_to(outside)
    (root / "nowhere").symlink_to(outside / "new")
    (root / "a").symlink_to(outside / "a")
    place = LocalPlace(str(root), OWNER)
    for name in ("folder/a", "folder/new", "folder/sub/new", "nowhere/new"):
        with pytest.raises(OptionError, match="by a symbolic link"):
            place.write(name, b"ours", replace=True)
    for name in ("folder/a", "a"):
        with pytest.raises(OptionError, match="by a symbolic link"):
            place.read(name)
        with pytest.raises(OptionError, match="by a symbolic link"):
            place.put(name, b"ours", earlier=digest(b"theirs"), force=True)
    assert sorted(path.name for path in outside.rglob("*")) == ["a", "sub"]
    assert (outside / "a").read_bytes() == b"theirs"


def test_temporary_files_do_not_follow_a_link_out(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    left = leave(outside, OTHER)
    (root / TEMPORARIES).symlink_to(outside)
    place = LocalPlace(str(root), OWNER)
    with pytest.raises(OptionError, match="by a symbolic link"), place.writing():
        pass
    with pytest.raises(OptionError, match="by a symbolic link"):
        place.write("a", b"data", replace=False)
    assert sorted(outside.iterdir()) == sorted(left)


HOLDER = """
import pathlib, sys
from xraycodec.archive.places import LocalPlace
place = LocalPlace(sys.argv[1], sys.argv[2])
with place.writing():
    pathlib.Path(sys.argv[1], ".xrc-archive", sys.argv[2] + "-" + "a" * 16 + ".tmp").touch()
    print("writing", flush=True)
    sys.stdin.read()
"""


def test_a_run_that_is_killed_loses_its_temporary_files_and_one_at_work_keeps_them(
    tmp_path: Path,
) -> None:
    part = tmp_path / TEMPORARIES / f"{OTHER}-{'a' * 16}.tmp"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path), OTHER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"writing\n"
        with LocalPlace(str(tmp_path), OWNER).writing():
            pass
        assert part.exists()
        process.kill()
    with LocalPlace(str(tmp_path), OWNER).writing():
        assert not part.exists()
    assert list(tmp_path.iterdir()) == []


def test_links_within_a_folder_are_followed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "disk2").mkdir(parents=True)
    (root / "2019").symlink_to("disk2")
    linked = tmp_path / "link"
    linked.symlink_to(root)  # the root itself may be one: the user named it
    LocalPlace(str(linked), OWNER).put("2019/a", b"data", earlier=None, force=False)
    assert (root / "disk2" / "a").read_bytes() == b"data"


def test_only_regular_files_of_the_right_size_are_read(tmp_path: Path) -> None:
    place = LocalPlace(str(tmp_path), OWNER)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(CorruptError, match=f"{name} is not a regular file"):
            place.read(name)
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(CorruptError, match=f"huge has {1 << 40} bytes; the manifest has 4"):
        place.read("huge", 4)


def test_objects_of_another_size_are_not_read() -> None:
    pytest.importorskip("fsspec")
    place = place_for("memory://sizes", "me")
    place.put("a", b"data", earlier=None, force=False)
    assert place.read("a", 4) == b"data"
    with pytest.raises(CorruptError, match="has not the 3 bytes"):
        place.read("a", 3)


def test_the_name_of_an_object_is_no_url() -> None:
    """A manifest may name "x::http://host/": fsspec would go there."""
    fsspec = pytest.importorskip("fsspec")
    place = place_for("memory://chained", "me")
    name = "a::http://127.0.0.1:9/b"
    place.put(name, b"data", earlier=None, force=False)
    assert place.read(name) == b"data"
    assert fsspec.filesystem("memory").cat_file(f"/chained/{name}") == b"data"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_a_file_is_like_its_origin(tmp_path: Path) -> None:
    source = tmp_path / "in" / "patient" / "study" / "a"
    source.parent.mkdir(parents=True)
    source.touch()
    (tmp_path / "in" / "patient").chmod(0o700)
    (tmp_path / "in" / "patient" / "study").chmod(0o550)
    place = LocalPlace(str(tmp_path / "out"), OWNER)
    with place.writing(0o750):
        place.write(
            "p/s/a", b"", replace=False, origin=Origin(str(source), 0o104640, mtime_ns=10**18)
        )
    out = tmp_path / "out"
    assert mode_of(out) == 0o750
    assert mode_of(out / "p") == 0o700
    assert mode_of(out / "p" / "s") == 0o750  # its owner has to write to it
    assert mode_of(out / "p" / "s" / "a") == 0o640
    assert (out / "p" / "s" / "a").stat().st_mtime_ns == 10**18


@pytest.mark.usefixtures("open_umask")
@pytest.mark.parametrize(("mode", "kept"), [(0o640, 0o600), (0o664, 0o644), (0o777, 0o777)])
def test_another_group_gets_no_more_than_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, kept: int
) -> None:
    def refuse(descriptor: int, user: int, group: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    place, theirs = LocalPlace(str(tmp_path), OWNER), os.getegid() + 1
    place.write("ours", b"", replace=False, origin=Origin("", mode, os.getegid()))
    place.write("theirs", b"", replace=False, origin=Origin("", mode, theirs))
    assert (mode_of(tmp_path / "ours"), mode_of(tmp_path / "theirs")) == (mode, kept)


@pytest.mark.usefixtures("open_umask")
@pytest.mark.parametrize(("origin", "mode"), [(NO_ORIGIN, 0o600), (Origin("", 0o755), 0o600)])
def test_replacing_a_file_widens_nothing(tmp_path: Path, origin: Origin, mode: int) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "a").chmod(0o600)
    LocalPlace(str(tmp_path), OWNER).put("a", b"new", earlier=None, force=True, origin=origin)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert mode_of(tmp_path / "a") == mode


@pytest.mark.usefixtures("open_umask")
def test_a_file_without_origin_has_the_mode_of_any(tmp_path: Path) -> None:
    LocalPlace(str(tmp_path), OWNER).write("a", b"", replace=False)
    assert mode_of(tmp_path / "a") == 0o644


def test_a_file_that_appears_meanwhile_is_safe(tmp_path: Path) -> None:
    place = LocalPlace(str(tmp_path), "me")
    (tmp_path / "a").write_bytes(b"theirs")
    with pytest.raises(OptionError, match="exists; -f overwrites it"):
        place.write("a", b"ours", replace=False)
    assert (tmp_path / "a").read_bytes() == b"theirs"
    assert list((tmp_path / TEMPORARIES).iterdir()) == []


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(5, "I/O error")

    place = LocalPlace(str(tmp_path), "me")
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="I/O error"):
        place.put("a/b", b"data", earlier=None, force=False)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def leave(folder: Path, *owners: str) -> list[Path]:
    """What runs that were killed leave: a lock that nobody holds, and parts of files."""
    folder.mkdir(exist_ok=True)
    left = []
    for owner in owners:
        left += [folder / f"{owner}.lock", folder / f"{owner}-{'a' * 16}.tmp"]
    for path in left:
        path.touch()
    return left


def test_writing_removes_what_killed_runs_left(tmp_path: Path) -> None:
    folder = tmp_path / TEMPORARIES
    leave(folder, OTHER)
    (folder / f"{'2' * 16}-{'b' * 16}.tmp").touch()  # whose lock is gone
    with LocalPlace(str(tmp_path), OWNER).writing():
        assert [path.name for path in folder.iterdir()] == [f"{OWNER}.lock"]
        (folder / f"{OWNER}-{'c' * 16}.tmp").touch()
    assert not folder.exists()


def test_writing_leaves_what_is_not_its_own(tmp_path: Path) -> None:
    folder = tmp_path / TEMPORARIES
    folder.mkdir()
    others = [
        "notes.tmp",
        f"{OTHER}.tmp",
        f"x{OTHER}-{'a' * 16}.tmp",
        f"{OTHER}-{'a' * 16}.tmp.old",
    ]
    for name in others:
        (folder / name).touch()
    (folder / f"{OTHER}-{'b' * 16}.tmp").mkdir()  # cannot be removed, and stops no run
    with LocalPlace(str(tmp_path), OWNER).writing():
        pass
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [*others, f"{OTHER}-{'b' * 16}.tmp"]
    )


def test_two_runs_write_to_one_folder(tmp_path: Path) -> None:
    folder = tmp_path / TEMPORARIES
    first, second = LocalPlace(str(tmp_path), OWNER), LocalPlace(str(tmp_path), OTHER)
    with first.writing():
        part = folder / f"{OWNER}-{'a' * 16}.tmp"
        part.touch()
        with second.writing():
            assert part.exists()
            second.put("b", b"data", earlier=None, force=False)
        first.put("a", b"data", earlier=None, force=False)
        assert part.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_urls_that_cannot_serve() -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(OptionError, match="nosuch"):
        place_for("nosuch://a/b", "me")
    for url in ("http://example.org/a", "zip://a::http://127.0.0.1:9/b", "sftp://host/a"):
        with pytest.raises(OptionError, match="would be seen in parts"):
            place_for(url, "me")
    with pytest.raises(OptionError, match="chain others"):
        place_for("memory://a::http://127.0.0.1:9/b", "me")
    assert place_for("file:///a/b", "me") == LocalPlace("/a/b", "me")
