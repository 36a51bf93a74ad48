"""Whose fault it is that a delivery failed: the object's, the destination's or this machine's.

A fault of the object counts against it, and others go on. After any other nothing is held against
an object: all of them wait.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from xraycodec.errors import OptionError

# Errors of one name or one file, as long as its folder is there.
_OF_ONE_NAME = frozenset(
    (
        *(errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ELOOP, errno.EFBIG, errno.EMLINK),
        *(errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ENOENT),
        *(errno.EACCES, errno.EPERM, errno.ETXTBSY),
    )
)
_OF_THE_PROCESS = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN))
_OF_THE_MACHINE = _OF_THE_PROCESS | {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}


class NotReached(Exception):  # noqa: N818 - no error of the instance
    """The node is not there, lets nobody in, or went away; what was sent may have arrived."""


class NameTaken(OptionError):  # noqa: N818 - likewise
    """A file that is not the instance has its name in the folder of a destination."""


class Unreadable(Exception):  # noqa: N818 - likewise
    """The spool's file of a delivery is not there or cannot be read."""


def read_prepared(path: Path, size_bytes: int = -1) -> bytes:
    """Read a file of the spool, or its first bytes.

    Raises:
        Unreadable: it is not there, or its place on the disk is broken.
        OSError: the system has no memory or descriptor for it.
    """
    try:
        with path.open("rb") as file:
            return file.read(size_bytes)
    except OSError as error:
        if error.errno in _OF_THE_PROCESS:
            raise
        raise Unreadable from error


def is_of_machine(error: BaseException) -> bool:
    """Whether an error says that a disk or the system is full or broken."""
    return isinstance(error, OSError) and error.errno in _OF_THE_MACHINE


def is_of_object(error: OSError, folder: Path) -> bool:
    """Whether an error of filing one object in a folder lies in that object.

    Args:
        error: of writing below the folder.
        folder: of the destination; where it cannot be written itself, no object is at fault.
    """
    if error.errno not in _OF_ONE_NAME:
        return False
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
