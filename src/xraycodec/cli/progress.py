"""One progress bar over all inputs of a command."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

Progress = Callable[[int, int], None]


class Bar:
    """How far a command is, by the bytes of its inputs; threads may share it.

    Args:
        rich: what draws it; ``None`` draws nothing.
        sizes_bytes: of the inputs; 0 counts as 1.
    """

    def __init__(self, rich: RichProgress | None, sizes_bytes: Sequence[int]) -> None:
        self._rich = rich
        self._sizes = [max(1, size) for size in sizes_bytes]
        self._lock = threading.Lock()
        self._shares = [0.0] * len(self._sizes)
        self._done = 0.0
        self._ended = 0
        if rich is not None:
            self._task = rich.add_task("", total=sum(self._sizes))

    def step(self, number: int, name: str) -> Progress:
        """Return what is to be called with the steps done and the steps in all of one input."""
        if self._rich is None:
            return lambda done, total: None

        def progress(done: int, total: int) -> None:
            self._move(number, done / total if total else 0.0, name)

        self._move(number, 0.0, name)
        return progress

    def end(self, number: int) -> None:
        self._ended += 1
        if self._rich is not None:
            self._move(number, 1.0, "")

    def _move(self, number: int, share: float, name: str) -> None:
        from rich.markup import escape

        assert self._rich is not None
        with self._lock:
            self._done += (share - self._shares[number]) * self._sizes[number]
            self._shares[number] = share
        total = len(self._sizes)
        count = f"{self._ended + (self._ended < total)}/{total} " if total > 1 else ""
        text = escape(count + name) if name else None
        self._rich.update(self._task, completed=self._done, description=text)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take the bar off the terminal while something is printed."""
        if self._rich is None:
            yield
            return
        self._rich.stop()
        try:
            yield
        finally:
            self._rich.start()
