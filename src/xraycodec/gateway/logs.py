"""Logs as JSON lines, without patient data.

No line holds a name, a patient ID, a date, a UID or any other value of a data set. An instance is
named by a pseudonym, the keyed hash of its SOP Instance UID: lines about one instance can be
brought together, and whoever has both the UID and the spool's key can find them
(``xrc gateway --pseudonym UID``); without the key the UID cannot be guessed from it. Errors are
named by their class and the line of code that raised them, since their messages may quote data.
"""

from __future__ import annotations

import errno
import hmac
import json
import logging
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

LEVELS = ("debug", "info", "warning", "error")
_PACKAGE = Path(__file__).parents[1]


class Log:
    """Writes one JSON object a line: ``time``, ``level``, ``event`` and the event's own fields.

    Args:
        stream: where to; standard error for the command.
        level: the lowest of `LEVELS` to write.
        key: of the pseudonyms.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        stream: TextIO,
        level: str,
        key: bytes,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._stream = stream
        self._lowest = LEVELS.index(level)
        self._key = key
        self._clock = clock
        self._lock = threading.Lock()

    def pseudonym(self, uid: str) -> str:
        """What an instance is called in the log."""
        return hmac.digest(self._key, uid.encode(), "sha256").hex()[:16]

    def debug(self, event: str, **fields: object) -> None:
        self._write("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._write("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, object]) -> None:
        if LEVELS.index(level) < self._lowest:
            return
        now = self._clock()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03}Z"
        line = json.dumps({"time": stamp, "level": level, "event": event, **fields})
        with self._lock:
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                # A log that nobody reads any more must not stop images.
                return


def describe(error: BaseException) -> str:
    """Name an error without its message.

    Its class, the name of its number where the system raised it, and where in this package it was
    raised.
    """
    place = ""
    trace = error.__traceback__
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.is_relative_to(_PACKAGE):
            place = f" at {path.relative_to(_PACKAGE)}:{trace.tb_lineno}"
        trace = trace.tb_next
    name = type(error).__name__
    if isinstance(error, OSError) and error.errno:
        name = f"{name} {errno.errorcode.get(error.errno, error.errno)}"
    return name + place


def silence_libraries() -> None:
    """Keep what pydicom and pynetdicom say, values of data sets included, out of every log."""
    for name in ("pydicom", "pynetdicom"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [logging.NullHandler()]
        logger.propagate = False
        logger.setLevel(logging.CRITICAL + 1)
    warnings.simplefilter("ignore")
    # An exception in a thread of a library would print its message.
    threading.excepthook = lambda lost: print(  # noqa: T201
        f'{{"level": "error", "event": "thread_died", "error": "{lost.exc_type.__name__}"}}',
        file=sys.stderr,
    )
