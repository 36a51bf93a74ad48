"""What the gateway runs in the processes of its pool.

A process that hangs, in native code too, cannot be interrupted, only ended. It ends itself: a
thread of the interpreter's own, which needs no lock of Python's, waits beside each preparation. To
the gateway that is a crash like any other.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from pathlib import Path
from typing import TextIO

from xraycodec.gateway import conversion
from xraycodec.gateway.logs import silence_libraries

_nowhere: TextIO | None = None


def begin() -> None:
    """Make this process one of the pool: it ends with the gateway, however that ends."""
    global _nowhere
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    silence_libraries()
    # For the trace of what hung, which the log has no place for.
    _nowhere = Path(os.devnull).open("w")  # noqa: SIM115 - until the process ends
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def prepare(job: conversion.Job, timeout_seconds: float) -> conversion.Prepared:
    """Prepare a delivery, or end the process after so many seconds.

    Outside of the pool no time is kept: there is more to the process than this.

    Raises:
        XrayCodecError, OSError: as `conversion.prepare`.
    """
    if _nowhere is None:
        return conversion.prepare(job)
    faulthandler.dump_traceback_later(timeout_seconds, exit=True, file=_nowhere)
    try:
        return conversion.prepare(job)
    finally:
        faulthandler.cancel_dump_traceback_later()
