"""A task that fails as it is told to, and a loop that has a pool do it to many items."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xraycodec.archive.pools import Pool
from xraycodec.archive.records import Checked, Failure, Item, Outcome
from xraycodec.archive.run import claims, drive


def items(count: int) -> list[Item]:
    return [Item(n, f"/in/{n}", f"{n}.xrc", True, 0, None, None, None, None) for n in range(count)]


@dataclass(frozen=True)
class Trying:
    """Does what the number of an item is listed for, and notes each try."""

    notes: Path
    dies: int = -1
    fills: int = -1
    broken: int = -1

    def do(self, item: Item) -> Checked:
        with (self.notes / str(item.id)).open("a") as file:
            file.write(f"{os.getpid()} {os.environ.get('OMP_NUM_THREADS')}\n")
        if item.id == self.dies:
            os.kill(os.getpid(), signal.SIGKILL)
        if item.id == self.fills:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if item.id == self.broken:
            raise ZeroDivisionError("a bug")
        return Checked(True)

    def tries(self, number: int) -> list[str]:
        return (self.notes / str(number)).read_text().splitlines()


def everything(pool: Pool, count: int, batch: int = 8) -> tuple[dict[int, Outcome], Failure | None]:
    found: dict[int, Outcome] = {}

    def record(outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            assert outcome.id not in found
            found[outcome.id] = outcome

    with pool:
        stopped = drive(pool, claims(items(count)), record, count, batch, lambda: False)
    return found, stopped
