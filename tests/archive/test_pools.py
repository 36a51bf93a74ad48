"""Pools: processes that die, failures that pass, disks that are full."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from pools_trying import Trying, everything, items

from xraycodec.archive.failures import RunStoppedError, Task, attempt, describe, kind_of
from xraycodec.archive.local_pool import LocalPool
from xraycodec.archive.pools import InlinePool
from xraycodec.archive.records import Checked, Failure, Item, Outcome
from xraycodec.archive.run import claims, drive
from xraycodec.errors import CorruptImageError, OptionError


def test_a_process_that_dies_costs_its_file_an_attempt_and_no_other(tmp_path: Path) -> None:
    task = Trying(tmp_path, dies=11, broken=20)
    found, stopped = everything(LocalPool(task, 2, 3), 40)
    assert stopped is None
    assert sorted(found) == list(range(40))
    died = found.pop(11).result
    assert isinstance(died, Failure)
    assert died.kind == "died"
    assert died.message.startswith("the process that worked on it was killed by SIGKILL")
    bug = found.pop(20).result
    assert bug == Failure("ZeroDivisionError", "ZeroDivisionError: a bug", "final")
    assert {outcome.result for outcome in found.values()} == {Checked(True)}
    assert all(len(task.tries(number)) == 1 for number in range(40))
    used = {task.tries(number)[0].split()[0] for number in range(40)}
    assert 2 <= len(used) <= 3
    assert {task.tries(number)[0].split()[1] for number in range(40)} == {"1"}


@dataclass(frozen=True)
class Unloadable:
    """Kills the process that loads it."""

    def do(self, item: Item) -> Checked:
        raise AssertionError

    def __reduce__(self) -> tuple[Callable[[int], None], tuple[int]]:
        return os._exit, (3,)


def test_workers_that_never_start_end_the_run() -> None:
    with pytest.raises(OptionError, match="3 worker processes in a row ended as they started"):
        everything(LocalPool(Unloadable(), 1, 3), 4)


@pytest.mark.parametrize("local", [True, False], ids=["pool", "inline"])
def test_a_full_disk_stops_the_run(tmp_path: Path, local: bool) -> None:
    task = Trying(tmp_path, fills=5)
    pool = LocalPool(task, 1, 3) if local else InlinePool(task, 3)
    found, stopped = everything(pool, 400)
    assert stopped == Failure("OSError", "No space left on device", "stop")
    assert len(found) < 40


def test_a_run_that_is_stopped_ends_after_the_files_at_hand(tmp_path: Path) -> None:
    done: list[Outcome] = []
    with LocalPool(Trying(tmp_path), 2, 3) as pool:
        claim = claims(items(10_000))
        drive(pool, claim, done.extend, 10_000, 8, lambda: len(done) > 20)
    tried = {int(path.name) for path in tmp_path.iterdir()}
    assert {outcome.id for outcome in done} == tried
    assert 20 < len(done) < 1000


@dataclass
class Failing:
    """Fails so many times."""

    error: Exception
    times: int

    def do(self, item: Item) -> Checked:
        self.times -= 1
        if self.times >= 0:
            raise self.error
        return Checked(None)


def tried(task: Task, most: int = 3, earlier: int = 0) -> tuple[Outcome, list[float]]:
    waits: list[float] = []
    item = Item(1, "/in/a", "a.xrc", True, earlier, None, None, None, None)
    return attempt(task, item, most, waits.append), waits


def test_failures_that_pass_are_tried_again_and_later() -> None:
    outcome, waits = tried(Failing(ConnectionResetError(), 2))
    assert (outcome.attempts, outcome.result) == (3, Checked(None))
    assert 0 < waits[0] < waits[1] * 2
    outcome, waits = tried(Failing(OSError(errno.EIO, "I/O error"), 9))
    assert (outcome.attempts, len(waits)) == (3, 2)
    assert outcome.result == Failure("OSError", "I/O error", "transient")
    outcome, waits = tried(Failing(TimeoutError(), 9), most=3, earlier=2)
    assert (outcome.attempts, waits) == (1, [])


@pytest.mark.parametrize(
    "error", [CorruptImageError("cut"), FileNotFoundError(errno.ENOENT, "none"), ValueError("bug")]
)
def test_failures_of_the_file_are_not_tried_again(error: Exception) -> None:
    outcome, waits = tried(Failing(error, 9))
    assert (outcome.attempts, waits) == (1, [])
    assert isinstance(outcome.result, Failure)
    assert outcome.result.kind == "final"


def test_kinds_and_messages() -> None:
    assert kind_of(MemoryError()) == "transient"
    assert kind_of(RunStoppedError("no model")) == "stop"
    assert describe(RunStoppedError("no model"), "a") == "no model"
    assert kind_of(OSError(errno.EROFS, "read-only")) == "stop"
    assert kind_of(OSError(errno.ENAMETOOLONG, "long")) == "final"
    assert describe(OSError(errno.EIO, "I/O error", "/in/a"), "/in/a") == "I/O error"
    assert describe(OSError(errno.EIO, "I/O error", "/out/a"), "/in/a") == "/out/a: I/O error"
    assert describe(CorruptImageError("/in/a: cut"), "/in/a") == "cut"
    assert describe(MemoryError(), "a") == "MemoryError: "
    assert len(describe(ValueError("x" * 5000), "a")) == 1000
