"""From the paths on a command line to inputs and the outputs that belong to them."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import click

from xraycodec.cli.report import Report
from xraycodec.errors import LimitError, OptionError, XrayCodecError
from xraycodec.limits import Limits

STANDARD = "-"
XRC_SUFFIX = ".xrc"

_LARGE_BYTES = 1 << 22  # from which a file is looked at before it is read whole


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

    def read(self, limits: Limits | None = None) -> bytes:
        """Read it whole; a large file only after its first bytes were held against ``limits``.

        Raises:
            LimitError: these tell that it will be refused.
        """
        if self.path is None:
            return sys.stdin.buffer.read()
        with self.path.open("rb") as file:
            if limits is None or (size_bytes := os.fstat(file.fileno()).st_size) < _LARGE_BYTES:
                return file.read()
            head = file.read(_LARGE_BYTES)
            try:
                _check_head(head, size_bytes, limits)
            except LimitError as error:
                raise LimitError(f"{self.name}: {error}") from error
            file.seek(0)
            return file.read()

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Open for reading parts: a file as it is, without reading ahead.

        Standard input and what else cannot seek is read whole, into an `io.BytesIO`.
        """
        if self.path is None:
            yield io.BytesIO(self.read())
            return
        with self.path.open("rb", buffering=0) as file:
            yield file if file.seekable() else io.BytesIO(file.read())


@dataclass(frozen=True)
class Wanted:
    """Which files below a folder a command takes.

    Attributes:
        kind: what they are, for messages.
        test: tells one from its path.
        members: for a file that stands for others, their paths, each followed by the one below
            the folder of that file; ``None`` for any other file.
    """

    kind: str
    test: Callable[[Path], bool]
    members: Callable[[Path, Report], list[tuple[Path, Path]] | None] = lambda path, report: None


XRC_FILES = Wanted(".xrc file", lambda path: path.suffix.lower() == XRC_SUFFIX)


def _check_head(head: bytes, size_bytes: int, limits: Limits) -> None:
    from xraycodec.container import SIGNATURE, read_header
    from xraycodec.files import check_head

    if head.startswith(SIGNATURE):
        header = read_header(head, limits)
        limits.check_pixels(header.frames, header.rows, header.columns, size_bytes, "HEAD")
    else:
        check_head(head, size_bytes, limits)


def find_sources(
    inputs: Sequence[str], wanted: Wanted, report: Report, *, recursive: bool
) -> list[Source]:
    """Expand the inputs; below a folder only ``wanted`` files are taken, of a file its members.

    Files that are passed over and folders that cannot be read go to ``report``.

    Raises:
        click.UsageError: a folder without ``recursive``, or standard input twice.
    """
    if list(inputs).count(STANDARD) > 1:
        raise click.UsageError("standard input (-) can be read only once")
    sources: list[Source] = []
    for name in inputs:
        if name == STANDARD:
            sources.append(Source("standard input", None, Path("stdin")))
        elif not os.path.isdir(name):  # noqa: PTH112 - Path's raises for names that are too long
            members = wanted.members(Path(name), report)
            if members is None:
                sources.append(Source(name, Path(name), Path(Path(name).name)))
            else:
                sources += [Source(str(path), path, below) for path, below in members]
        elif not recursive:
            raise click.UsageError(f"{name} is a folder; -r descends into it")
        else:
            sources += _sources_below(Path(name), wanted, report)
    return sources


def _sources_below(folder: Path, wanted: Wanted, report: Report) -> list[Source]:
    sources = []
    for path in sorted(_files_below(folder, report)):
        if wanted.test(path):
            sources.append(Source(str(path), path, path.relative_to(folder)))
        else:
            report.skipped(str(path), f"no {wanted.kind}")
    if not sources:
        report.note(str(folder), f"no {wanted.kind} below it")
    return sources


def _files_below(folder: Path, report: Report) -> Iterator[Path]:
    def refused(error: OSError) -> None:
        report.error(os.fsdecode(error.filename), error)

    for parent, _, names in os.walk(folder, onerror=refused):
        # Only regular files: opening a pipe would wait for ever.
        paths = (Path(parent, name) for name in names)
        yield from (path for path in paths if os.path.isfile(path))  # noqa: PTH113 - as above


def for_each(report: Report, sources: Sequence[Source], work: Callable[[Source], None]) -> int:
    """Do ``work`` for every source; a failure is reported and the rest goes on.

    Returns the exit code.
    """
    for source in sources:
        try:
            work(source)
        except BrokenPipeError:
            raise  # nobody reads what is printed: go, as other filters do
        except (XrayCodecError, OSError, MemoryError) as error:
            report.error(source.name, error)
    return report.exit_code


class Targets:
    """Names the output of each input, never gives two inputs the same one, and writes them."""

    def __init__(
        self, output: str | None, sources: Sequence[Source], *, recursive: bool, overwrite: bool
    ) -> None:
        """Decide whether ``output`` is a file, a folder or standard output.

        Raises:
            click.UsageError: several inputs, but a single output; data for a terminal.
        """
        below_folders = any(len(source.below.parts) > 1 for source in sources)
        several = len(sources) > 1 or recursive or below_folders
        self._overwrite = overwrite
        self._folder: Path | None = None
        self._file: Path | None = None
        self._inputs = {os.path.realpath(source.path) for source in sources if source.path}
        self._given: dict[str, Source] = {}
        self.standard_output = output == STANDARD or (
            output is None and len(sources) == 1 and sources[0].path is None
        )
        if self.standard_output:
            if several:
                raise click.UsageError("several inputs cannot share standard output; name a folder")
            if sys.stdout.isatty():
                raise click.UsageError("a terminal shows no files; redirect it or name one with -o")
        elif output is not None:
            is_folder = os.path.isdir(output)  # noqa: PTH112 - as above
            if several and os.path.lexists(output) and not is_folder:
                raise click.UsageError(f"{output} is a file; several inputs need a folder")
            if several or is_folder or output.endswith(("/", os.sep)):
                self._folder = Path(output)
            else:
                self._file = Path(output)

    def path_for(self, source: Source, rename: Callable[[Path], Path]) -> Path | None:
        """Return where the output of ``source`` goes, ``None`` for standard output.

        Raises:
            OptionError: standard input without a name, a path that is an input or that another
                input has, or an existing one that must not be overwritten.
        """
        if self.standard_output:
            return None
        if self._file is not None:
            target = self._file
        elif source.path is None:
            raise OptionError("it has no name to derive the output's from; name a file with -o")
        elif self._folder is not None:
            target = self._folder / rename(source.below)
        else:
            target = rename(source.path)
        place = os.path.realpath(target)
        other = self._given.setdefault(place, source)
        if other is not source:
            raise OptionError(f"{target} is already the output of {other.name}")
        if place in self._inputs:
            raise OptionError(f"the output {target} is an input; name another with -o")
        if os.path.lexists(target) and not self._overwrite:
            raise OptionError(f"{target} exists; -f overwrites it")
        return target

    def write(self, target: Path | None, data: bytes) -> None:
        """Write ``data`` to what `path_for` gave, whole or not at all; make its folder first.

        Raises:
            OptionError: the file has appeared meanwhile and must not be overwritten.
            OSError: the file system refuses.
        """
        from xraycodec.files import write_atomically

        if target is None:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_atomically(target, data, overwrite=self._overwrite)
        except OSError as error:  # the temporary file's name means nothing to anybody
            raise OSError(error.errno, error.strerror, str(target)) from error
