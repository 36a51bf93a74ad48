"""One run on a manifest at a time."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xraycodec.errors import OptionError

_SUFFIX = ".lock"


@contextmanager
def locked(manifest: Path) -> Iterator[None]:
    """Hold a manifest's lock; the system lets go of it however this process ends.

    Raises:
        OptionError: another process holds it; the message names it.
        OSError: the lock file cannot be made.
    """
    path = manifest.with_name(manifest.name + _SUFFIX)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            take_lock(descriptor)
        except OSError as error:
            os.lseek(descriptor, 1, os.SEEK_SET)
            holder = os.read(descriptor, 256).decode(errors="replace").strip()
            raise OptionError(
                f"{manifest} is in use by another run{f', {holder}' if holder else ''}; two runs"
                " cannot share a manifest"
            ) from error
        # Byte 0 is what Windows locks, and then cannot be read by others.
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f" process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def take_lock(descriptor: int) -> None:
    """Lock a file that is open for as long as it is.

    Raises:
        BlockingIOError: another process has the lock.
        OSError: the file system has no locks.
    """
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError(error.errno, error.strerror) from error
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
