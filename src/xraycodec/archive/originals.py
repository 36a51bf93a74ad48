"""Reading the files that an archive is made from."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from xraycodec.archive.places import is_url
from xraycodec.errors import UnsupportedImageError
from xraycodec.files.dicomdir import MEDIA_STORAGE_DIRECTORY
from xraycodec.files.signatures import HEAD_BYTES, sniff

_DICOMDIR_HEAD_BYTES = 1024
_WHOLE_OBJECT_BYTES = 1 << 26
"""Objects up to this size are read in one request, before it is known what they are."""


@dataclass(frozen=True, eq=False)
class Original:
    """A file that was read.

    Attributes:
        data: all of it; its first bytes alone if it was not wanted.
        no_image: why it is none, empty if it may be one.
        size_bytes, mtime_ns: of the file.
    """

    data: bytes
    no_image: str
    size_bytes: int
    mtime_ns: int | None


def read_original(path: str, *, named: bool) -> Original:
    """Read a file; of one that nobody named and that is no image, the first bytes only.

    Raises:
        OSError: it cannot be read, or changed meanwhile.
        UnsupportedImageError: it is no regular file.
    """
    return _read_object(path, named=named) if is_url(path) else _read_file(path, named=named)


def _read_file(path: str, *, named: bool) -> Original:
    mode = Path(path).stat().st_mode
    if not stat.S_ISREG(mode):  # opening a pipe would wait for ever
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        raise UnsupportedImageError("it is no regular file")
    with Path(path).open("rb", buffering=0) as file:
        before = os.fstat(file.fileno())
        data = file.read(HEAD_BYTES)
        no_image = _no_image(data)
        if named or not no_image:
            data += file.readall()
        after = os.fstat(file.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise OSError(errno.EAGAIN, "it changed while it was read", path)
    return Original(data, no_image, before.st_size, before.st_mtime_ns)


def _read_object(url: str, *, named: bool) -> Original:
    from xraycodec.archive.remote import object_info, read_object

    size_bytes, mtime_ns = object_info(url)
    if size_bytes is not None and size_bytes > _WHOLE_OBJECT_BYTES and not named:
        head = read_object(url, HEAD_BYTES)
        if no_image := _no_image(head):
            return Original(head, no_image, size_bytes, mtime_ns)
    data = read_object(url)
    if size_bytes is not None and len(data) != size_bytes:
        raise OSError(errno.EAGAIN, "it changed while it was read", url)
    return Original(data, _no_image(data), len(data), mtime_ns)


def _no_image(head: bytes) -> str:
    found = sniff(head[:HEAD_BYTES])
    if found is None:
        return "no image file"
    if found == "dicom" and MEDIA_STORAGE_DIRECTORY.encode() in head[:_DICOMDIR_HEAD_BYTES]:
        return "a DICOMDIR, whose files speak for themselves"
    return ""
