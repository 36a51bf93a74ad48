"""What a run of ``xrc archive`` prints, and how it is stopped."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

import click

from xraycodec.archive.records import (
    Checked,
    Compressed,
    Extracted,
    Failure,
    Item,
    Outcome,
    Skipped,
    Unchanged,
)
from xraycodec.cli.report import Progress, Report, human_size

_INTERRUPTED = 130


class Stopper:
    """Takes interrupts while it is entered: the first ends the run after the files at hand.

    Called, it tells whether there was one. The second interrupt ends the run at once.
    """

    def __init__(self) -> None:
        self._stopping = False
        self._kept: Any = None

    @property
    def exit_code(self) -> int:
        return _INTERRUPTED if self._stopping else 0

    def __call__(self) -> bool:
        return self._stopping

    def __enter__(self) -> Stopper:
        if threading.current_thread() is threading.main_thread():
            self._kept = signal.signal(signal.SIGINT, self._stop)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._kept is not None:
            signal.signal(signal.SIGINT, self._kept)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._stopping:
            raise KeyboardInterrupt
        self._stopping = True
        click.echo("xrc: stopping after the files at hand; interrupt again to end now", err=True)


class OutcomePrinter:
    """Prints outcomes: failures always, what was done as JSON or to verbose users.

    Attributes:
        total, done: files of the run and those that are done, for the bar; nothing is counted
            without a total.
        kept: outcomes so far, if they are wanted.
    """

    def __init__(self, report: Report, bar: Progress, *, keep: bool = False) -> None:
        self._report = report
        self._bar = bar
        self._keep = keep
        self.done = 0
        self.total = 0
        self.kept: list[Outcome] = []

    def progress(self, done: int, total: int) -> None:
        self._bar(done, total)

    def __call__(self, item: Item, outcome: Outcome) -> None:
        if self._keep:
            self.kept.append(outcome)
        if self.total:
            self.done += 1
            self._bar(self.done, self.total)
        report, result = self._report, outcome.result
        match result:
            case Failure():
                report.error(item.path, f"{result.error_class}: {result.message}")
            case Skipped(why):
                report.skipped(item.path, why)
            case Compressed() | Unchanged() | Checked() | Extracted():
                if report.as_json or report.verbose:
                    text, values = _told(item, result)
                    report.result(item.path, text, values | {"seconds": round(outcome.seconds, 4)})


def _told(
    item: Item, result: Compressed | Unchanged | Checked | Extracted
) -> tuple[str, dict[str, Any]]:
    match result:
        case Compressed():
            text = (
                f"{human_size(result.size_bytes)} -> {human_size(result.output_bytes)},"
                f" {result.ratio:.2f}:1 -> {item.output}"
            )
            return text, {
                "output": item.output,
                "input_bytes": result.size_bytes,
                "pixel_bytes": result.pixel_bytes,
                "size_bytes": result.output_bytes,
                "ratio": round(result.ratio, 4),
                "verified": result.verified,
            }
        case Unchanged():
            return "unchanged", {"output": item.output, "unchanged": True}
        case Checked(identical):
            text = "OK" if identical is not False else _DRIFT
            return text, {"output": item.output, "intact": True, "pixels_identical": identical}
        case Extracted():
            text = f"{human_size(result.size_bytes)} -> {result.output}"
            return text + ("" if result.identical else f"; {_DRIFT}"), {
                "output": result.output,
                "format": result.format,
                "size_bytes": result.size_bytes,
                "pixels_identical": result.identical,
            }


_DRIFT = "intact; pixels differ from the encoder's by rounding"
