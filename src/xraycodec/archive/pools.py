"""Where batches of items are done: what every pool can, and the one in this process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from types import TracebackType

from xraycodec.archive.failures import Task, attempt
from xraycodec.archive.records import Item, Outcome


class Pool(ABC):
    """Takes batches, gives outcomes, in any order; a context that ends its workers.

    Attributes:
        workers: files that are worked on at a time.
    """

    workers: int

    @abstractmethod
    def has_room(self) -> bool:
        """Whether a worker would be idle soon."""

    @abstractmethod
    def submit(self, items: Sequence[Item]) -> None:
        """Hand out a batch."""

    @abstractmethod
    def collect(self, seconds: float) -> list[Outcome]:
        """Outcomes that have come in; wait no longer than this for the first."""

    @abstractmethod
    def is_busy(self) -> bool:
        """Whether outcomes are to come."""

    @abstractmethod
    def stop(self) -> None:
        """Have workers end after the files at hand; of others there will be no outcome."""

    @abstractmethod
    def settle(self) -> None:
        """Take note that all outcomes so far are in the manifest."""

    @abstractmethod
    def close(self) -> None:
        """End the workers at once."""

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class InlinePool(Pool):
    """No processes: for places that others cannot see, such as fsspec's memory."""

    workers = 1

    def __init__(self, task: Task, most_attempts: int) -> None:
        self._task = task
        self._most_attempts = most_attempts
        self._waiting: deque[Item] = deque()

    def has_room(self) -> bool:
        return not self._waiting

    def submit(self, items: Sequence[Item]) -> None:
        self._waiting.extend(items)

    def collect(self, seconds: float) -> list[Outcome]:
        return [attempt(self._task, self._waiting.popleft(), self._most_attempts)]

    def is_busy(self) -> bool:
        return bool(self._waiting)

    def stop(self) -> None:
        self._waiting.clear()

    def settle(self) -> None:
        """Nothing is kept until then."""

    def close(self) -> None:
        self._waiting.clear()
