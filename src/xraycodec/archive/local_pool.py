"""Processes of one numeric thread each, on this machine."""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from multiprocessing import connection, get_context
from multiprocessing.context import SpawnProcess
from pathlib import Path

from xraycodec.archive.failures import Task
from xraycodec.archive.pools import Pool
from xraycodec.archive.records import Failure, Item, Outcome
from xraycodec.archive.worker import READY, Batch, Pipe, work
from xraycodec.errors import OptionError

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
_LOW_WATER = 4
"""Files left to a worker when it gets its next batch."""
_MOST_FALSE_STARTS = 3
_END_SECONDS = 5.0


@dataclass
class _Worker:
    """A process, and what it has been handed and has not answered."""

    process: SpawnProcess
    inbox: Pipe
    outbox: Pipe
    ready: bool = False
    items: dict[int, Item] = field(default_factory=dict)

    def fileno_or_sentinel(self) -> tuple[Pipe, int]:
        return self.outbox, self.process.sentinel


class LocalPool(Pool):
    """A process that dies costs the file that it had at hand an attempt, and is replaced.

    Args:
        task: what to do.
        workers: processes.
        most_attempts: for each file.
        journals: folder to keep outcomes in until `settle`; ``None`` for none.
    """

    def __init__(
        self, task: Task, workers: int, most_attempts: int, journals: Path | None = None
    ) -> None:
        self.workers = workers
        self._task = task
        self._most_attempts = most_attempts
        self._journals = journals
        self._numbers = count()
        self._open_batches: dict[Path, set[int]] = {}
        self._workers: list[_Worker] = []
        self._left: deque[Item] = deque()
        self._stopping = False
        self._false_starts = 0
        if journals:
            journals.mkdir(mode=0o700, parents=True, exist_ok=True)

    def has_room(self) -> bool:
        return not self._left and (
            len(self._workers) < self.workers
            or any(len(worker.items) <= _LOW_WATER for worker in self._workers)
        )

    def submit(self, items: Sequence[Item]) -> None:
        if len(self._workers) < self.workers:
            self._workers.append(self._start())
        worker = min(self._workers, key=lambda each: len(each.items))
        worker.items.update((item.id, item) for item in items)
        journal = None
        if self._journals:
            journal = self._journals / f"{next(self._numbers)}.jsonl"
            self._open_batches[journal] = {item.id for item in items}
        with suppress(OSError):  # it is dead, which collect() finds
            worker.inbox.send(Batch(tuple(items), journal))

    def collect(self, seconds: float) -> list[Outcome]:
        outcomes: list[Outcome] = []
        handles = [part for worker in self._workers for part in worker.fileno_or_sentinel()]
        connection.wait(handles, seconds)
        for worker in list(self._workers):
            dead = not worker.process.is_alive()  # before reading: all it sent is there then
            outcomes += self._read(worker)
            if dead:
                outcomes += self._bury(worker)
        if self._left and not self._stopping:
            items = [self._left.popleft() for _ in range(len(self._left))]
            self.submit(items)
        return outcomes

    def is_busy(self) -> bool:
        return bool(self._left) or any(worker.items for worker in self._workers)

    def stop(self) -> None:
        self._stopping = True
        self._left.clear()
        for worker in self._workers:
            with suppress(OSError):
                worker.inbox.send(None)

    def settle(self) -> None:
        waiting = {item for worker in self._workers for item in worker.items}
        waiting.update(item.id for item in self._left)
        for journal in [path for path, ids in self._open_batches.items() if not ids & waiting]:
            del self._open_batches[journal]
            journal.unlink(missing_ok=True)

    def close(self) -> None:
        for worker in self._workers:
            worker.inbox.close()
        for worker in self._workers:
            if worker.items:
                worker.process.terminate()
            worker.process.join(_END_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.outbox.close()
            worker.process.close()
        self._workers.clear()

    def _start(self) -> _Worker:
        context = get_context("spawn")
        their_inbox, inbox = context.Pipe(duplex=False)
        outbox, their_outbox = context.Pipe(duplex=False)
        process = context.Process(
            target=work,
            args=(self._task, self._most_attempts, their_inbox, their_outbox),
            daemon=True,
        )
        with _thread_variables(), _interrupts_held():
            process.start()
        their_inbox.close()
        their_outbox.close()
        return _Worker(process, inbox, outbox)

    def _read(self, worker: _Worker) -> Iterator[Outcome]:
        try:
            while worker.outbox.poll():
                message = worker.outbox.recv()
                if message == READY:
                    worker.ready = True
                    self._false_starts = 0
                else:
                    worker.items.pop(message.id, None)
                    if isinstance(message.result, Failure) and message.result.kind == "stop":
                        self.stop()
                    yield message
        except (EOFError, OSError):
            return

    def _bury(self, worker: _Worker) -> Iterator[Outcome]:
        """Let a process go; the file at hand has failed, and others go to its successor."""
        self._workers.remove(worker)
        code = worker.process.exitcode or 0
        worker.inbox.close()
        worker.outbox.close()
        worker.process.join()
        worker.process.close()
        left = list(worker.items.values())
        if self._stopping and code == 0:
            return
        if not worker.ready:
            self._false_starts += 1
            if self._false_starts >= _MOST_FALSE_STARTS:
                raise OptionError(
                    f"{_MOST_FALSE_STARTS} worker processes in a row ended as they started, the"
                    f" last with exit code {code}"
                )
        elif left:
            at_hand = left.pop(0)
            yield Outcome(at_hand.id, 1, 0.0, Failure("WorkerDied", _death(code), "died"))
        if not self._stopping:
            self._left.extend(left)


def _death(code: int) -> str:
    if code < 0:
        try:
            how = f"was killed by {signal.Signals(-code).name}"
        except ValueError:
            how = f"was killed by signal {-code}"
    else:
        how = f"ended with exit code {code}"
    return f"the process that worked on it {how}; for lack of memory perhaps"


@contextmanager
def _thread_variables() -> Iterator[None]:
    """Set what libraries read as they are loaded, for processes that start meanwhile."""
    kept = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Have children inherit a mask: an interrupt at the terminal is for the parent alone."""
    if sys.platform == "win32":
        yield
        return
    kept = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, kept)
