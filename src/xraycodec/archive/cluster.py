"""Batches as tasks of a Dask cluster, whose workers see the same files under the same names."""

from __future__ import annotations

import queue
import secrets
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from typing import Any

from xraycodec.archive.failures import Task
from xraycodec.archive.pools import Pool
from xraycodec.archive.records import Failure, Item, Outcome
from xraycodec.archive.worker import do_batch
from xraycodec.errors import OptionError, missing_package

_CONNECT_SECONDS = 30
_BATCHES_A_THREAD = 2


class ClusterPool(Pool):
    """One task a batch.

    Where a worker dies, Dask blames every task that it had. Their files are then done one by one,
    with nothing beside them, so that it is the guilty one that pays for it.

    Args:
        task: what to do.
        address: of the scheduler.
        most_attempts: for each file.

    Raises:
        OptionError: distributed is not installed, or the cluster cannot be reached, is empty, or
            has workers that cannot load the task.
        ConnectionError: the cluster has gone.
    """

    def __init__(self, task: Task, address: str, most_attempts: int) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise OptionError(
                missing_package("a Dask cluster needs", "distributed", "dask")
            ) from None
        self._task = task
        self._most_attempts = most_attempts
        try:
            self._client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise OptionError(f"no Dask scheduler answers at {address}: {error}") from error
        self.workers = sum(self._client.nthreads().values())
        if not self.workers:
            self._client.close()
            raise OptionError(f"the Dask cluster at {address} has no workers")
        self._run = secrets.token_hex(8)
        self._numbers = count()
        self._running: dict[Any, tuple[Item, ...]] = {}
        self._ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._suspects: deque[Item] = deque()
        self._alone: Any = None

    def has_room(self) -> bool:
        return (
            not self._suspects
            and self._alone is None
            and len(self._running) < _BATCHES_A_THREAD * self.workers
        )

    def submit(self, items: Sequence[Item]) -> None:
        self._submit(tuple(items))

    def _submit(self, items: tuple[Item, ...]) -> Any:
        future = self._client.submit(
            do_batch,
            self._task,
            self._most_attempts,
            items,
            key=f"xrc-archive-{self._run}-{next(self._numbers)}",
            pure=False,
        )
        self._running[future] = items
        future.add_done_callback(self._ended.put)
        return future

    def collect(self, seconds: float) -> list[Outcome]:
        if self._suspects and not self._running:
            self._alone = self._submit((self._suspects.popleft(),))
        outcomes: list[Outcome] = []
        with suppress(queue.Empty):
            outcomes += self._outcomes(self._ended.get(timeout=seconds))
            while True:
                outcomes += self._outcomes(self._ended.get_nowait())
        return outcomes

    def is_busy(self) -> bool:
        return bool(self._running or self._suspects)

    def stop(self) -> None:
        """Take back the batches that no worker has begun."""
        self._suspects.clear()
        begun = {key for keys in self._client.processing().values() for key in keys}
        for future in [each for each in self._running if each.key not in begun]:
            del self._running[future]
            future.cancel()

    def settle(self) -> None:
        """Nothing is kept until then: workers may be on other machines than the manifest."""

    def close(self) -> None:
        running, self._running = self._running, {}
        for future in running:
            future.cancel()
        self._client.close()

    def _outcomes(self, future: Any) -> list[Outcome]:
        items = self._running.pop(future, None)
        if items is None:  # it was taken back
            return []
        alone, self._alone = future is self._alone, None
        if future.status == "finished":
            outcomes: list[Outcome] = future.result()
            return outcomes
        if future.status == "lost":  # its worker died before the outcomes were fetched
            again = self._submit(items)
            self._alone = again if alone else None
            return []
        if future.status != "error":
            raise ConnectionError(f"the Dask cluster has gone: a task of it was {future.status}")
        error = future.exception()
        if type(error).__name__ != "KilledWorker":
            raise OptionError(
                f"a worker of the cluster could not begin: {type(error).__name__}: {error}; it"
                " needs the same version of xraycodec"
            )
        if not alone:
            self._suspects.extend(items)
            return []
        why = "the process that worked on it died, on each worker that Dask tried"
        return [Outcome(items[0].id, 1, 0.0, Failure("WorkerDied", why, "died"))]
