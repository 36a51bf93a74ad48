"""Object stores and other file systems, through fsspec."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from xraycodec.archive.modes import NO_ORIGIN, Origin
from xraycodec.archive.places import Place, check_name
from xraycodec.errors import CorruptError, OptionError, missing_package

_NS = 1_000_000_000
ATOMIC_SCHEMES = frozenset(("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory"))
"""Stores in which an object appears when all of it has arrived."""


def filesystem(url: str) -> tuple[Any, str]:
    """Return fsspec's file system of a URL, and the path in it.

    Credentials and endpoints are those of fsspec's configuration and of the library behind it.

    Raises:
        OptionError: no such scheme, its library is not installed, or a URL that chains others:
            one in a listing or a list could then reach any host.
    """
    if "::" in url:
        raise OptionError(f"{url}: URLs that chain others by :: are refused")
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise OptionError(f"{url}: {missing_package('URLs need', 'fsspec', 'archive')}") from None
    try:
        # A listing that is kept would grow with the archive, and not show what others wrote.
        system, path = url_to_fs(url, use_listings_cache=False)
    except Exception as error:  # whatever the library of the scheme makes of it
        raise OptionError(f"{url}: {error}") from error
    return system, path


@contextmanager
def as_os_errors(name: str) -> Iterator[None]:
    """Turn what libraries of object stores raise into OSError, a class that says to try again."""
    try:
        yield
    except (OSError, OptionError, MemoryError):
        raise
    except Exception as error:
        raise ConnectionError(f"{name}: {type(error).__name__}: {error}") from error


def mtime_ns(info: dict[str, Any]) -> int | None:
    """When an object was last written, ``None`` if its store does not tell.

    In whole seconds: listings and single answers of a store differ in what follows.
    """
    for key in ("LastModified", "last_modified", "mtime", "updated", "created"):
        value = info.get(key)
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                continue
        if isinstance(value, datetime):
            return int(value.timestamp()) * _NS
        if isinstance(value, int | float):
            return int(value) * _NS
    return None


def read_object(url: str, head_bytes: int | None = None) -> bytes:
    """Read an object, or no more than its first bytes."""
    system, path = filesystem(url)
    with as_os_errors(url):
        data: bytes = system.cat_file(path, start=None, end=head_bytes)
    return data


def object_info(url: str) -> tuple[int | None, int | None]:
    """Size in bytes and time of an object."""
    system, path = filesystem(url)
    with as_os_errors(url):
        info = system.info(path)
    return info.get("size"), mtime_ns(info)


@dataclass(frozen=True)
class RemotePlace(Place):
    """A prefix of an object store.

    Raises:
        OptionError: a scheme whose writers can be seen at work.
    """

    def __post_init__(self) -> None:
        scheme = self.root.partition("://")[0]
        if scheme not in ATOMIC_SCHEMES:
            raise OptionError(
                f"{self.root}: files would be seen in parts; allowed are folders and"
                f" {', '.join(sorted(ATOMIC_SCHEMES))}"
            )

    def size_bytes(self, name: str) -> int | None:
        url, system, path = self._object(name)
        try:
            with as_os_errors(url):
                return system.info(path).get("size") or 0
        except FileNotFoundError:
            return None

    def read(self, name: str, size_bytes: int | None = None) -> bytes:
        url, system, path = self._object(name)
        end = None if size_bytes is None else size_bytes + 1
        with as_os_errors(url):
            data: bytes = system.cat_file(path, start=None, end=end)
        if size_bytes not in (None, len(data)):
            raise CorruptError(f"{name} has not the {size_bytes} bytes that the manifest has")
        return data

    def write(self, name: str, data: bytes, *, replace: bool, origin: Origin = NO_ORIGIN) -> None:
        """Put an object and look at what arrived: its MD5 if the store tells it, else its bytes.

        Raises:
            ConnectionError: the store holds something else, which is removed.
            OptionError: the name leads out of the prefix.
            OSError: it cannot be reached, or refuses.
        """
        url, system, path = self._object(name)
        with as_os_errors(url):
            system.pipe_file(path, data)
            info = system.info(path)
            etag = str(info.get("ETag", "")).strip('"')
            same = info.get("size") == len(data) and (
                etag == hashlib.md5(data, usedforsecurity=False).hexdigest()
                or system.cat_file(path) == data
            )
            if not same:
                system.rm_file(path)
                raise ConnectionError(f"{url}: the store holds other bytes than were sent")

    def _object(self, name: str) -> tuple[str, Any, str]:
        """An object's URL, to be named by; its file system; and its path there.

        The path is not parsed out of the URL, in which a name could say more than a name.
        """
        check_name(name, PurePosixPath)
        system, root = filesystem(self.root)
        return f"{self.root}/{name}", system, f"{root.rstrip('/')}/{name}"
