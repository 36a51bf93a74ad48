"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys

import pytest

from xraycodec.errors import OptionError
from xraycodec.files import write_atomically
from xraycodec.files.atomic import copy_atomically, remove_stale


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


def _mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def usual_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("usual_umask")
class TestPermissions:
    @pytest.mark.parametrize(
        ("given", "got"),
        [(0o600, 0o600), (0o664, 0o664), (0o440, 0o440), (0o7755, 0o755), (0o100640, 0o640)],
    )
    def test_are_those_given_whatever_the_umask(self, tmp_path, given, got):
        write_atomically(tmp_path / "a", b"abc", mode=given)
        assert _mode(tmp_path / "a") == got

    @pytest.mark.parametrize(
        ("there", "given", "got"),
        [
            (0o600, None, 0o600),
            (0o644, None, 0o644),
            (0o666, None, 0o644),
            (0o600, 0o644, 0o600),
            (0o644, 0o600, 0o600),
            (0o640, 0o604, 0o600),
            (0o755, 0o644, 0o644),
        ],
    )
    def test_are_never_wider_than_those_of_the_file_replaced(self, tmp_path, there, given, got):
        path = tmp_path / "a"
        path.write_bytes(b"old")
        path.chmod(there)
        write_atomically(path, b"new", overwrite=True, mode=given)
        assert path.read_bytes() == b"new"
        assert _mode(path) == got

    def test_are_the_narrowest_until_all_is_written(self, tmp_path, monkeypatch):
        seen = []
        fchmod = os.fchmod

        def watch(descriptor, mode):
            found = os.fstat(descriptor)
            seen.append((stat.S_IMODE(found.st_mode), found.st_size))
            fchmod(descriptor, mode)

        monkeypatch.setattr(os, "fchmod", watch)
        write_atomically(tmp_path / "a", b"abc", mode=0o644)
        assert seen == [(0o600, 3)]

    @pytest.mark.parametrize("there", [False, True])
    def test_stay_narrow_where_the_file_system_has_none(self, tmp_path, monkeypatch, there):
        def refuse(descriptor, mode):
            raise OSError(errno.EPERM, "no permissions here")

        path = tmp_path / "a"
        if there:
            path.write_bytes(b"old")
        monkeypatch.setattr(os, "fchmod", refuse)
        write_atomically(path, b"abc", mode=0o644, overwrite=there)
        assert path.read_bytes() == b"abc"
        assert _mode(path) == 0o600

    def test_of_the_group_are_for_the_same_group(self, tmp_path, monkeypatch):
        def refuse(descriptor, user, group):
            raise PermissionError(errno.EPERM, "not yours to give")

        monkeypatch.setattr(os, "fchown", refuse)
        found = tmp_path.stat()
        for mode, ours, others in ((0o640, 0o640, 0o600), (0o664, 0o664, 0o644)):
            for group, expected in ((found.st_gid, ours), (found.st_gid + 1, others)):
                path = tmp_path / f"{mode}-{group}"
                write_atomically(path, b"abc", mode=mode, owner=(found.st_uid, group))
                assert _mode(path) == expected

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
    def test_go_with_the_owner_and_never_beyond_the_group_of_the_file_replaced(self, tmp_path):
        path = tmp_path / "a"
        write_atomically(path, b"abc", mode=0o640, owner=(4711, 4712))
        found = path.stat()
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (4711, 4712, 0o640)
        write_atomically(path, b"abc", mode=0o664, overwrite=True)
        assert path.stat().st_gid != 4712
        assert _mode(path) == 0o600


def test_times_are_those_given(tmp_path):
    times = (1_000_000_000_123_456_789, 1_100_000_000_987_654_321)
    write_atomically(tmp_path / "a", b"abc", times_ns=times)
    found = (tmp_path / "a").stat()
    assert (found.st_atime_ns, found.st_mtime_ns) == times


