"""Files that are being written and have no name yet, and what killed runs left of them.

::

    .xrc-archive/<owner>.lock               held by the run for as long as it writes
    .xrc-archive/<owner>-<random>.tmp       written by its workers, then given its name
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from xraycodec.archive.lock import take_lock

TEMPORARIES = ".xrc-archive"
"""Folder, below that of the archive, of files that are being written."""

_OURS = re.compile(r"(?P<owner>[0-9a-f]{16})(\.lock|-[0-9a-f]{16}\.tmp)")
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_LOCK_WAIT_SECONDS = 0.01


def new_owner() -> str:
    """Name of a run, for its temporary files."""
    return secrets.token_hex(8)


def temporary(folder: Path, owner: str) -> Path:
    """Path of a new temporary file of a run."""
    return folder / f"{owner}-{secrets.token_hex(8)}.tmp"


@contextmanager
def owned(folder: Path, owner: str) -> Iterator[None]:
    """Make a folder for the temporary files of a run, and remove them and it at the end.

    What other runs left in it goes first, unless a run still holds the lock beside its files.
    Files whose names are not of this module's making stay.
    """
    _remove_left(folder)
    lock = folder / f"{owner}.lock"
    descriptor = _hold(lock)
    try:
        yield
    finally:
        _remove(folder.glob(f"{owner}-*.tmp"))
        _remove([lock])
        os.close(descriptor)
        with suppress(OSError):  # another run's files are in it
            folder.rmdir()


def _hold(lock: Path) -> int:
    """Make and lock a file, whatever other runs remove meanwhile; return its descriptor."""
    while True:
        lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | _NO_FOLLOW, 0o600)
        except FileNotFoundError:
            continue
        try:
            take_lock(descriptor)
            if os.path.samestat(os.fstat(descriptor), lock.stat()):
                return descriptor
        except FileNotFoundError:
            pass
        except BlockingIOError:  # a run that looks for files that were left has it
            time.sleep(_LOCK_WAIT_SECONDS)
        except OSError:  # a file system without locks, where no run can take it from another
            return descriptor
        os.close(descriptor)


def _remove_left(folder: Path) -> None:
    left: dict[str, list[str]] = defaultdict(list)
    with suppress(FileNotFoundError):
        for name in os.listdir(folder):  # noqa: PTH208 - names are what is wanted
            if match := _OURS.fullmatch(name):
                left[match["owner"]].append(name)
    for owner, names in left.items():
        with _ended(folder / f"{owner}.lock") as ended:
            if ended:  # ".tmp" sorts before the lock, which must go last: "-" before "."
                _remove(folder / name for name in sorted(names))


@contextmanager
def _ended(lock: Path) -> Iterator[bool]:
    """Whether the run with this lock has ended; while it is entered, it cannot begin again."""
    try:
        descriptor = os.open(lock, os.O_RDWR | _NO_FOLLOW)
    except OSError as error:
        yield isinstance(error, FileNotFoundError)
        return
    try:
        try:
            take_lock(descriptor)
            ended = True
        except OSError:
            ended = False
        yield ended
    finally:
        os.close(descriptor)


def _remove(paths: Iterator[Path] | list[Path]) -> None:
    for path in paths:
        with suppress(OSError):  # the next run tries again
            path.unlink()
