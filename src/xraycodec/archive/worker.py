"""What a worker process does: batches of items from a pipe, outcomes into another."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from dataclasses import dataclass
from multiprocessing import connection, parent_process
from pathlib import Path

from xraycodec.archive.failures import Task, attempt
from xraycodec.archive.journal import Journal
from xraycodec.archive.records import Failure, Item, Outcome

Pipe = connection.Connection


@dataclass(frozen=True)
class Batch:
    """Items for one worker.

    Attributes:
        items: in order.
        journal: to keep outcomes in until the manifest has them; ``None`` for none.
    """

    items: tuple[Item, ...]
    journal: Path | None


READY = "ready"
"""Sent once a worker has started."""


def work(task: Task, most_attempts: int, inbox: Pipe, outbox: Pipe) -> None:
    """Do batches until ``None`` comes, which ends the work after the file at hand."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to stop
    threading.Thread(target=_end_with_parent, daemon=True).start()
    outbox.send(READY)
    waiting: deque[Batch] = deque()
    while True:
        while not waiting or inbox.poll():
            try:
                batch = inbox.recv()
            except EOFError:
                return
            if batch is None:
                return
            waiting.append(batch)
        if _do(waiting.popleft(), task, most_attempts, inbox, outbox, waiting):
            return


def _do(
    batch: Batch,
    task: Task,
    most_attempts: int,
    inbox: Pipe,
    outbox: Pipe,
    waiting: deque[Batch],
) -> bool:
    """Do a batch; return whether to stop."""
    journal = Journal(batch.journal) if batch.journal else None
    try:
        for item in batch.items:
            while inbox.poll():
                message = inbox.recv()
                if message is None:
                    return True
                waiting.append(message)
            outcome = attempt(task, item, most_attempts)
            if journal:
                journal.note(outcome)
            outbox.send(outcome)
            if isinstance(outcome.result, Failure) and outcome.result.kind == "stop":
                return True
    finally:
        if journal:
            journal.close()
    return False


def do_batch(task: Task, most_attempts: int, items: tuple[Item, ...]) -> list[Outcome]:
    """Do a batch in this process, up to what keeps all others from being done."""
    outcomes = []
    for item in items:
        outcomes.append(attempt(task, item, most_attempts))
        result = outcomes[-1].result
        if isinstance(result, Failure) and result.kind == "stop":
            break
    return outcomes


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
