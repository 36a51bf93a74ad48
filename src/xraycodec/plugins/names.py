"""Names of very many files: found in a folder or manifest, held in little memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from xraycodec.errors import CorruptError, OptionError

SUFFIX = ".xrc"


class NameList:
    """Strings in two arrays, read like a list.

    A list of as many strings takes ten times the memory, and Python, by counting references,
    copies it page by page into every forked process that reads it.
    """

    def __init__(self, names: Iterable[str]) -> None:
        encoded = [os.fsencode(name) for name in names]
        self._bytes = np.frombuffer(b"".join(encoded), np.uint8)
        self._ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> str:
        place = range(len(self))[index]  # counts from the end, and refuses, as lists do
        return os.fsdecode(self._bytes[self._ends[place] : self._ends[place + 1]].tobytes())

    def __iter__(self) -> Iterator[str]:
        return map(self.__getitem__, range(len(self)))


def names_in(source: str | os.PathLike[str]) -> Iterator[str]:
    """Names of the ``.xrc`` files of a folder or of an archive.

    Args:
        source: a folder, for every such file below it, in the order of their names; or the manifest
            of ``xrc archive``, for every file that is finished, in the manifest's order.

    Raises:
        OptionError, CorruptError: a file that is not a manifest, one of an archive elsewhere, or
            one that names files outside of its archive.
        OSError: the folder cannot be read.
    """
    if Path(source).is_file():
        yield from _names_of_archive(Path(source))
        return
    for folder, below, files in os.walk(source, onerror=_raise):
        below.sort()
        for name in sorted(files):
            if name.lower().endswith(SUFFIX):
                yield str(Path(folder, name))


def _names_of_archive(path: Path) -> Iterator[str]:
    from xraycodec.archive.manifest import Manifest
    from xraycodec.archive.places import check_name
    from xraycodec.archive.reading import source_of
    from xraycodec.archive.records import State

    with Manifest(path) as manifest:
        root = source_of(manifest).root
        for item in manifest.items(State.DONE):
            try:
                check_name(item.output)
            except OptionError as error:
                raise CorruptError(f"{path}: {error}") from error
            yield f"{root}/{item.output}"


def _raise(error: OSError) -> None:
    raise error
