"""What commands print: results, errors, progress."""

from __future__ import annotations

import json
import math
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TextIO

import click

from xraycodec.cli.progress import Bar
from xraycodec.cli.progress import Progress as Progress

Result = dict[str, Any]


@dataclass
class Report:
    """Prints one line per file and remembers whether any failed.

    Results go to standard output unless the data itself goes there; errors and progress always
    go to standard error.

    Attributes:
        as_json: print results, and errors as well, as one JSON object per file.
        quiet: print errors and warnings only; JSON, once asked for, is printed all the same.
        verbose: name what is skipped, and follow errors by their tracebacks.
        results_to_stderr: standard output is taken by data.
        failed: inputs that failed so far.
    """

    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    results_to_stderr: bool = False
    failed: int = field(default=0, init=False)
    _bar: Bar = field(default_factory=lambda: Bar(None, ()), init=False)

    @property
    def exit_code(self) -> int:
        return 1 if self.failed else 0

    def result(self, name: str, text: str, values: Result) -> None:
        """Print what was done with the input ``name``: ``values`` as JSON, else ``text``."""
        if self.as_json:
            self._print_json({"input": name, **values})
        elif not self.quiet:
            self._echo(f"{name}: {text}", err=self.results_to_stderr)

    def summary(self, text: str, values: Result) -> None:
        """Print what was done with all inputs: ``values`` as JSON, else ``text``."""
        if self.as_json:
            self._print_json({"summary": values})
        elif not self.quiet:
            self._echo(text, err=self.results_to_stderr)

    def skipped(
        self, name: str, why: str, values: Result | None = None, *, named: bool = False
    ) -> None:
        """Tell what is passed over: ``values`` as JSON; in words if it is ``named``, or verbose."""
        if values and self.as_json:
            self._print_json({"input": name, **values})
        if self.verbose or (named and not self.quiet):
            self._echo(f"xrc: {name}: skipped, {why}", err=True)

    def note(self, name: str, message: str) -> None:
        """Print what is worth knowing and no failure."""
        if not self.quiet:
            self._echo(f"xrc: {name}: {message}", err=True)

    def warning(self, name: str, message: str) -> None:
        """Print what nobody may miss who uses the output, although it is no failure."""
        self._echo(f"xrc: {name}: warning: {message}", err=True)

    def error(self, name: str, error: str | Exception, *, in_result: bool = False) -> None:
        """Print a failure; ``in_result`` if a JSON result for this input has said it already."""
        self.failed += 1
        message = error if isinstance(error, str) else message_of(error, name)
        if self.as_json and not in_result:
            self._print_json({"input": name, "error": message})
        self._echo(f"xrc: {name}: {message}", err=True)
        if self.verbose and isinstance(error, Exception):
            self._echo("".join(traceback.format_exception(error)), err=True)

    @contextmanager
    def progress(self, name: str) -> Iterator[Progress]:
        """Show a bar on a terminal, with the time left, once the work takes longer."""
        with self.bar([1]) as bar:
            yield bar.step(0, printable(name, sys.stderr))

    @contextmanager
    def bar(self, sizes_bytes: Sequence[int]) -> Iterator[Bar]:
        """Show one bar over several inputs on a terminal; what is printed appears above it."""
        if self.quiet or not sys.stderr.isatty():
            yield self._bar
            return
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        # Results are for standard output even while the bar is on standard error.
        with RichProgress(
            *columns,
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        ) as rich:
            before, self._bar = self._bar, Bar(rich, sizes_bytes)
            try:
                yield self._bar
            finally:
                self._bar = before

    def _print_json(self, values: Result) -> None:
        text = json.dumps(_finite(values), allow_nan=False)
        with self._bar.paused():
            click.echo(text, err=self.results_to_stderr)

    def _echo(self, text: str, *, err: bool) -> None:
        with self._bar.paused():
            click.echo(printable(text, sys.stderr if err else sys.stdout), err=err)


def human_size(size_bytes: float) -> str:
    """Return a size as people read it: 1536 is 1.5 KiB."""
    for unit in ("B", "KiB", "MiB"):
        if size_bytes < 1024:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} GiB"


def message_of(error: Exception, name: str) -> str:
    """Say what went wrong with the input ``name``, without repeating the name."""
    if isinstance(error, OSError) and error.strerror:
        place = "" if error.filename in (None, name) else f"{error.filename}: "
        return place + error.strerror
    if isinstance(error, MemoryError):
        return str(error) or "not enough memory"
    return str(error).removeprefix(f"{name}: ") or type(error).__name__


def printable(text: str, stream: TextIO) -> str:
    """What the stream's encoding lacks, as bytes of file names may, becomes "?"."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def _finite(value: Any) -> Any:
    """JSON knows neither infinity (the PSNR of equal images) nor NaN: both become null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
