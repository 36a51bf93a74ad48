"""Doing jobs in processes of one thread each, whatever becomes of the processes."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection, get_context, parent_process

from xraycodec.evaluation.benchmark.jobs import Context, Job, execute, failed
from xraycodec.evaluation.benchmark.store import Record

Work = Callable[[Context, Job], Record]

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
_WAITING = 2
"""Jobs handed out to each process: one that it does, and one that it goes on with."""


def run_jobs(
    context: Context,
    jobs: Sequence[Job],
    workers: int,
    on_record: Callable[[Record], None],
    *,
    one_thread: bool = True,
    work: Work = execute,
) -> None:
    """Do every job, in any order, and hand over each record as it comes in.

    A process that dies, for lack of memory say, takes the jobs that were handed out with it:
    these are done again one by one, and the one that kills its process a second time is recorded
    as failed.

    Args:
        context: of all jobs.
        jobs: to be done.
        workers: processes; 0 works in this one.
        on_record: called in this process.
        one_thread: hold the libraries of each process to one thread.
        work: does a job; a function of a module, for processes to find.
    """
    if workers == 0:
        for job in jobs:
            on_record(work(context, job))
        return
    queue = deque(jobs)
    with _thread_variables(one_thread):
        while queue:
            for suspect in _run_in_pool(context, queue, workers, on_record, work):
                if _run_in_pool(context, deque([suspect]), 1, on_record, work):
                    on_record(failed(suspect, "its process died, for lack of memory perhaps"))


def _run_in_pool(
    context: Context,
    queue: deque[Job],
    workers: int,
    on_record: Callable[[Record], None],
    work: Work,
) -> list[Job]:
    """Empty the queue until a process dies; return the jobs that were handed out then."""
    running: dict[Future[Record], Job] = {}
    lost: list[Job] = []
    broken = False
    pool = ProcessPoolExecutor(min(workers, len(queue)), get_context("spawn"), initializer=_start)
    try:
        while running or (queue and not broken):
            while queue and len(running) < workers * _WAITING and not broken:
                try:
                    running[pool.submit(work, context, queue[0])] = queue[0]
                    queue.popleft()
                except BrokenProcessPool:
                    broken = True
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                job, error = running.pop(future), future.exception()
                if isinstance(error, BrokenProcessPool):
                    broken = True
                    lost.append(job)
                elif error is not None:
                    on_record(failed(job, f"{type(error).__name__}: {error}"))
                else:
                    on_record(future.result())
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
    return lost


def _start() -> None:
    """Leave interrupts to the parent, and end when it ends, however it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


@contextmanager
def _thread_variables(one_thread: bool) -> Iterator[None]:
    """Set what libraries read as they are loaded, for processes that start meanwhile."""
    kept = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    if one_thread:
        os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
