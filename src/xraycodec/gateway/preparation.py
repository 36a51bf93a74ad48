"""Preparation of deliveries in a pool of processes."""

from __future__ import annotations

import multiprocessing
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from xraycodec.errors import CorruptError, XrayCodecError
from xraycodec.gateway import conversion, worker
from xraycodec.gateway.config import LAYERED, REMAINDER, Config, Destination, FolderTarget
from xraycodec.gateway.faults import is_of_machine
from xraycodec.gateway.logs import Log, describe
from xraycodec.gateway.metrics import Counters
from xraycodec.gateway.records import Delivery, Part, Rendition
from xraycodec.gateway.spool import Spool

_ATTEMPTS = 3  # before an image goes as it was received
_IDLE_SECONDS = 1.0


def back_off(first_seconds: float, longest_seconds: float, failures: int) -> float:
    """Seconds to wait after so many failures in a row: doubled each time, and jittered."""
    longest = min(longest_seconds, first_seconds * 2.0 ** min(failures - 1, 60))
    return longest * random.uniform(0.5, 1)  # noqa: S311 - no secret


class Preparation:
    """Takes deliveries from received to prepared, as many at a time as there are processes.

    Args:
        config, spool, log, counters: of the gateway.
        on_prepared: called with the name of a destination that has something to send.
    """

    def __init__(
        self,
        config: Config,
        spool: Spool,
        log: Log,
        counters: Counters,
        on_prepared: Callable[[str], None],
    ) -> None:
        self._config = config
        self._spool = spool
        self._log = log
        self._counters = counters
        self._on_prepared = on_prepared
        self._destinations = {each.name: each for each in config.destinations}
        self._names = tuple(self._destinations)
        self._slots = threading.Semaphore(config.compression.processes)
        self._wake = threading.Event()
        self._stopping = False
        self._pool: ProcessPoolExecutor | None = None
        self._thread = threading.Thread(target=self._run, name="preparation", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Say that something was received, or became due."""
        self._wake.set()

    def stop(self) -> None:
        """Let go; what was being prepared is prepared again at the next start."""
        self._stopping = True
        self._wake.set()
        self._thread.join()
        if self._pool:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            if not self._slots.acquire(timeout=_IDLE_SECONDS):
                continue
            busy = False
            try:
                busy = self._start_next()
            except Exception as error:
                # The disk, mostly; the gateway goes on when it is well again.
                self._log.error("preparation_failed", error=describe(error))
            if not busy:
                self._slots.release()
                self._wake.wait(_IDLE_SECONDS)

    def _start_next(self) -> bool:
        """Start on one delivery; return whether it now holds a slot."""
        delivery = self._spool.claim_to_prepare(self._names)
        if delivery is None:
            return False
        try:
            destination = self._destinations[delivery.destination]
            if self._needs_nothing(delivery, destination):
                self._prepared(delivery, delivery.rendition, "as received")
                self._wake.set()
                return False
            pool, started_at = self._processes(), time.monotonic()
            future = pool.submit(
                worker.prepare,
                self._job(delivery, destination),
                self._config.compression.timeout_seconds,
            )
        except BaseException as error:
            if isinstance(error, BrokenProcessPool):
                self._pool = None
            self._spool.ledger.release(delivery)
            raise
        future.add_done_callback(lambda done: self._finish(delivery, done, pool, started_at))
        return True

    def _needs_nothing(self, delivery: Delivery, destination: Destination) -> bool:
        if delivery.part is Part.IMAGE:
            return conversion.is_ready(delivery.syntax, delivery.rendition.transfer_syntax)
        return delivery.part is Part.WITHDRAWAL and isinstance(destination.target, FolderTarget)

    def _job(self, delivery: Delivery, destination: Destination) -> conversion.Job:
        previews = self._spool.ledger.previews_at(delivery.instance_uid, delivery.destination)
        return conversion.Job(
            part=delivery.part,
            source=self._spool.source(delivery),
            target=self._spool.prepared(delivery),
            received=delivery.rendition,
            syntax=delivery.syntax,
            compression=self._config.compression,
            preview=destination.preview,
            previews=tuple(previews) if delivery.part is Part.WITHDRAWAL else (),
            base=self._spool.base(delivery) if delivery.syntax in (REMAINDER, LAYERED) else None,
        )

    def _processes(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._config.compression.processes,
                # Not fork: this process has threads, and sockets that no other may hold.
                mp_context=multiprocessing.get_context("spawn"),
                initializer=worker.begin,
            )
        return self._pool

    def _finish(
        self,
        delivery: Delivery,
        future: Future[conversion.Prepared],
        pool: ProcessPoolExecutor,
        started_at: float,
    ) -> None:
        """Record an outcome; runs in a thread of the pool."""
        try:
            if future.cancelled():
                self._spool.ledger.release(delivery)
                return
            error = future.exception()
            if error is None:
                result = future.result()
                self._counters.add("preparation_seconds_total", result.seconds)
                if result.passed_through == CorruptError.__name__:
                    # It did not decode to the same: a fault of ours, not the image's.
                    self._log.error("compression_wrong", destination=delivery.destination)
                self._prepared(delivery, result.rendition, result.passed_through or "converted")
            else:
                # Of several that were at work in a pool, one may have begun another since.
                if isinstance(error, BrokenProcessPool) and self._pool is pool:
                    self._pool = None
                self._failed(delivery, error, time.monotonic() - started_at)
        except Exception as error:
            self._log.error("preparation_failed", error=describe(error))
            self._spool.ledger.release(delivery)
        finally:
            self._slots.release()
            self._wake.set()

    def _prepared(self, delivery: Delivery, rendition: Rendition, outcome: str) -> None:
        self._spool.set_prepared(delivery, rendition)
        self._counters.add("prepared_total", destination=delivery.destination, outcome=outcome)
        self._log.debug(
            "prepared",
            instance=self._log.pseudonym(delivery.instance_uid),
            destination=delivery.destination,
            part=delivery.part.name.lower(),
            outcome=outcome,
            bytes_received=delivery.rendition.size_bytes,
            bytes_prepared=rendition.size_bytes,
        )
        self._on_prepared(delivery.destination)

    def _failed(self, delivery: Delivery, error: BaseException, seconds: float) -> None:
        name = describe(error)
        # A process that takes too long ends itself, and with it the pool; those that were at work
        # beside it have lost an attempt, too.
        late = seconds >= self._config.compression.timeout_seconds
        if isinstance(error, BrokenProcessPool) and late:
            name = "timed out"
        self._counters.add("prepared_total", destination=delivery.destination, outcome="error")
        self._log.warning(
            "preparation_failed",
            instance=self._log.pseudonym(delivery.instance_uid),
            destination=delivery.destination,
            part=delivery.part.name.lower(),
            error=name,
        )
        private = delivery.rendition.transfer_syntax == conversion.private_syntax()
        if delivery.part is Part.PREVIEW and isinstance(error, XrayCodecError):
            self._spool.set_dropped(delivery, name)
        elif delivery.part is Part.IMAGE and delivery.attempts + 1 >= _ATTEMPTS and not private:
            # An image that nothing can be done with goes all the same.
            self._prepared(delivery, delivery.rendition, "error")
        else:
            retry = self._destinations[delivery.destination].retry
            wait = back_off(retry.first_seconds, retry.longest_seconds, delivery.attempts + 1)
            if is_of_machine(error):
                self._spool.defer(delivery, wait)
            else:
                self._refused(delivery, name, wait)

    def _refused(self, delivery: Delivery, reason: str, wait_seconds: float) -> None:
        limit = self._destinations[delivery.destination].retry.refusals
        if self._spool.set_refused(delivery, reason, wait_seconds=wait_seconds, limit=limit):
            self._counters.add("failed_total", destination=delivery.destination)
            self._log.error(
                "delivery_failed",
                instance=self._log.pseudonym(delivery.instance_uid),
                destination=delivery.destination,
                reason=reason,
            )
