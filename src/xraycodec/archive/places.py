"""Folders that files appear in whole or not at all: on a disk, or in an object store.

A place is a value that any process can take. Names are relative, with slashes.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath, PurePosixPath

from xraycodec.archive.modes import (
    EVERYONE,
    NO_ORIGIN,
    OWNER,
    Origin,
    make_folder,
    set_attributes,
)
from xraycodec.archive.temporaries import TEMPORARIES, owned, temporary
from xraycodec.errors import CorruptError, OptionError
from xraycodec.files.atomic import sync_folder

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # one letter is a Windows drive
_FILE = "file://"
_BINARY = getattr(os, "O_BINARY", 0)
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

    Names may come from a manifest of somebody else's making. None leads out of the folder: not by
    itself, and on a disk not by a symbolic link in the folder either.

    Attributes:
        root: absolute path or URL.
        owner: of the temporary files of the run that writes; `temporaries.new_owner` makes one.
    """

    root: str
    owner: str

    @abstractmethod
    def size_bytes(self, name: str) -> int | None:
        """Size of a file, ``None`` if there is none of this name.

        Raises:
            OptionError: the name leads out of the folder.
        """

    @abstractmethod
    def read(self, name: str, size_bytes: int | None = None) -> bytes:
        """Read a whole file.

        Args:
            name: of the file.
            size_bytes: that it must have; one of another size is not read.

        Raises:
            CorruptError: it is not a regular file, or has another size.
            OptionError: the name leads out of the folder.
            OSError: it cannot be read.
        """

    @abstractmethod
    def write(self, name: str, data: bytes, *, replace: bool, origin: Origin = NO_ORIGIN) -> None:
        """Write a file, whole or not at all, with the folders that it needs.

        Raises:
            OptionError: it exists and must not be replaced, or the name leads out of the folder.
            OSError: the file system refuses.
        """

    def origin(self, name: str, mtime_ns: int | None) -> Origin:
        """What a file of this place hands on to one that is made from it, and its time."""
        return Origin(mtime_ns=mtime_ns)

    @contextlib.contextmanager
    def writing(self, mode: int = EVERYONE) -> Iterator[None]:
        """Enter before writing; removes what killed runs left, but no other run's files.

        Args:
            mode: of the folder, less the umask, if it has to be made.
        """
        yield

    def put(
        self,
        name: str,
        data: bytes,
        *,
        earlier: str | None,
        force: bool,
        origin: Origin = NO_ORIGIN,
    ) -> None:
        """Write a file, unless it is there already with this content.

        Args:
            name: of the file.
            data: its content.
            earlier: SHA-256 of the content that may be replaced, that of an earlier run.
            force: replace any.
            origin: what the data is made from.

        Raises:
            OptionError: a file of other content has the name, or the name leads out of the place.
            OSError: the file system refuses.
        """
        there = self.size_bytes(name) is not None
        if there and not force:
            found = digest(self.read(name))
            if found == digest(data):
                return  # by a run that was killed before it could say so
            if found != earlier:
                raise OptionError(f"{name} exists with other content; -f overwrites it")
        self.write(name, data, replace=there or force, origin=origin)


@dataclass(frozen=True)
class LocalPlace(Place):
    """A folder on a disk; temporary files lie in one of its folders until they are synced."""

    def size_bytes(self, name: str) -> int | None:
        try:
            return self._real(name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read(self, name: str, size_bytes: int | None = None) -> bytes:
        path = self._real(name)
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for ever
            raise CorruptError(f"{name} is not a regular file")
        if size_bytes not in (None, found.st_size):
            raise CorruptError(f"{name} has {found.st_size} bytes; the manifest has {size_bytes}")
        return path.read_bytes()

    def write(self, name: str, data: bytes, *, replace: bool, origin: Origin = NO_ORIGIN) -> None:
        check_name(name)
        path = self._inside(str(PurePath(name).parent)) / PurePath(name).name
        mode = origin.mode_for(path, replace=replace)
        written = temporary(self._real(TEMPORARIES), self.owner)
        try:
            try:
                _write_synced(written, data, mode, origin)
            except FileNotFoundError:
                written.parent.mkdir(mode=OWNER, parents=True, exist_ok=True)
                _write_synced(written, data, mode, origin)
            try:
                _rename(written, path, replace=replace)
            except FileNotFoundError:
                self._make_folders(name, origin)
                _rename(written, path, replace=replace)
        except BaseException:
            with contextlib.suppress(OSError):
                written.unlink()
            raise
        sync_folder(path.parent)

    def origin(self, name: str, mtime_ns: int | None) -> Origin:
        return Origin.of(Path(self.root, name), self._real(name).stat(), mtime_ns)

    @contextlib.contextmanager
    def writing(self, mode: int = EVERYONE) -> Iterator[None]:
        make_folder(Path(self.root), mode)
        with owned(self._real(TEMPORARIES), self.owner):
            yield

    def _real(self, name: str) -> Path:
        check_name(name)
        return self._inside(name)

    def _inside(self, name: str) -> Path:
        """Path of a file or folder with no symbolic links in it, wherever in the place it is."""
        root = path = _real_root(self.root)
        for part in PurePath(name).parts:
            path = os.path.join(path, part)  # noqa: PTH118
            if os.path.islink(path):  # noqa: PTH114
                path = os.path.realpath(os.path.join(root, name))  # noqa: PTH118
                break
        if path != root and not path.startswith(os.path.join(root, "")):  # noqa: PTH118
            raise OptionError(f"{name} leads out of the folder by a symbolic link")
        return Path(path)

    def _make_folders(self, name: str, origin: Origin) -> None:
        folders = [each for each in PurePosixPath(name).parents if each.name]
        modes = origin.modes_above(len(folders))
        for folder, mode in reversed(list(zip(folders, modes, strict=True))):
            Path(self.root, folder).mkdir(mode=mode, exist_ok=True)


@cache
def _real_root(root: str) -> str:
    return os.path.realpath(root)


def _write_synced(path: Path, data: bytes, mode: int | None, origin: Origin) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY
    descriptor = os.open(path, flags, 0o666 if mode is None else 0o600)
    with open(descriptor, "wb", buffering=0) as file:  # noqa: PTH123 - a descriptor
        view = memoryview(data)
        while view:
            view = view[file.write(view) :]
        set_attributes(descriptor, path, mode, origin)
        os.fsync(descriptor)


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
        OptionError: a URL of a scheme whose files would be seen in parts, or one for which fsspec
            or what it needs is not installed.
    """
    if is_url(root):
        from xraycodec.archive.remote import RemotePlace, filesystem

        place = RemotePlace(root.rstrip("/"), owner)
        filesystem(root)
        return place
    return LocalPlace(str(Path(without_scheme(root)).absolute()), owner)


def check_name(name: str, flavour: type[PurePath] = PurePath) -> None:
    """Refuse a name that may lead out of a folder: a manifest of others may hold anything.

    Args:
        name: relative, with slashes.
        flavour: of paths; that of this system.

    Raises:
        OptionError: it is absolute, has a drive or a component "..", or is no name at all.
    """
    path = flavour(name)
    if not path.name or "\0" in name:
        raise OptionError(f"the name {name!r} is none that a file can have")
    if name.startswith("/") or path.anchor or ".." in path.parts:
        raise OptionError(f"the name {name!r} leads out of the folder")
