"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from xraycodec.errors import OptionError
from xraycodec.files import write_atomically


def test_writes_with_the_permissions_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a.xrc", b"abc")
    finally:
        os.umask(before)
    assert (tmp_path / "a.xrc").read_bytes() == b"abc"
    assert stat.S_IMODE((tmp_path / "a.xrc").stat().st_mode) == 0o640
    assert [p.name for p in tmp_path.iterdir()] == ["a.xrc"]


def test_an_existing_file_stays(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(OptionError, match=r"a exists; -f overwrites it"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_overwrite_replaces(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    write_atomically(path, b"new", overwrite=True)
    assert path.read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 1


def test_overwrite_follows_symbolic_links(tmp_path):
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_atomically(tmp_path / "link", b"new", overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


def test_a_dangling_link_is_an_existing_name(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OptionError, match="exists"):
        write_atomically(tmp_path / "link", b"new")


def test_a_file_that_appears_meanwhile_stays(tmp_path, monkeypatch):
    path = tmp_path / "a"
    fsync = os.fsync

    def race(descriptor):
        path.write_bytes(b"theirs")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", race)
    with pytest.raises(OptionError, match="exists"):
        write_atomically(path, b"ours")
    assert path.read_bytes() == b"theirs"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_a_failure_leaves_nothing(tmp_path, monkeypatch, overwrite, failure):
    def fail(descriptor):
        raise failure

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(failure)):
        write_atomically(tmp_path / "a", b"abc", overwrite=overwrite)
    assert list(tmp_path.iterdir()) == []


class TestWithoutHardLinks:
    @pytest.fixture(autouse=True)
    def _no_links(self, monkeypatch):
        def refuse(source, target):
            raise OSError(errno.EPERM, "no hard links here")

        monkeypatch.setattr(os, "link", refuse)

    def test_writes(self, tmp_path):
        write_atomically(tmp_path / "a", b"abc")
        assert (tmp_path / "a").read_bytes() == b"abc"
        assert len(list(tmp_path.iterdir())) == 1

    def test_a_file_that_appears_meanwhile_stays(self, tmp_path, monkeypatch):
        fsync = os.fsync

        def race(descriptor):
            (tmp_path / "a").write_bytes(b"theirs")
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", race)
        with pytest.raises(OptionError, match="exists"):
            write_atomically(tmp_path / "a", b"abc")
        assert (tmp_path / "a").read_bytes() == b"theirs"
        assert len(list(tmp_path.iterdir())) == 1


def test_other_failures_of_link_are_reported(tmp_path, monkeypatch):
    def refuse(source, target):
        raise OSError(errno.EIO, "broken disk")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(OSError, match="broken disk"):
        write_atomically(tmp_path / "a", b"abc")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "none" / "a", b"abc")
