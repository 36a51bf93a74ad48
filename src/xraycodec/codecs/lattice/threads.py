"""Tiles on several threads: whole tiles side by side where there are enough of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from typing import TypeVar

from xraycodec.codecs.base import Progress

Job = TypeVar("Job")
Result = TypeVar("Result")


def split_threads(threads: int, jobs: int) -> tuple[int, int]:
    """Threads for tiles, and for the networks within each.

    Args:
        threads: in all, 0 for every core.
        jobs: tiles to work on.
    """
    threads = threads or cpu_count() or 1
    return (threads, 1) if jobs >= threads else (1, threads)


def run_jobs(
    work: Callable[[Job], Result], jobs: Sequence[Job], threads: int, progress: Progress
) -> list[Result]:
    """Do all jobs, results in their order; the first error ends it."""
    results = []
    if threads == 1:
        for job in jobs:
            results.append(work(job))
            progress(len(results), len(jobs))
        return results
    with ThreadPoolExecutor(threads) as pool:
        try:
            for result in pool.map(work, jobs):
                results.append(result)
                progress(len(results), len(jobs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return results
