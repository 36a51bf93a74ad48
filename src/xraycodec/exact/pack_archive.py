"""The ZIP archive around a model pack, read within bounds that are known beforehand.

Python's ``zipfile`` takes a directory of any size, inflates more than the directory says, and of
two entries of one name gives the last. None of it may happen to a file that anybody can make.
"""

from __future__ import annotations

import os
import stat
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xraycodec.errors import ModelError

MAX_ENTRIES = 4096
MAX_DIRECTORY_BYTES = 1 << 20

_END = struct.Struct("<4s4H2LH")
"""End of central directory record, without a comment (PKWARE APPNOTE 6.3, 4.3.16)."""
_LOCATOR_BYTES = 20
"""ZIP64 end of central directory locator, which would stand before that record."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive whose directory is small and has each name once.

    Raises:
        ModelError: it is no such archive, or no regular file.
        OSError, zipfile.BadZipFile: the file cannot be read, or its directory is damaged.
    """
    # Opening a pipe must not wait for somebody to write into it.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ModelError(f"{path} is no readable model pack: it is not a regular file")
        stream.seek(max(0, status.st_size - _END.size - _LOCATOR_BYTES))
        _check_end(stream.read(), path)
        with zipfile.ZipFile(stream) as archive:
            names = archive.namelist()
            if len(set(names)) < len(names):
                raise ModelError(f"{path}: two entries of the archive have one name")
            yield archive


def _check_end(tail: bytes, path: Path) -> None:
    if len(tail) < _END.size:
        raise ModelError(f"{path} is no readable model pack: it is no ZIP archive")
    signature, _, _, _, entries, size, _, comment = _END.unpack(tail[-_END.size :])
    if signature != b"PK\x05\x06" or comment:
        raise ModelError(
            f"{path} is no readable model pack: it does not end in the directory of a ZIP archive"
        )
    if tail[: -_END.size].startswith(b"PK\x06\x07"):
        raise ModelError(f"{path} is a ZIP64 archive, which no model pack is")
    if entries > MAX_ENTRIES or size > MAX_DIRECTORY_BYTES:
        raise ModelError(
            f"{path}: {entries} entries in a directory of {size} bytes; the limits are"
            f" {MAX_ENTRIES} and {MAX_DIRECTORY_BYTES}"
        )


def entry(archive: zipfile.ZipFile, member: str, path: Path) -> zipfile.ZipInfo:
    """Find an entry that is stored or deflated, and not encrypted.

    Raises:
        ModelError: it is neither.
        KeyError: there is none.
    """
    info = archive.getinfo(member)
    if info.compress_type not in _METHODS or info.flag_bits & _ENCRYPTED:
        raise ModelError(
            f"{path}: entry {member!r} is encrypted or compressed by ZIP method"
            f" {info.compress_type}; allowed are 0 (stored) and 8 (deflated)"
        )
    return info


def inflate(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Return an entry, never more of it than the directory says.

    Raises:
        zipfile.BadZipFile, zlib.error, EOFError: it is damaged.
    """
    with archive.open(info) as stream:
        # read() without a size would inflate up to 2 GiB before it cuts the surplus off.
        return stream.read(info.file_size)
