"""Reading the files that an archive is made from."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from xraycodec.archive.modes import Origin
from xraycodec.archive.naming import is_image_name
from xraycodec.archive.places import is_url
from xraycodec.errors import CorruptImageError, UnsupportedImageError
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
        size_bytes: of the file.
        origin: its permissions and its time.
    """

    data: bytes
    no_image: str
    size_bytes: int
    origin: Origin


def read_original(path: str, *, named: bool) -> Original:
    """Read a file; of one that nobody named and that is no image, the first bytes only.

    Raises:
        OSError: it cannot be read, or changed meanwhile.
        CorruptImageError: it is empty or holds something else, and its name is that of an image.
        UnsupportedImageError: it is not a regular file.
    """
    return _read_object(path, named=named) if is_url(path) else _read_file(path, named=named)


def _read_file(path: str, *, named: bool) -> Original:
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError as error:
        if not Path(path).is_symlink():
            raise
        raise FileNotFoundError(errno.ENOENT, "a symbolic link to nothing", path) from error
    if not stat.S_ISREG(mode):  # opening a pipe would wait for ever
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        raise UnsupportedImageError("it is not a regular file")
    with Path(path).open("rb", buffering=0) as file:
        before = os.fstat(file.fileno())
        data = file.read(HEAD_BYTES)
        no_image = _no_image(data, path)
        if named or not no_image:
            data += file.readall()
        after = os.fstat(file.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise OSError(errno.EAGAIN, "it changed while it was read", path)
    origin = Origin.of(path, before, before.st_mtime_ns)
    return Original(data, no_image, before.st_size, origin)


def _read_object(url: str, *, named: bool) -> Original:
    from xraycodec.archive.remote import object_info, read_object

    size_bytes, mtime_ns = object_info(url)
    if size_bytes is not None and size_bytes > _WHOLE_OBJECT_BYTES and not named:
        head = read_object(url, HEAD_BYTES)
        if no_image := _no_image(head, url):
            return Original(head, no_image, size_bytes, Origin(mtime_ns=mtime_ns))
    data = read_object(url)
    if size_bytes is not None and len(data) != size_bytes:
        raise OSError(errno.EAGAIN, "it changed while it was read", url)
    return Original(data, _no_image(data, url), len(data), Origin(mtime_ns=mtime_ns))


def _no_image(head: bytes, path: str) -> str:
    found = sniff(head[:HEAD_BYTES])
    if found is None:
        blank = not head.strip(b"\0")  # as where a file system recovered
        if is_image_name(path, blank=blank):
            what = "has no content" if blank else "is of no known format"
            raise CorruptImageError(f"the file {what}, and it has the name of an image")
        return "no image file"
    if found == "dicom" and MEDIA_STORAGE_DIRECTORY.encode() in head[:_DICOMDIR_HEAD_BYTES]:
        return "a DICOMDIR, whose files speak for themselves"
    return ""
