"""Which errors are worth another attempt, and attempts."""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Callable
from typing import Literal, Protocol

from xraycodec.archive.records import Failure, Item, Outcome, Result
from xraycodec.errors import XrayCodecError

MESSAGE_LENGTH = 1000
FIRST_WAIT_SECONDS = 0.25
LONGEST_WAIT_SECONDS = 8.0

_FINAL_ERRORS = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
_FINAL_NUMBERS = frozenset(
    (
        *(errno.EINVAL, errno.ENAMETOOLONG, errno.ELOOP, errno.EXDEV, errno.ENXIO, errno.EFBIG),
        errno.EEXIST,  # a file where a folder has to be
    )
)
_FULL_NUMBERS = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS))

Kind = Literal["final", "transient", "stop"]


class RunStoppedError(Exception):
    """What no other file can do better: a model is missing."""


class Task(Protocol):
    """What a run does to each item; a value that any process can take."""

    def do(self, item: Item) -> Result:
        """Do it once.

        Raises:
            XrayCodecError: the file is to blame.
            OSError, MemoryError: the file or the machine.
        """


def kind_of(error: Exception) -> Kind:
    """Who is to blame.

    Errors of this package say something of the file, as do names and permissions. What else a
    system call or an object store answers may be otherwise in a moment.
    """
    if isinstance(error, RunStoppedError):
        return "stop"
    if isinstance(error, MemoryError):
        return "transient"
    if not isinstance(error, OSError) or isinstance(error, _FINAL_ERRORS):
        return "final"
    if error.errno in _FULL_NUMBERS:
        return "stop"
    return "final" if error.errno in _FINAL_NUMBERS else "transient"


def describe(error: Exception, name: str) -> str:
    """Say what went wrong, without the file's name."""
    if isinstance(error, OSError) and error.strerror:
        place = "" if error.filename in (None, name) else f"{error.filename}: "
        text = place + error.strerror
    else:
        text = str(error).removeprefix(f"{name}: ")
        if not isinstance(error, XrayCodecError | OSError | RunStoppedError) or not text:
            text = f"{type(error).__name__}: {text}"
    return text if len(text) <= MESSAGE_LENGTH else text[: MESSAGE_LENGTH - 3] + "..."


def attempt(
    task: Task, item: Item, most_attempts: int, wait: Callable[[float], None] = time.sleep
) -> Outcome:
    """Do an item, again and later where the machine or the network failed.

    Args:
        task: what to do.
        item: to what.
        most_attempts: those made earlier included; one is made in any case.
        wait: for seconds: doubled each time, and jittered.
    """
    attempts, seconds = 0, 0.0
    while True:
        started = time.perf_counter()
        result: Result | Failure
        try:
            result = task.do(item)
        except Exception as error:  # one file must not stop the others, whatever is wrong with it
            result = Failure(type(error).__name__, describe(error, item.path), kind_of(error))
        seconds += time.perf_counter() - started
        attempts += 1
        again = isinstance(result, Failure) and result.kind == "transient"
        if not again or item.attempts + attempts >= most_attempts:
            return Outcome(item.id, attempts, seconds, result)
        longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** (attempts - 1))
        wait(longest * random.uniform(0.5, 1))  # noqa: S311 - no secret
