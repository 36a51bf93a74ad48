from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from xraycodec.gateway.pace import MonotonicTimer, Pace, read_at_pace


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Peer:
    """A socket to which so many bytes come at a time, each time after so many seconds."""

    def __init__(self, clock: Clock, piece_bytes: int, seconds: float, total: int = 10**9) -> None:
        self._clock = clock
        self._piece_bytes = piece_bytes
        self._seconds = seconds
        self._left = total
        self.timeout: float | None = 77.0

    def gettimeout(self) -> float | None:
        return self.timeout

    def settimeout(self, seconds: float | None) -> None:
        self.timeout = seconds

    def recv(self, size_bytes: int) -> bytes:
        assert self.timeout is not None
        if self._seconds > self.timeout:
            self._clock.now += self.timeout
            raise TimeoutError
        self._clock.now += self._seconds
        piece = bytes(min(size_bytes, self._piece_bytes, self._left))
        self._left -= len(piece)
        return piece


def _read(clock: Clock, pace: Pace, peer: Peer, size_bytes: int) -> bytearray:
    try:
        return read_at_pace(peer, size_bytes, pace)  # type: ignore[arg-type]
    finally:
        # For what is sent on the same socket.
        assert peer.timeout == 77.0


@pytest.mark.parametrize(
    ("piece_bytes", "seconds", "longest"),
    # 1400 bytes in 3 s lose 0.2 s a piece, and 60 s at the start are 300 pieces.
    [(1, 3, 61), (1, 59, 61), (1400, 3, 903), (1, 10**6, 60)],
    ids=["one byte in 3 s", "one byte in 59 s", "just too slow", "nothing"],
)
def test_a_slow_sender_is_late(piece_bytes: int, seconds: float, longest: float) -> None:
    clock = Clock()
    pace = Pace(60, 500, clock)
    peer = Peer(clock, piece_bytes, seconds)
    with pytest.raises(TimeoutError):
        _read(clock, pace, peer, 1 << 20)
    assert pace.expired
    assert clock.now - 1000 <= longest


@pytest.mark.parametrize("seconds", [3, 50])
def test_a_sender_that_keeps_up_is_not(seconds: float) -> None:
    clock = Clock()
    pace = Pace(60, 500, clock)
    piece_bytes = 500 * int(seconds)
    assert len(_read(clock, pace, Peer(clock, piece_bytes, seconds), 1 << 18)) == 1 << 18
    assert not pace.expired
    assert clock.now - 1000 > 500


def test_a_fast_start_buys_no_stall() -> None:
    clock = Clock()
    pace = Pace(60, 500, clock)
    _read(clock, pace, Peer(clock, 1 << 16, 0.001), 1 << 28)
    assert pace.remaining <= 60
    clock.now += 61
    assert pace.expired


def test_each_message_has_its_time() -> None:
    clock = Clock()
    pace = Pace(60, 500, clock)
    clock.now += 59
    pace.restart()  # what pynetdicom calls after a PDU of whatever size
    assert pace.remaining == 1
    pace.begin()
    assert pace.remaining == 60


def test_a_connection_that_ends_gives_what_there_is() -> None:
    clock = Clock()
    assert len(_read(clock, Pace(60, 500, clock), Peer(clock, 4, 1, total=10), 99)) == 10


def test_what_begins_again_while_a_read_waits_is_waited_for() -> None:
    """The answer to the message before may take its time."""
    clock = Clock()
    pace = Pace(60, 500, clock)

    class Answered(Peer):
        def recv(self, size_bytes: int) -> bytes:
            try:
                return super().recv(size_bytes)
            except TimeoutError:
                self._seconds = 1
                pace.begin()
                raise

    assert len(_read(clock, pace, Answered(clock, 4, 10**6), 8)) == 8


@pytest.mark.parametrize("step", [-10 * 86400.0, 10 * 86400.0])
@pytest.mark.parametrize("make", [lambda: MonotonicTimer(60), lambda: Pace(60, 500)])
def test_the_wall_clock_has_no_say(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], MonotonicTimer], step: float
) -> None:
    timer = make()
    timer.start()
    wall = time.time()
    monkeypatch.setattr(time, "time", lambda: wall + step)
    assert not timer.expired
    assert 0 < timer.remaining <= 60


def test_a_timer_expires_as_pynetdicom_s_does() -> None:
    clock = Clock()
    timer = MonotonicTimer(5, clock)
    assert not timer.expired
    assert timer.remaining == 5
    timer.start()
    clock.now += 4
    assert (timer.expired, timer.remaining) == (False, 1)
    clock.now += 2
    assert timer.expired
    timer.restart()
    clock.now += 1
    timer.stop()
    clock.now += 99
    assert (timer.expired, timer.remaining) == (False, 4)
    assert not MonotonicTimer(None, clock).expired
    assert MonotonicTimer(None, clock).remaining == 1
