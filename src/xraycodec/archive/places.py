"""Folders that files appear in whole or not at all: on a disk, or in an object store.

A place is a value that any process can take. Names are relative, with slashes.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from xraycodec.errors import OptionError
from xraycodec.files.atomic import sync_folder

TEMPORARIES = ".xrc-archive"
"""Folder, below that of the archive, of files that are being written."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # one letter is a Windows drive
_FILE = "file://"
# What file systems without hard links answer to link().
_NO_LINKS = frozenset((errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK))


def is_url(path: str) -> bool:
    """Whether a path takes fsspec; ``file://`` does not."""
    return bool(_URL.match(path)) and not path.startswith(_FILE)


def without_scheme(path: str) -> str:
    """A local path, which may have been given as ``file://``."""
    return path.removeprefix(_FILE)


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Place(ABC):
    """A folder.

    Attributes:
        root: absolute path or URL.
        owner: whose temporary files are cleaned away together; letters and digits.
    """

    root: str
    owner: str

    @abstractmethod
    def size_bytes(self, name: str) -> int | None:
        """Size of a file, ``None`` if there is none of this name."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Read a whole file."""

    @abstractmethod
    def write(self, name: str, data: bytes, *, replace: bool) -> None:
        """Write a file, whole or not at all, with the folders that it needs.

        Raises:
            OptionError: it exists and must not be replaced.
            OSError: the file system refuses.
        """

    @abstractmethod
    def clean(self) -> None:
        """Remove what writers of this owner left behind; none may be at work."""

    def put(self, name: str, data: bytes, *, earlier: str | None, force: bool) -> None:
        """Write a file, unless it is there already with this content.

        Args:
            name: of the file.
            data: its content.
            earlier: SHA-256 of the content that may be replaced, that of an earlier run.
            force: replace any.

        Raises:
            OptionError: a file of other content has the name, or the name leads out of the place.
            OSError: the file system refuses.
        """
        _check(name)
        there = self.size_bytes(name) is not None
        if there and not force:
            found = digest(self.read(name))
            if found == digest(data):
                return  # by a run that was killed before it could say so
            if found != earlier:
                raise OptionError(f"{name} exists with other content; -f overwrites it")
        self.write(name, data, replace=there)


@dataclass(frozen=True)
class LocalPlace(Place):
    """A folder on a disk; temporary files lie in one of its folders until they are synced."""

    def size_bytes(self, name: str) -> int | None:
        try:
            return self._path(name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read(self, name: str) -> bytes:
        return self._path(name).read_bytes()

    def write(self, name: str, data: bytes, *, replace: bool) -> None:
        path = self._path(name)
        temporary = Path(self.root, TEMPORARIES, f"{self.owner}-{secrets.token_hex(8)}.tmp")
        try:
            try:
                _write_synced(temporary, data)
            except FileNotFoundError:
                temporary.parent.mkdir(parents=True, exist_ok=True)
                _write_synced(temporary, data)
            try:
                _rename(temporary, path, replace=replace)
            except FileNotFoundError:
                path.parent.mkdir(parents=True, exist_ok=True)
                _rename(temporary, path, replace=replace)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        sync_folder(path.parent)

    def clean(self) -> None:
        folder = Path(self.root, TEMPORARIES)
        with contextlib.suppress(FileNotFoundError):
            for left in folder.glob(f"{self.owner}-*.tmp"):
                left.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # another archive's are in it
            folder.rmdir()

    def _path(self, name: str) -> Path:
        return Path(self.root, name)


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("xb", buffering=0) as file:
        view = memoryview(data)
        while view:
            view = view[file.write(view) :]
        os.fsync(file.fileno())


def _rename(temporary: Path, path: Path, *, replace: bool) -> None:
    """Give a file its name; unlike rename(), link() fails where another has it."""
    if replace:
        temporary.replace(path)
        return
    try:
        os.link(temporary, path)
    except FileExistsError as error:
        raise OptionError(f"{path} exists; -f overwrites it") from error
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        temporary.replace(path)
    else:
        temporary.unlink()


def place_for(root: str, owner: str) -> Place:
    """Return the place of a folder's path or URL.

    Raises:
        OptionError: a URL, and fsspec or what it needs for this scheme is not installed.
    """
    if is_url(root):
        from xraycodec.archive.remote import RemotePlace, filesystem

        filesystem(root)
        return RemotePlace(root.rstrip("/"), owner)
    return LocalPlace(str(Path(without_scheme(root)).absolute()), owner)


def _check(name: str) -> None:
    """Refuse names that a manifest of somebody else's making may hold."""
    if name.startswith("/") or ".." in name.split("/") or Path(name).is_absolute():
        raise OptionError(f"the name {name!r} leads out of the folder")
