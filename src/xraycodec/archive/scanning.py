"""From what a user names to files, one at a time: no list of them is ever held."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from xraycodec.archive.naming import XRC_SUFFIX
from xraycodec.archive.places import TEMPORARIES, is_url, without_scheme
from xraycodec.archive.records import Found
from xraycodec.errors import OptionError, XrayCodecError

Problem = Callable[[str, Exception], None]
"""Called with a name and why nothing below it was found."""

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

    Below folders, ``.xrc`` files and what lies in the archive's own folder are passed over, and
    links to folders are not followed.
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
        yield from _objects(name)
        return
    from xraycodec.files.dicomdir import files_of, is_dicomdir

    path = Path(without_scheme(name)).absolute()
    if path.is_dir():
        yield from _below(path, request, on_problem)
    elif path.is_file() and is_dicomdir(path):
        for file in files_of(path):
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
        place = waiting.pop()
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.path.startswith(manifest):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name != TEMPORARIES and os.path.realpath(entry.path) != own:
                            waiting.append(entry.path)
                    elif entry.is_file() and not entry.name.lower().endswith(XRC_SUFFIX):
                        found = entry.stat()
                        below = Path(entry.path).relative_to(folder).as_posix()
                        yield Found(
                            entry.path, below + XRC_SUFFIX, found.st_size, found.st_mtime_ns, False
                        )
        except OSError as error:
            on_problem(place, error)


def _file(path: Path, below: str) -> Found:
    """A file that was named, whether or not it is there: reading it tells."""
    try:
        found = path.stat()
    except OSError:
        return Found(str(path), below + XRC_SUFFIX, None, None, True)
    return Found(str(path), below + XRC_SUFFIX, found.st_size, found.st_mtime_ns, True)


def _objects(url: str) -> Iterator[Found]:
    """Objects below a prefix; the listing of one folder at a time is held."""
    from xraycodec.archive.remote import as_os_errors, filesystem, mtime_ns

    system, root = filesystem(url)
    root = root.rstrip("/")
    with as_os_errors(url):
        if system.isfile(root):
            yield from _listed([url], Request((), (), posixpath.dirname(url), ""), _ignore)
            return
        empty = True
        for _, _, files in system.walk(root, detail=True):
            for info in files.values():
                path = info["name"]
                if path.lower().endswith(XRC_SUFFIX):
                    continue
                empty = False
                below = path.removeprefix(root).lstrip("/")
                yield Found(
                    system.unstrip_protocol(path),
                    below + XRC_SUFFIX,
                    info.get("size"),
                    mtime_ns(info),
                    False,
                )
    if empty:
        raise OptionError(f"{url}: there is no object of this name, nor any below it")


def _ignore(name: str, error: Exception) -> None:
    """Leave it to reading."""


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
        OptionError: it is not below ``base``, or leads out of every folder.
    """
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
