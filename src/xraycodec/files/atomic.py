"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from pathlib import Path

from xraycodec.errors import OptionError

# What file systems without hard links (FAT, some network shares) answer to link().
_NO_LINKS = frozenset((errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK))


def write_atomically(path: Path, data: bytes, *, overwrite: bool = False) -> None:
    """Write ``data`` to ``path`` so that no reader ever sees a part of it.

    The bytes go to a temporary file in the same folder, are flushed to the disk, and only then
    take the name. An interrupted call leaves neither a partial nor a temporary file. A symbolic
    link that is overwritten stays one: the file it points to is replaced.

    Args:
        path: the file to write; its folder must exist.
        data: the whole content.
        overwrite: whether an existing file may be replaced. Without it a file that another
            process creates meanwhile is safe, too.

    Raises:
        OptionError: ``path`` exists and ``overwrite`` is not set.
        OSError: the file system refuses: no such folder, no permission, no space.
    """
    if overwrite:
        path = Path(os.path.realpath(path))
    elif os.path.lexists(path):
        raise _exists(path)
    # 0o666 less the umask, as for any other file; tempfile's 0o600 would stay with the result.
    temporary = path.parent / f".{secrets.token_hex(16)}.tmp"
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with open(os.open(temporary, flags, 0o666), "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            temporary.replace(path)
        else:
            _name_if_free(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


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
