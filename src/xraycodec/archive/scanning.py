"""From what a user names to files, one at a time: no list of them is ever held."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from xraycodec.archive.naming import XRC_SUFFIX
from xraycodec.archive.places import is_url, without_scheme
from xraycodec.archive.records import Found
from xraycodec.archive.temporaries import TEMPORARIES
from xraycodec.errors import OptionError, XrayCodecError

Problem = Callable[[str, Exception], None]
"""Called with a name, and why nothing was found of that name or below it."""

_SIDE_BY_SIDE = 32
_OBJECTS_A_TIME = 1024


@dataclass(frozen=True)
class Request:
    """What a user named.

    Attributes:
        inputs: folders, files, URLs.
        lists: names of files or URLs, a line each.
        base: folder or URL below which outputs of listed files repeat folders.
        target: of the archive, of which nothing is an input.
        manifest: its path, with which the names of all files begin that belong to it.
    """

    inputs: Sequence[str]
    lists: Sequence[Iterable[str]]
    base: str | None
    target: str
    manifest: str = ""


def scan(request: Request, on_problem: Problem) -> Iterator[Found]:
    """Find every file of a request.

    Below folders, ``.xrc`` files, what lies in the archive's own folder, and pipes, sockets and
    devices are passed over, and links to folders are not followed. A link to nothing is found, so
    that reading it fails. An entry that cannot be looked at is named and costs no other.
    """
    for name in request.inputs:
        try:
            yield from _named(name, request, on_problem)
        except (XrayCodecError, OSError) as error:
            on_problem(name, error)
    for names in request.lists:
        yield from _listed(names, request, on_problem)


def _named(name: str, request: Request, on_problem: Problem) -> Iterator[Found]:
    if is_url(name):
        yield from _objects(name, on_problem)
        return
    from xraycodec.files.dicomdir import files_of, is_dicomdir

    path = Path(without_scheme(name)).absolute()
    if path.is_dir():
        yield from _below(path, request, on_problem)
    elif path.is_file() and is_dicomdir(path):
        for file in files_of(path, on_problem):
            if file.record_type == "IMAGE":
                yield _file(file.path.absolute(), file.below.as_posix())
    else:
        yield _file(path, path.name)


def _below(folder: Path, request: Request, on_problem: Problem) -> Iterator[Found]:
    """Files below a folder, in the order of the disk."""
    target = request.target
    manifest = os.path.abspath(request.manifest) if request.manifest else "\0"  # noqa: PTH100
    own = os.path.realpath(target) if target and not is_url(target) else ""
    waiting = [str(folder)]
    while waiting:
        for entry in _entries(waiting.pop(), on_problem):
            if entry.path.startswith(manifest):
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name != TEMPORARIES and os.path.realpath(entry.path) != own:
                        waiting.append(entry.path)
                elif found := _entry(entry, folder):
                    yield found
            except OSError as error:
                on_problem(entry.path, error)


def _entries(folder: str, on_problem: Problem) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        on_problem(folder, error)


def _entry(entry: os.DirEntry[str], folder: Path) -> Found | None:
    """A regular file, or a link to one or to nothing; ``None`` for all others.

    Raises:
        OSError: the entry has vanished, or the system does not tell what it is.
    """
    if entry.name.lower().endswith(XRC_SUFFIX):
        return None
    output = Path(entry.path).relative_to(folder).as_posix() + XRC_SUFFIX
    try:
        found = entry.stat()
    except OSError:
        if not entry.is_symlink():
            raise
        return Found(entry.path, output, None, None, False)  # reading tells what is wrong with it
    if not stat.S_ISREG(found.st_mode):
        return None
    return Found(entry.path, output, found.st_size, found.st_mtime_ns, False)


def _file(path: Path, below: str) -> Found:
    """A file that was named, whether or not it is there: reading it tells."""
    try:
        found = path.stat()
    except OSError:
        return Found(str(path), below + XRC_SUFFIX, None, None, True)
    return Found(str(path), below + XRC_SUFFIX, found.st_size, found.st_mtime_ns, True)


def _objects(url: str, on_problem: Problem) -> Iterator[Found]:
    """Objects below a prefix; the listing of one folder at a time is held."""
    from xraycodec.archive.remote import as_os_errors, filesystem, mtime_ns

    system, root = filesystem(url)
    root = root.rstrip("/")
    with as_os_errors(url):
        is_object = system.isfile(root)
    if is_object:
        yield from _listed([url], Request((), (), posixpath.dirname(url), ""), on_problem)
        return
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        for info in _listing(system, folder, url if folder == root else None, on_problem):
            path = info["name"].rstrip("/")
            if path == folder:  # an object that stands for the folder
                continue
            if info["type"] == "directory":
                waiting.append(path)
            elif not path.lower().endswith(XRC_SUFFIX):
                output = path.removeprefix(root).lstrip("/") + XRC_SUFFIX
                name = system.unstrip_protocol(path)
                yield Found(name, output, info.get("size"), mtime_ns(info), False)


def _listing(
    system: Any, folder: str, named: str | None, on_problem: Problem
) -> list[dict[str, Any]]:
    """What lies in a folder of an object store.

    Raises:
        OptionError: a user named the folder, as ``named``, and it holds nothing.
    """
    from xraycodec.archive.remote import as_os_errors

    found: list[dict[str, Any]] = []
    name = named or system.unstrip_protocol(folder)
    try:
        with as_os_errors(name):
            found = system.ls(folder, detail=True)
    except OSError as error:
        if not (named and isinstance(error, FileNotFoundError)):
            on_problem(name, error)
            return []
    if named and not found:
        raise OptionError(f"{named}: there is no object of this name, nor any below it")
    return found


def _listed(names: Iterable[str], request: Request, on_problem: Problem) -> Iterator[Found]:
    """Files of a list; sizes of objects are asked for side by side."""
    iterator = iter(names)
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        while batch := list(islice(iterator, _OBJECTS_A_TIME)):
            named = []
            for name in filter(None, batch):
                try:
                    named.append((name, below_base(name, request.base)))
                except OptionError as error:
                    on_problem(name, error)
            if any(is_url(name) for name, _ in named):
                yield from pool.map(_look_up, named)
            else:
                yield from map(_look_up, named)


def _look_up(named: tuple[str, str]) -> Found:
    name, below = named
    if not is_url(name):
        return _file(Path(without_scheme(name)).absolute(), below)
    from xraycodec.archive.remote import object_info

    try:
        return Found(name, below + XRC_SUFFIX, *object_info(name), True)
    except (XrayCodecError, OSError):
        return Found(name, below + XRC_SUFFIX, None, None, True)


def below_base(name: str, base: str | None) -> str:
    """Name of a listed file in the archive: what follows ``base``, or all but its anchor.

    Raises:
        OptionError: it is not below ``base``, leads out of every folder, or has a zero byte in it.
    """
    if "\0" in name:
        raise OptionError("the name has a zero byte in it; -0 reads names that zero bytes end")
    if is_url(name):
        path = name if base is not None else name.partition("://")[2]
        root = base.rstrip("/") + "/" if base is not None else ""
    else:
        path = without_scheme(name)
        if base is not None:
            path, root = os.path.abspath(path), os.path.join(os.path.abspath(base), "")  # noqa: PTH100, PTH118
        else:
            path, root = os.path.normpath(path), Path(path).anchor
    if not path.startswith(root):
        raise OptionError(f"it is not below {base}")
    below = path[len(root) :].replace(os.sep, "/")
    if not below or below.split("/")[0] == "..":
        raise OptionError("it leads out of the folder; say --base")
    return below


def lines(stream: Iterable[bytes]) -> Iterator[str]:
    """Names of a list, a line each, as the system has names."""
    for line in stream:
        yield os.fsdecode(line.rstrip(b"\r\n"))


def zero_ended(read: Callable[[int], bytes]) -> Iterator[str]:
    """Names that zero bytes end, as ``find -print0`` writes them."""
    rest = b""
    while piece := read(1 << 16):
        *whole, rest = (rest + piece).split(b"\0")
        yield from map(os.fsdecode, whole)
    if rest:
        yield os.fsdecode(rest)
