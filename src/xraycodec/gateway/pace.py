"""How fast a peer must send, on a clock that nobody can set.

A peer has ``idle_seconds`` for the first byte of each message. From there on every byte buys it a
part of a second, never more than ``idle_seconds`` ahead: whoever stalls, or sends less than
``bytes_per_second`` for long, is late. So a PDU of n bytes takes at most
``idle_seconds + n / bytes_per_second``.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

from pynetdicom.timer import Timer

_PIECE_BYTES = 1 << 16


class MonotonicTimer(Timer):  # type: ignore[misc]  # pynetdicom is untyped here
    """pynetdicom's timer, which goes by the wall clock, on a monotonic one."""

    def __init__(
        self, timeout_seconds: float | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(timeout_seconds)
        self._clock = clock
        self._start_time: float | None = None
        self._end_time: float | None = None

    @property
    def remaining(self) -> float:
        if self.timeout is None:
            return 1
        if self._start_time is None:
            return float(self.timeout)
        end = self._clock() if self._end_time is None else self._end_time
        return float(self.timeout) - (end - self._start_time)

    def start(self) -> None:
        self._start_time, self._end_time = self._clock(), None

    def stop(self) -> None:
        self._end_time = self._clock()


class Pace(MonotonicTimer):
    """The time that one association has left; takes the place of pynetdicom's idle timer.

    Args:
        idle_seconds: how long a peer may send nothing.
        bytes_per_second: what it must keep up within a message.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        idle_seconds: float,
        bytes_per_second: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(idle_seconds, clock)
        self._idle_seconds = idle_seconds
        self._bytes_per_second = bytes_per_second
        self.begin()

    def begin(self) -> None:
        """Begin to wait for a message."""
        self._late_at = self._clock() + self._idle_seconds

    def received(self, size_bytes: int) -> None:
        """Count bytes of a message."""
        bought = self._late_at + size_bytes / self._bytes_per_second
        self._late_at = min(bought, self._clock() + self._idle_seconds)

    @property
    def remaining(self) -> float:
        return self._late_at - self._clock()

    @property
    def expired(self) -> bool:
        return self.remaining <= 0

    def start(self) -> None:
        self.begin()

    def restart(self) -> None:
        """Do nothing: pynetdicom calls this after each PDU, however small."""


def read_at_pace(source: socket.socket, size_bytes: int, pace: Pace) -> bytearray:
    """Read so many bytes, or fewer where the peer closes the connection.

    Raises:
        TimeoutError: the peer is late.
        OSError: the connection is broken.
    """
    before = source.gettimeout()
    data = bytearray()
    try:
        while len(data) < size_bytes:
            left = pace.remaining
            if left <= 0:
                raise TimeoutError(f"late after {len(data)} of {size_bytes} bytes")
            source.settimeout(left)
            try:
                piece = source.recv(min(size_bytes - len(data), _PIECE_BYTES))
            except TimeoutError:
                # Late it is only where no message was answered meanwhile.
                continue
            if not piece:
                break
            pace.received(len(piece))
            data += piece
    finally:
        # Answers are sent on the same socket, with their own time.
        source.settimeout(before)
    return data


def pace_of(association: Any) -> Pace:
    """The pace of an association that `listener` has made."""
    pace: Pace = association.dul._idle_timer
    return pace