class TestCopies:
    def test_have_content_permissions_and_times(self, tmp_path):
        source = tmp_path / "a"
        source.write_bytes(b"abc" * 1000)
        source.chmod(0o640)
        os.utime(source, ns=(5 * 10**17, 6 * 10**17))
        assert copy_atomically(source, tmp_path / "b") == 3000
        assert (tmp_path / "b").read_bytes() == source.read_bytes()
        assert _mode(tmp_path / "b") == 0o640
        assert (tmp_path / "b").stat().st_mtime_ns == 6 * 10**17

    def test_replace_nothing_unless_asked(self, tmp_path):
        (tmp_path / "a").write_bytes(b"new")
        (tmp_path / "b").write_bytes(b"old")
        with pytest.raises(OptionError, match="exists"):
            copy_atomically(tmp_path / "a", tmp_path / "b")
        assert (tmp_path / "b").read_bytes() == b"old"

    def test_of_pipes_are_refused(self, tmp_path):
        os.mkfifo(tmp_path / "a")
        with pytest.raises(OptionError, match="not a regular file"):
            copy_atomically(tmp_path / "a", tmp_path / "b")
        with pytest.raises(FileNotFoundError):
            copy_atomically(tmp_path / "none", tmp_path / "b")
        assert [path.name for path in tmp_path.iterdir()] == ["a"]


class TestStaleTemporaries:
    NAME = f".{'0123456789abcdef' * 2}.tmp"

    @staticmethod
    def _old(path, content=b"part"):
        path.write_bytes(content)
        os.utime(path, (10**9, 10**9))
        return path

    def test_of_a_run_that_was_killed_go(self, tmp_path):
        code = (
            "import os, pathlib, signal; from xraycodec.files import write_atomically;"
            "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL);"
            f"write_atomically(pathlib.Path({str(tmp_path / 'a')!r}), b'abc', mode=0o400)"
        )
        done = subprocess.run([sys.executable, "-c", code], check=False, timeout=120)
        assert done.returncode == -signal.SIGKILL
        (left,) = tmp_path.iterdir()
        remove_stale(tmp_path)
        assert left.exists(), "it may still be written"
        os.utime(left, (10**9, 10**9))
        remove_stale(tmp_path)
        assert not left.exists()

    @pytest.mark.parametrize(
        "name",
        ["a.tmp", NAME[1:], NAME.upper(), f".{'0' * 31}.tmp", f".{'0' * 33}.tmp", NAME + "x"],
    )
    def test_are_told_by_their_whole_name(self, tmp_path, name):
        theirs = self._old(tmp_path / name)
        remove_stale(tmp_path)
        assert theirs.exists()

    def test_that_are_written_stay_however_old(self, tmp_path):
        path = self._old(tmp_path / self.NAME)
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            remove_stale(tmp_path)
            assert path.exists()
        remove_stale(tmp_path)
        assert not path.exists()

    def test_are_locked_until_they_have_their_name(self, tmp_path, monkeypatch):
        seen = []
        link = os.link

        def watch(source, target):
            os.utime(source, (10**9, 10**9))
            remove_stale(tmp_path)
            seen.append(source.exists())
            link(source, target)

        monkeypatch.setattr(os, "link", watch)
        write_atomically(tmp_path / "a", b"abc", times_ns=(10**18, 10**18))
        assert seen == [True]

    def test_are_regular_files(self, tmp_path):
        folder = tmp_path / self.NAME
        folder.mkdir()
        os.utime(folder, (10**9, 10**9))
        target = self._old(tmp_path / "precious")
        link = tmp_path / f".{'f' * 32}.tmp"
        link.symlink_to(target)
        remove_stale(tmp_path)
        assert folder.is_dir()
        assert link.is_symlink()
        assert target.exists()

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
    def test_of_other_users_stay(self, tmp_path):
        path = self._old(tmp_path / self.NAME)
        os.chown(path, 4711, -1)
        remove_stale(tmp_path)
        assert path.exists()

    def test_where_there_are_no_locks_go_by_age(self, tmp_path, monkeypatch):
        def unsupported(descriptor, operation):
            raise OSError(errno.ENOLCK, "no locks")

        monkeypatch.setattr(fcntl, "flock", unsupported)
        old, young = self._old(tmp_path / self.NAME), tmp_path / f".{'f' * 32}.tmp"
        young.write_bytes(b"part")
        remove_stale(tmp_path)
        assert not old.exists()
        assert young.exists()

    def test_of_a_folder_that_cannot_be_read_are_none(self, tmp_path):
        remove_stale(tmp_path / "none")
