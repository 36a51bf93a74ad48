"""Where outputs go, and writing them."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from xraycodec.cli.sources import STANDARD, XRC_SUFFIX, Source
from xraycodec.errors import OptionError

_CLOCK_SECONDS = 2
"""Coarsest times of files: those of FAT."""


class Targets:
    """Names the output of each input, never gives two inputs the same one, and writes them.

    Attributes:
        standard_output: whether the output goes there.
        folder: that the outputs go to; ``None`` if they go beside their inputs, or to one file.
    """

    def __init__(
        self,
        output: str | None,
        sources: Sequence[Source],
        rename: Callable[[Path, str], Path],
        *,
        recursive: bool,
        overwrite: bool,
    ) -> None:
        """Decide whether ``output`` is a file, a folder or standard output.

        Args:
            output: as on the command line, ``None`` for beside the inputs.
            sources: every input.
            rename: gives the path of an output from that of its input, and from a mark to stand
                in its name; raises OptionError.
            recursive: whether folders are searched.
            overwrite: whether existing files may be replaced.

        Raises:
            click.UsageError: several inputs, but a single output; data for a terminal.
        """
        below_folders = any(len(source.below.parts) > 1 for source in sources)
        several = len(sources) > 1 or recursive or below_folders
        self._rename = rename
        self._overwrite = overwrite
        self.folder: Path | None = None
        self._file: Path | None = None
        self._inputs = {
            os.path.realpath(source.path) for source in sources if source.path and not source.other
        }
        self._given: dict[str, Source] = {}
        self._cleaned: set[Path] = set()
        self.standard_output = output == STANDARD or (
            output is None and len(sources) == 1 and sources[0].path is None
        )
        if self.standard_output:
            if several:
                raise click.UsageError("several inputs cannot share standard output; name a folder")
            if sys.stdout.isatty():
                raise click.UsageError("a terminal shows no files; redirect it or name one with -o")
        elif output is not None:
            is_folder = os.path.isdir(output)  # noqa: PTH112 - Path's raises for too long names
            if several and os.path.lexists(output) and not is_folder:
                raise click.UsageError(f"{output} is a file; several inputs need a folder")
            if several or is_folder or output.endswith(("/", os.sep)):
                self.folder = Path(output)
            else:
                self._file = Path(output)

    def path_for(self, source: Source, mark: str = "") -> Path | None:
        """Return where the output of ``source`` goes, ``None`` for standard output.

        Raises:
            OptionError: standard input without a name, or a path that is an input or that another
                input has.
        """
        if self.standard_output:
            return None
        if self._file is not None:
            return self._claim(self._file, source)
        if source.path is None:
            raise OptionError("it has no name to derive the output's from; name a file with -o")
        below = source.path if self.folder is None else source.below
        return self._claim(Path(self.folder or "", self._rename(below, mark)), source)

    def copy_path_for(self, source: Source) -> Path:
        """Return where a copy of ``source`` goes, by its own name.

        Raises:
            OptionError: as `path_for`.
        """
        assert self.folder is not None
        if source.path is None:
            raise OptionError("it has no name to give to a copy")
        return self._claim(self.folder / source.below, source)

    def _claim(self, target: Path, source: Source) -> Path:
        place = os.path.realpath(target)
        other = self._given.setdefault(place, source)
        if other is not source:
            raise OptionError(f"{target} is already the output of {other.name}")
        if place in self._inputs or (source.path and place == os.path.realpath(source.path)):
            raise OptionError(f"the output {target} is an input; name another with -o")
        return target

    def outputs_of(self, sources: Sequence[Source]) -> set[str]:
        """Return the real paths of all outputs that can be named, to tell them from inputs."""
        outputs = set()
        for source in sources:
            try:
                if source.path and self._file is None and not self.standard_output:
                    below = source.path if self.folder is None else source.below
                    renamed = Path(self.folder or "", self._rename(below, ""))
                    outputs.add(os.path.realpath(renamed))
            except OptionError:
                continue
        return outputs

    def check_free(self, target: Path | None) -> None:
        """Check that the output may be written.

        Raises:
            OptionError: it exists and must not be overwritten, or is a folder.
        """
        if target is None or not os.path.lexists(target):
            return
        if os.path.isdir(target):  # noqa: PTH112 - as above
            raise OptionError(f"the output {target} is a folder; name another with -o")
        if not self._overwrite:
            raise OptionError(f"{target} exists; -f overwrites it")

    def is_done(self, target: Path | None, source: Source) -> bool:
        """Whether the output is there, whole as far as its ends tell, and not older than its input.

        Raises:
            OptionError: it is there, but damaged or older, and must not be overwritten.
            OSError: it cannot be read.
        """
        if target is None or not target.is_file():
            return False
        problem = _problem_of(target, source)
        if problem and not self._overwrite:
            raise OptionError(f"{target} exists, but {problem}; -f overwrites it")
        return not problem

    def write(
        self,
        target: Path | None,
        data: bytes,
        like: os.stat_result | None,
        accessed_ns: int | None = None,
    ) -> None:
        """Write ``data`` to what `path_for` gave, whole or not at all; make its folder first.

        Args:
            target: ``None`` for standard output.
            data: the whole content.
            like: the status of the input, whose permissions, times and, where the system allows
                it, owner the output gets; ``None`` for those of a new file.
            accessed_ns: when the input was last accessed, if ``like`` is too late to tell.

        Raises:
            OptionError: the file has appeared meanwhile and must not be overwritten.
            OSError: the file system refuses.
        """
        from xraycodec.files import write_atomically

        if target is None:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return
        self._prepare(target)
        times_ns = None
        if like:
            times_ns = (like.st_atime_ns if accessed_ns is None else accessed_ns, like.st_mtime_ns)
        try:
            write_atomically(
                target,
                data,
                overwrite=self._overwrite,
                mode=like.st_mode if like else None,
                times_ns=times_ns,
                owner=(like.st_uid, like.st_gid) if like else None,
            )
        except OSError as error:  # the temporary file's name means nothing to anybody
            raise OSError(error.errno, error.strerror, str(target)) from error

    def copy(self, source: Source, target: Path) -> int:
        """Copy an input byte for byte, with its permissions and times; return its size.

        Raises:
            OptionError, OSError: as `write`; the input is not a regular file, or cannot be read.
        """
        from xraycodec.files.atomic import copy_atomically

        assert source.path is not None
        self._prepare(target)
        return copy_atomically(source.path, target, overwrite=self._overwrite)

    def _prepare(self, target: Path) -> None:
        """Make the folder of an output, and remove what killed runs left in it."""
        from xraycodec.files.atomic import remove_stale

        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            message = os.strerror(errno.ENOTDIR)
            raise NotADirectoryError(errno.ENOTDIR, message, error.filename) from error
        if target.parent not in self._cleaned:
            self._cleaned.add(target.parent)
            remove_stale(target.parent)


def _problem_of(target: Path, source: Source) -> str:
    """What is wrong with an output that exists; empty if it passes for whole."""
    from xraycodec.container import ends_whole

    status = source.status()
    with target.open("rb") as file:
        found = os.fstat(file.fileno())
        if not found.st_size:
            return "is empty"
        if target.suffix.lower() == XRC_SUFFIX and not ends_whole(file):
            return "is no whole .xrc file"
    # Outputs have the time of their input: one that was changed later is another.
    if status and status.st_mtime - found.st_mtime > _CLOCK_SECONDS:
        return f"is older than {source.name}"
    return ""
