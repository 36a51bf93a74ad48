"""The loop of every run: claim, hand out, record."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from xraycodec.archive.failures import Task
from xraycodec.archive.pools import InlinePool, Pool
from xraycodec.archive.records import Failure, Item, Outcome

MOST_ATTEMPTS = 3
MOST_IN_BATCH = 16
_POLL_SECONDS = 0.2
_SHARES = 3
"""Batches that each worker has still to get, while there are files for it: even work at the end."""

Record = Callable[[Sequence[Outcome]], None]
Stopping = Callable[[], bool]


@dataclass(frozen=True)
class Workforce:
    """Who does the work.

    Attributes:
        jobs: processes on this machine; 0 works in this one.
        scheduler: address of a Dask cluster to work on instead.
        most_attempts: for each file.
        batch: most files that a worker is handed at a time.
    """

    jobs: int
    scheduler: str | None = None
    most_attempts: int = MOST_ATTEMPTS
    batch: int = MOST_IN_BATCH

    def pool(self, task: Task, files: int, journals: Path | None = None) -> Pool:
        """Return a pool for a number of files.

        Raises:
            OptionError: the cluster cannot be reached, or its library is not installed.
        """
        if self.scheduler:
            from xraycodec.archive.cluster import ClusterPool

            return ClusterPool(task, self.scheduler, self.most_attempts)
        if not self.jobs:
            return InlinePool(task, self.most_attempts)
        from xraycodec.archive.local_pool import LocalPool

        return LocalPool(task, max(1, min(self.jobs, files)), self.most_attempts, journals)


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def drive(
    pool: Pool,
    claim: Callable[[int], list[Item]],
    record: Record,
    files: int,
    batch: int,
    stopping: Stopping,
) -> Failure | None:
    """Do everything that can be claimed.

    Args:
        pool: to do it in.
        claim: gives up to so many items; none if there are none at the moment.
        record: takes outcomes.
        files: expected in all.
        batch: most items of one.
        stopping: whether to end after the files at hand.

    Returns:
        What kept the run from going on, such as a full disk; ``None`` if nothing did.
    """
    stopped: Failure | None = None
    ending = False
    left = files
    while True:
        if not ending and (stopped or stopping()):
            ending = True
            pool.stop()
        while not ending and pool.has_room():
            size = max(1, min(batch, left // (_SHARES * pool.workers)))
            items = claim(size)
            if not items:
                break
            left -= len(items)
            pool.submit(items)
        if not pool.is_busy():
            return stopped
        outcomes = pool.collect(_POLL_SECONDS)
        if outcomes:
            record(outcomes)
            pool.settle()
        for outcome in outcomes:
            if isinstance(outcome.result, Failure) and outcome.result.kind == "stop":
                stopped = outcome.result


def claims(items: Iterable[Item]) -> Callable[[int], list[Item]]:
    """Claim from items that are there once."""
    iterator: Iterator[Item] = iter(items)
    return lambda count: list(islice(iterator, count))
