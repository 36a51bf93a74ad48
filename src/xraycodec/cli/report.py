"""What commands print: results, errors, progress."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import click

from xraycodec.cli.sources import Source
from xraycodec.errors import XrayCodecError

Progress = Callable[[int, int], None]
Result = dict[str, Any]


@dataclass
class Report:
    """Prints one line per file and remembers whether any failed.

    Results go to standard output unless the data itself goes there; errors and progress always
    go to standard error.
    """

    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    results_to_stderr: bool = False
    failed: int = field(default=0, init=False)

    @property
    def exit_code(self) -> int:
        return 1 if self.failed else 0

    def result(self, name: str, text: str, values: Result) -> None:
        if self.as_json:
            click.echo(json.dumps({"input": name, **values}), err=self.results_to_stderr)
        elif not self.quiet:
            click.echo(f"{name}: {text}", err=self.results_to_stderr)

    def skipped(self, name: str, why: str) -> None:
        if self.verbose:
            click.echo(f"xrc: {name}: skipped, {why}", err=True)

    def error(self, name: str, message: str) -> None:
        self.failed += 1
        if self.as_json:
            click.echo(json.dumps({"input": name, "error": message}), err=self.results_to_stderr)
        click.echo(f"xrc: {name}: {message}", err=True)

    @contextmanager
    def progress(self, name: str) -> Iterator[Progress]:
        """Show a bar on a terminal, with the time left, once the work takes longer."""
        if self.quiet or not sys.stderr.isatty():
            yield lambda done, total: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(name, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)


def for_each(report: Report, sources: Sequence[Source], work: Callable[[Source], None]) -> int:
    """Do ``work`` for every source; a failure is reported and the rest goes on.

    Returns the exit code.
    """
    for source in sources:
        try:
            work(source)
        except XrayCodecError as error:
            report.error(source.name, str(error))
        except (OSError, MemoryError) as error:
            report.error(source.name, str(error) or type(error).__name__)
        if report.failed and report.verbose and sys.exc_info()[0]:
            traceback.print_exc()
    return report.exit_code


def human_size(size_bytes: float) -> str:
    """Return a size as people read it: 1536 is 1.5 KiB."""
    for unit in ("B", "KiB", "MiB"):
        if size_bytes < 1024:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} GiB"
