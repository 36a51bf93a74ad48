"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from xraycodec.errors import OptionError

# What file systems without hard links (FAT, some network shares) answer to link().
_NO_LINKS = frozenset((errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK))
_TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.tmp")
_STALE_SECONDS = 6 * 3600
"""Age at which a temporary file that nobody holds open is one of a run that was killed."""
_PERMISSIONS = 0o777  # of a mode; neither set-user-ID, set-group-ID nor the sticky bit


def is_temporary(name: str) -> bool:
    """Whether `write_atomically` gives its temporary files names like this one."""
    return _TEMPORARY.fullmatch(name) is not None


def write_atomically(
    path: Path,
    data: bytes,
    *,
    overwrite: bool = False,
    mode: int | None = None,
    times_ns: tuple[int, int] | None = None,
    owner: tuple[int, int] | None = None,
) -> None:
    """Write ``data`` to ``path`` so that no reader ever sees a part of it.

    The bytes go to a temporary file in the same folder, are flushed to the disk, and only then
    take the name. An interrupted call leaves neither a partial nor a temporary file. A symbolic
    link that is overwritten stays one: the file it points to is replaced.

    A file that replaces another never has wider permissions than that one had, whatever ``mode``
    says. Where the file system cannot set permissions or times, the file stays as it was created:
    readable by its owner only if ``mode`` is given.

    Args:
        path: the file to write; its folder must exist.
        data: the whole content.
        overwrite: whether an existing file may be replaced. Without it a file that another
            process creates meanwhile is safe, too.
        mode: permissions of the file (only the bits of 0o777 count), whatever the umask; without,
            0o666 less the umask.
        times_ns: time of the last access and of the last change, in nanoseconds since 1970.
        owner: user and group, given to the file as far as the system allows it to this user. If
            the file ends up in another group, that group gets no more than ``mode`` gives to all.

    Raises:
        OptionError: ``path`` exists and ``overwrite`` is not set.
        OSError: the file system refuses: no such folder, no permission, no space.
    """
    with _appearing(path, overwrite, mode, times_ns, owner) as file:
        file.write(data)


def copy_atomically(source: Path, path: Path, *, overwrite: bool = False) -> int:
    """Copy a file with its permissions and times, as `write_atomically` does; return its size.

    Raises:
        OptionError: ``path`` exists and ``overwrite`` is not set, or ``source`` is a pipe or a
            device.
        OSError: the file system refuses.
    """
    if not source.is_file() and source.exists():  # opening a pipe would wait for its writer
        raise OptionError("it is not a regular file and cannot be copied")
    with source.open("rb") as original:
        found = os.fstat(original.fileno())
        times = (found.st_atime_ns, found.st_mtime_ns)
        owner = (found.st_uid, found.st_gid)
        with _appearing(path, overwrite, found.st_mode, times, owner) as file:
            shutil.copyfileobj(original, file, 1 << 20)
    return found.st_size


def remove_stale(folder: Path) -> None:
    """Remove the temporary files that killed runs of this user left in ``folder``.

    A file goes if it has the name of a temporary file of `write_atomically`, belongs to this user,
    was last written hours ago, and no process holds the lock that its writer takes. On network
    file systems without locks across machines, age alone decides. What cannot be removed stays.
    """
    oldest = time.time() - _STALE_SECONDS
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if is_temporary(entry.name):
                with contextlib.suppress(OSError):
                    _remove_if_stale(Path(entry.path), oldest)


def _remove_if_stale(path: Path, oldest: float) -> None:
    found = path.lstat()
    ours = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
    if not (stat.S_ISREG(found.st_mode) and ours and found.st_mtime < oldest):
        return
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    try:
        _lock(descriptor)
        path.unlink()
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Lock an open file until its last descriptor is closed, where the system can.

    Raises:
        BlockingIOError: another process holds the lock.
    """
    try:
        import fcntl
    except ImportError:  # Windows, which does not remove open files either
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return


@contextlib.contextmanager
def _appearing(
    path: Path,
    overwrite: bool,
    mode: int | None,
    times_ns: tuple[int, int] | None,
    owner: tuple[int, int] | None,
) -> Iterator[BinaryIO]:
    """Give a file to write that gets the name ``path`` at the end, or vanishes after an error."""
    replaced: os.stat_result | None = None
    if overwrite:
        path = Path(os.path.realpath(path))
        with contextlib.suppress(FileNotFoundError):
            replaced = path.stat()
    elif os.path.lexists(path):
        raise _exists(path)
    temporary = path.parent / f".{secrets.token_hex(16)}.tmp"
    # Created no wider than it will be: who has opened a file keeps it open. Without a mode it is
    # as any other new file; tempfile's 0o600 would stay with the result.
    created = 0o600 if mode is not None else 0o666 & (replaced.st_mode if replaced else 0o666)
    held = -1
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with open(os.open(temporary, flags, created), "wb") as file:  # noqa: PTH123 - a descriptor
            if os.name == "posix":  # Windows does not rename open files
                held = os.dup(file.fileno())  # `remove_stale` elsewhere respects it
                _lock(held)
            yield file
            file.flush()
            _set_permissions(file.fileno(), mode, owner, replaced)
            os.fsync(file.fileno())
        if times_ns is not None:
            with contextlib.suppress(OSError):
                os.utime(temporary, ns=times_ns)
        if overwrite:
            temporary.replace(path)
        else:
            _name_if_free(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    finally:
        if held >= 0:
            os.close(held)
    sync_folder(path.parent)


def _set_permissions(
    descriptor: int,
    mode: int | None,
    owner: tuple[int, int] | None,
    replaced: os.stat_result | None,
) -> None:
    """Give a file its group, then its permissions, then its user, as gzip and zstd do.

    In this order nobody has more access at any time than in the end.
    """
    if not hasattr(os, "fchmod"):
        return
    if owner is not None:
        with contextlib.suppress(OSError):
            os.fchown(descriptor, -1, owner[1])
    found = os.fstat(descriptor)
    wanted = (found.st_mode if mode is None else mode) & _PERMISSIONS
    if owner is not None and owner[1] != found.st_gid:
        wanted = for_another_group(wanted)
    if replaced is not None:
        same_group = replaced.st_gid == found.st_gid
        wanted &= replaced.st_mode if same_group else for_another_group(replaced.st_mode)
    if wanted != stat.S_IMODE(found.st_mode):
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, wanted)
    if owner is not None and owner[0] != found.st_uid:
        with contextlib.suppress(OSError):
            os.fchown(descriptor, owner[0], -1)


def for_another_group(mode: int) -> int:
    """Permissions whose group's part does not go beyond that of all."""
    mode &= _PERMISSIONS
    return mode & (0o707 | (mode & 0o007) << 3)


def _name_if_free(temporary: Path, path: Path) -> None:
    """Rename without replacing: link() and O_EXCL, unlike rename(), fail on an existing name."""
    try:
        os.link(temporary, path)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        except FileExistsError as taken:
            raise _exists(path) from taken
        try:
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                path.unlink()
            raise
    else:
        temporary.unlink()


def _exists(path: Path) -> OptionError:
    return OptionError(f"{path} exists; -f overwrites it")


def sync_folder(folder: Path) -> None:
    """Flush the folder's entry, where the system can open folders (Windows cannot)."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems know no fsync of folders; the file itself is safe.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
