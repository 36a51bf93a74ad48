"""What a command does for each of its inputs, one after the other or several at a time.

::

    sources ──name outputs──▶ make, in threads ──▶ write, report   in the order of the inputs

Only `make` runs in threads. All files are written by the main thread, so that an interrupt leaves
neither partial nor temporary files.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click

from xraycodec.cli.batch import Batch, Done, Sizes, Tally
from xraycodec.cli.progress import Bar, Progress
from xraycodec.cli.report import Report, message_of, printable
from xraycodec.cli.sources import Source
from xraycodec.cli.targets import Targets
from xraycodec.errors import UnsupportedImageError, XrayCodecError

Make = Callable[[Source, Path | None, Progress], Done]
Rest = Callable[[], None]


def for_each(
    report: Report,
    sources: Sequence[Source],
    make: Make,
    *,
    targets: Targets | None = None,
    batch: Batch | None = None,
    sizes: Sizes | None = None,
    check: Callable[[Source], None] = Source.check,
) -> int:
    """Make something of every source, write and report it; failures do not stop the rest.

    Args:
        report: of the command.
        sources: every input.
        make: called with a source, the path of its output (``None`` without ``targets`` and for
            standard output) and what to tell of progress; in threads if the batch says so.
        targets: names and writes outputs; without, nothing is written.
        batch: how to treat several.
        sizes: asks for a summary of several inputs.
        check: called with a source before its output is named; raises OSError or XrayCodecError.

    Returns:
        The exit code.

    Raises:
        click.UsageError: others are to be copied, but not to a folder.
    """
    batch = batch or Batch()
    if batch.others == "copy" and (targets is None or targets.folder is None):
        raise click.UsageError("--others copy needs a folder for the copies; name one with -o")
    several = len(sources) + report.failed > 1
    weights = [status.st_size if (status := source.status()) else 1 for source in sources]
    with report.bar(weights) as bar:
        run = _Run(report, sources, make, targets, batch, bar, check)
        run.work()
    if sizes and several:
        run.tally.tell(report, sizes)
    return report.exit_code


class _Run:
    def __init__(
        self,
        report: Report,
        sources: Sequence[Source],
        make: Make,
        targets: Targets | None,
        batch: Batch,
        bar: Bar,
        check: Callable[[Source], None],
    ) -> None:
        self._check = check
        self._report, self._make, self._targets = report, make, targets
        self._sources, self._batch, self._bar = sources, batch, bar
        self._outputs = (
            targets.outputs_of([source for source in sources if not source.other])
            if targets and any(source.other for source in sources)
            else set()
        )
        self.tally = Tally()

    def work(self) -> None:
        workers = min(self._batch.workers, len(self._sources))
        if workers <= 1:
            for number, source in enumerate(self._sources):
                self._finish(number, source, self._begin(number, source, None))
            return
        waiting: deque[tuple[int, Source, Rest]] = deque()
        with _threads(workers) as pool:
            for number, source in enumerate(self._sources):
                # One more than are at work, so that none of the threads waits for the main one;
                # no more, since each result is held in memory until its turn.
                if len(waiting) > workers:
                    self._finish(*waiting.popleft())
                waiting.append((number, source, self._begin(number, source, pool)))
            while waiting:
                self._finish(*waiting.popleft())

    def _begin(self, number: int, source: Source, pool: ThreadPoolExecutor | None) -> Rest:
        """Name the output and start the work; return what the main thread has to do in its turn."""
        if source.other:
            return lambda: self._pass_on(source, source.other)
        like = source.status()  # reading changes the time of its last access
        try:
            self._check(source)
            target = self._targets.path_for(source) if self._targets else None
            if (
                self._targets
                and self._batch.skip_existing
                and self._targets.is_done(target, source)
            ):
                return lambda: self._skip_existing(source, target)
            if self._targets:
                self._targets.check_free(target)
        except (XrayCodecError, OSError) as error:
            return partial(_fail, error)

        def made() -> Done:
            progress = self._bar.step(number, printable(source.name, sys.stderr))
            return self._make(source, target, progress)

        result = pool.submit(made).result if pool else made
        return lambda: self._put(source, target, result, like)

    def _finish(self, number: int, source: Source, rest: Rest) -> None:
        try:
            rest()
        except BrokenPipeError:
            raise  # nobody reads what is printed: go, as other filters do
        except (XrayCodecError, OSError, MemoryError) as error:
            self._report.error(source.name, error)
        self._bar.end(number)

    def _put(
        self,
        source: Source,
        target: Path | None,
        result: Callable[[], Done],
        like: os.stat_result | None,
    ) -> None:
        """Write and report what was made."""
        try:
            done = result()
        except UnsupportedImageError as error:
            if self._batch.others not in ("copy", "skip"):
                raise
            self._pass_on(source, message_of(error, source.name))
            return
        values, text = done.values, done.text
        if self._targets and done.data is not None:
            if done.mark:
                target = self._targets.path_for(source, done.mark)
                self._targets.check_free(target)
            self._targets.write(target, done.data, like, source.accessed_ns)
            name = "-" if target is None else str(target)
            values, text = {"output": name, **values}, f"{text} -> {name}"
        for warning in done.warnings:
            self._report.warning(source.name, warning)
        for note in done.notes:
            self._report.note(source.name, note)
        self._report.result(source.name, text, values)
        if done.problem:
            self._report.error(source.name, done.problem, in_result=True)
        else:
            self.tally.add(values)

    def _skip_existing(self, source: Source, target: Path | None) -> None:
        self.tally.existing += 1
        why = f"{target} exists"
        self._report.skipped(source.name, why, {"output": str(target), "skipped": "exists"})

    def _pass_on(self, source: Source, why: str) -> None:
        """Do with a file that the command does not serve what --others says."""
        others = self._batch.others
        is_output = source.path is not None and os.path.realpath(source.path) in self._outputs
        if others == "copy" and not is_output:
            self._copy(source, why)
            return
        if others == "fail" and not is_output:
            raise UnsupportedImageError(why)
        self.tally.others += 1
        named = others == "skip" and not is_output
        self._report.skipped(source.name, why, {"skipped": why} if named else None, named=named)

    def _copy(self, source: Source, why: str) -> None:
        assert self._targets is not None
        target = self._targets.copy_path_for(source)
        if self._batch.skip_existing and self._targets.is_done(target, source):
            self._skip_existing(source, target)
            return
        self._targets.check_free(target)
        size_bytes = self._targets.copy(source, target)
        self.tally.copied += 1
        text = f"copied, {why} -> {target}"
        values = {"output": str(target), "copied": why, "size_bytes": size_bytes}
        self._report.result(source.name, text, values)


def _fail(error: Exception) -> None:
    raise error


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """A pool that an error or an interrupt does not wait for more than it must."""
    pool = ThreadPoolExecutor(count)
    # Readers silence warnings for a while, which Python 3.11 does for all threads at once. Where
    # they overlap, one could leave the other's silence behind, or end it early.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        pool.shutdown()
