"""From the paths on a command line to inputs and the outputs that belong to them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from xraycodec.errors import OptionError

STANDARD = "-"


@dataclass(frozen=True)
class Source:
    """One input.

    Attributes:
        name: as the user wrote it, for messages.
        path: ``None`` for standard input.
        below: path relative to the folder that was searched, else the file's name.
    """

    name: str
    path: Path | None
    below: Path

    def read(self) -> bytes:
        return sys.stdin.buffer.read() if self.path is None else self.path.read_bytes()


def find_sources(
    inputs: Sequence[str], *, recursive: bool, wanted: Callable[[Path], bool]
) -> list[Source]:
    """Expand the inputs; below a folder only ``wanted`` files are taken.

    Raises:
        click.UsageError: a folder without ``--recursive``, or standard input twice.
    """
    if list(inputs).count(STANDARD) > 1:
        raise click.UsageError("standard input (-) can be read once")
    sources = []
    for name in inputs:
        path = Path(name)
        if name == STANDARD:
            sources.append(Source("standard input", None, Path("stdin")))
        elif path.is_dir():
            if not recursive:
                raise click.UsageError(f"{name} is a folder; -r descends into it")
            below = sorted(p for p in path.rglob("*") if p.is_file() and wanted(p))
            sources += [Source(str(p), p, p.relative_to(path)) for p in below]
        else:
            sources.append(Source(name, path, Path(path.name)))
    return sources


class Targets:
    """Names the output of each input and never gives two inputs the same one."""

    def __init__(self, output: str | None, sources: Sequence[Source], *, recursive: bool) -> None:
        """Decide whether ``output`` is a file, a folder or standard output.

        Raises:
            click.UsageError: several inputs, but a single output.
        """
        several = len(sources) > 1 or recursive
        self._folder: Path | None = None
        self._file: Path | None = None
        self._given: dict[Path, str] = {}
        self.standard_output = output == STANDARD or (
            output is None and len(sources) == 1 and sources[0].path is None
        )
        if self.standard_output:
            if several:
                raise click.UsageError("several inputs cannot share standard output")
        elif output is not None and (several or output.endswith("/") or Path(output).is_dir()):
            if Path(output).exists() and not Path(output).is_dir():
                raise click.UsageError(f"{output} is a file; several inputs need a folder")
            self._folder = Path(output)
        elif output is not None:
            self._file = Path(output)

    def path_for(self, source: Source, rename: Callable[[Path], Path]) -> Path:
        """Return where the output of ``source`` goes.

        Raises:
            OptionError: standard input without a name, or a path that another input has.
        """
        if self._file is not None:
            target = self._file
        elif self._folder is not None:
            target = self._folder / rename(source.below)
        elif source.path is not None:
            target = rename(source.path)
        else:
            raise OptionError("standard input has no name; give the output with -o")
        other = self._given.setdefault(target.absolute(), source.name)
        if other != source.name:
            raise OptionError(f"{target} is already the output of {other}")
        if source.path is not None and target.exists() and target.samefile(source.path):
            raise OptionError(f"{target} is the input itself")
        target.parent.mkdir(parents=True, exist_ok=True)
        return target
