"""From the paths on a command line to inputs."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import click

from xraycodec.cli.report import Report
from xraycodec.errors import LimitError
from xraycodec.limits import Limits

STANDARD = "-"
XRC_SUFFIX = ".xrc"
DICOM_SUFFIXES = frozenset((".dcm", ".dicom"))
# The last number of a name that is a DICOM UID is no suffix.
IMAGE_SUFFIXES = DICOM_SUFFIXES | frozenset(
    (
        *(".png", ".tif", ".tiff", ".pgm", ".npy", ".jxl", ".jpg", ".jpeg", ".jls"),
        *(".jp2", ".j2k", ".j2c", ".jph", ".jhc"),
    )
)
FORMAT_NAMES = {
    "xrc": "an .xrc",
    "dicom": "a DICOM",
    "png": "a PNG",
    "tiff": "a TIFF",
    "pgm": "a PGM",
    "npy": "an NPY",
    "jpegxl": "a JPEG XL",
    "jpeg2000": "a JPEG 2000",
    "jpegls": "a JPEG-LS",
    "jpeg": "a JPEG",
}
"""Of what `sniff` finds, with their article."""
_BLANK_BYTES = 4096
_DANGLING = "a symbolic link to a file that does not exist"

_LARGE_BYTES = 1 << 22  # from which a file is looked at before it is read whole


@dataclass(frozen=True)
class Source:
    """One input.

    Attributes:
        name: as the user wrote it, for messages.
        path: ``None`` for standard input.
        below: path relative to the folder that was searched, else the file's name.
        other: why it is not for this command; empty if it is.
        accessed_ns: time of the last access before this command, in nanoseconds since 1970, where
            telling its kind takes reading it.
    """

    name: str
    path: Path | None
    below: Path
    other: str = ""
    accessed_ns: int | None = None

    def read(self, limits: Limits | None = None) -> bytes:
        """Read it whole; a large file only after its first bytes were held against ``limits``.

        Raises:
            OSError: it cannot be read.
            LimitError: its first bytes tell that it will be refused.
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

    def check(self) -> None:
        """Look for what reading or naming an output would give a worse message for.

        Raises:
            OSError: there is no such file, or it is a folder, or a symbolic link to nothing.
        """
        if self.path is None:
            return
        try:
            mode = self.path.stat().st_mode
        except FileNotFoundError as error:
            if self.path.is_symlink():
                raise FileNotFoundError(error.errno, _DANGLING, str(self.path)) from error
            raise
        if stat.S_ISDIR(mode):
            message = "is a folder; -r descends into it"
            raise IsADirectoryError(errno.EISDIR, message, str(self.path))

    def status(self) -> os.stat_result | None:
        """Return size, permissions and times of a regular file, ``None`` of any other input."""
        try:
            status = None if self.path is None else self.path.stat()
        except OSError:
            return None
        return status if status and stat.S_ISREG(status.st_mode) else None

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
        article: ``a`` or ``an``, before the kind.
        kind: what they are, for messages.
        test: tells one from its path, by its content.
        suffixes: of names that promise such a file: one whose content is of no known kind is
            broken, and is not passed over. ``.dcm`` stands for names without suffix, too.
        members: for a file that stands for others, these; ``None`` for any other file.
    """

    article: str
    kind: str
    test: Callable[[Path], bool]
    suffixes: frozenset[str]
    members: Callable[[Path, Report], list[Source] | None] = lambda path, report: None

    def why_not(self, path: Path) -> str:
        """Say why a file below a folder is not for the command; empty if it is.

        A file that the command has to fail for is for it: one that cannot be read, that is broken,
        and a link to nothing by the name of an image.
        """
        if not os.path.exists(path):  # noqa: PTH110 - Path's raises for names that are too long
            vanished = not os.path.islink(path)  # noqa: PTH114 - as above
            return "" if vanished or self._promised_by(path.name, blank=True) else _DANGLING
        if os.path.isdir(path):  # noqa: PTH112 - as above
            return "a symbolic link to a folder; -r does not follow it"
        if not os.path.isfile(path):  # noqa: PTH113 - as above
            return "not a regular file"
        if self.test(path) or self._is_broken(path):
            return ""
        return f"not {self.article} {self.kind}"

    def _is_broken(self, path: Path) -> bool:
        from xraycodec.container import SIGNATURE
        from xraycodec.files.signatures import sniff

        try:
            head = read_head(path)
        except OSError:
            return True  # reading it fails once more, and is reported then
        # A file that lost its content is empty, or full of zeros where a file system recovered.
        blank = not head[:_BLANK_BYTES].strip(b"\0")
        known = sniff(head) is not None or head.startswith(SIGNATURE)
        return not known and self._promised_by(path.name, blank=blank)

    def _promised_by(self, name: str, *, blank: bool) -> bool:
        """Whether a name is that of an image.

        DICOM files often have no suffix: IM0001, I10, or a UID. Of a file without content, a name
        with a digit and without suffix counts as one; README, LOCK and hidden files do not.
        """
        if name.startswith("."):  # such as ._IM0001.dcm, which macOS puts beside IM0001.dcm
            return False
        suffix = Path(name).suffix.lower()
        if suffix in self.suffixes:
            return True
        plain = not suffix or suffix[1:].isdigit()
        return blank and plain and ".dcm" in self.suffixes and any(map(str.isdigit, name))


def read_head(path: Path) -> bytes:
    """Return as many bytes as telling the kind of a file takes.

    Raises:
        OSError: it cannot be read.
    """
    from xraycodec.files.signatures import HEAD_BYTES

    with path.open("rb") as stream:
        return stream.read(HEAD_BYTES)


XRC_FILES = Wanted(
    "an", ".xrc file", lambda path: path.suffix.lower() == XRC_SUFFIX, frozenset((XRC_SUFFIX,))
)


def _check_head(head: bytes, size_bytes: int, limits: Limits) -> None:
    from xraycodec.container import SIGNATURE, read_header
    from xraycodec.files import check_head

    if head.startswith(SIGNATURE):
        header = read_header(head, limits)
        limits.check_pixels(header.frames, header.rows, header.columns, size_bytes, "HEAD")
    else:
        check_head(head, size_bytes, limits)


def find_sources(
    inputs: Sequence[str], wanted: Wanted, report: Report, *, recursive: bool, sort: bool = False
) -> list[Source]:
    """Expand the inputs: below a folder every file, of a file that stands for others its members.

    Folders that cannot be read go to ``report``.

    Args:
        inputs: as on the command line.
        wanted: which files below folders are for the command; the rest gets `Source.other`.
        report: of the command.
        recursive: whether to descend into folders.
        sort: whether ``wanted`` decides about files that are named, too.

    Raises:
        click.UsageError: a folder alone without ``recursive``, standard input twice, or from a
            terminal.
    """
    if list(inputs).count(STANDARD) > 1:
        raise click.UsageError("standard input (-) can be read only once")
    sources: list[Source] = []
    for name in inputs:
        if name == STANDARD:
            if sys.stdin.isatty():
                raise click.UsageError("standard input is a terminal; redirect a file into it")
            sources.append(Source("standard input", None, Path("stdin")))
        elif not os.path.isdir(name):  # noqa: PTH112 - Path's raises for names that are too long
            sources += _named(Path(name), name, wanted, report, sort=sort)
        elif recursive:
            sources += _sources_below(Path(name), wanted, report)
        elif len(inputs) == 1:
            raise click.UsageError(f"{name} is a folder; -r descends into it")
        else:  # a failure in its turn, which does not stop the others
            sources.append(Source(name, Path(name), Path(Path(name).name)))
    return sources


def _named(path: Path, name: str, wanted: Wanted, report: Report, *, sort: bool) -> list[Source]:
    accessed_ns = _accessed_ns(path)
    members = wanted.members(path, report)
    if members is None:
        is_file = os.path.isfile(path)  # noqa: PTH113 - as above
        other = wanted.why_not(path) if sort and is_file else ""
        return [Source(name, path, Path(path.name), other, accessed_ns)]
    for member in members:
        if member.other and not sort:
            report.note(member.name, f"passed over: {member.other}")
    return members


def _sources_below(folder: Path, wanted: Wanted, report: Report) -> list[Source]:
    sources = []
    for path in sorted(_files_below(folder, report)):
        accessed_ns = _accessed_ns(path)
        below, other = path.relative_to(folder), wanted.why_not(path)
        sources.append(Source(str(path), path, below, other, accessed_ns))
    if all(source.other for source in sources):
        report.note(str(folder), f"no {wanted.kind} below it")
    return sources


def _accessed_ns(path: Path) -> int | None:
    try:
        return path.stat().st_atime_ns
    except OSError:
        return None


def _files_below(folder: Path, report: Report) -> Iterator[Path]:
    """Everything but folders; links to folders are not followed."""

    def refused(error: OSError) -> None:
        report.error(os.fsdecode(error.filename), error)

    for parent, folders, names in os.walk(folder, onerror=refused):
        yield from (Path(parent, name) for name in names)
        links = (Path(parent, name) for name in folders)
        yield from (path for path in links if path.is_symlink())
