"""The gateway: its parts, started and stopped together."""

from __future__ import annotations

import sqlite3
import threading
import time
from typing import TextIO

from xraycodec import __version__
from xraycodec.gateway.config import Config, DicomTarget
from xraycodec.gateway.forwarding import Forwarder
from xraycodec.gateway.logs import Log, describe
from xraycodec.gateway.metrics import Counters, gauge
from xraycodec.gateway.preparation import Preparation
from xraycodec.gateway.receiver import Receiver
from xraycodec.gateway.recovery import recover
from xraycodec.gateway.spool import Spool
from xraycodec.gateway.status import StatusServer, document, table

_HOUSEKEEPING_SECONDS = 3600.0
_LOG_KEY = "log-key"


class Gateway:
    """A running gateway.

    Args:
        config: all that it does.
        log_stream: where its log goes.
        rebuild_ledger: as `Spool` has it.

    Raises:
        OptionError: another gateway has the spool, or its ledger does not fit.
        OSError, sqlite3.Error, ssl.SSLError: the spool, a port or a certificate cannot be used.
    """

    def __init__(self, config: Config, log_stream: TextIO, *, rebuild_ledger: bool = False) -> None:
        self._config = config
        self._started_at = time.time()
        self._began_at = time.monotonic()
        self.counters = Counters()
        self.spool = Spool(config.spool, rebuild_ledger=rebuild_ledger)
        self.log = Log(log_stream, config.log_level, self.spool.secret(_LOG_KEY))
        self._recovered = recover(self.spool, config, self.log)
        self._forwarders = [
            Forwarder(
                destination,
                config.ae_title,
                self.spool,
                self.log,
                self.counters,
                self._changed,
                number,
            )
            for destination in config.destinations
            for number in range(
                destination.target.associations
                if isinstance(destination.target, DicomTarget)
                else 1
            )
        ]
        self._preparation = Preparation(config, self.spool, self.log, self.counters, self._prepared)
        self._receiver = Receiver(
            config, self.spool, self.log, self.counters, self._preparation.wake
        )
        pages = {"/": self._page, "/metrics": self._metrics, "/healthz": self._health}
        self._status = StatusServer(config.status, pages) if config.status else None
        self._ended = threading.Event()
        self._housekeeper = threading.Thread(target=self._keep_house, daemon=True)
        self.port = 0
        self.status_port: int | None = None

    def start(self) -> None:
        """Start every part; `port` and `status_port` say where it listens."""
        self._preparation.start()
        for forwarder in self._forwarders:
            forwarder.start()
        self._housekeeper.start()
        self.port = self._receiver.start()
        self.status_port = self._status.start() if self._status else None
        self.log.info("started", version=__version__, port=self.port, status_port=self.status_port)

    def stop(self) -> None:
        """End every part; what is under way is finished, or done again at the next start."""
        self._ended.set()
        self._receiver.stop()
        if self._status and self.status_port is not None:
            self._status.stop()
        for forwarder in self._forwarders:
            forwarder.stop()
        self._preparation.stop()
        self._housekeeper.join()
        self.spool.close()
        self.log.info("stopped")

    def _changed(self) -> None:
        self._preparation.wake()
        for forwarder in self._forwarders:
            forwarder.wake()

    def _prepared(self, destination: str) -> None:
        for forwarder in self._forwarders:
            if forwarder.destination == destination:
                forwarder.wake()

    def _keep_house(self) -> None:
        while True:
            try:
                self.spool.drop_bases(self._config.limits.base_days)
                forgotten = self.spool.forget(self._config.remember_days)
                self.log.debug("forgotten", instances=forgotten)
            except (OSError, sqlite3.Error) as error:
                self.log.error("housekeeping_failed", error=describe(error))
            if self._ended.wait(_HOUSEKEEPING_SECONDS):
                return

    def problems(self) -> list[str]:
        """What keeps the gateway from doing its work; empty when it is well."""
        found = []
        if not self._receiver.is_alive():
            found.append("the receiver has ended")
        if not self._preparation.is_alive():
            found.append("preparation has ended")
        found += [
            f"forwarding to {each.destination} has ended"
            for each in self._forwarders
            if not each.is_alive()
        ]
        if self.spool.free_bytes() < self._config.limits.free_bytes:
            found.append("the spool's disk is full")
        if self.spool.ledger.waiting() >= self._config.limits.queue_instances:
            found.append("the queue is full")
        return found

    def notices(self) -> list[str]:
        """What somebody should see to, although the gateway does its work."""
        counts = self.spool.ledger.counts()
        found = [
            f"{count} deliveries to {destination} are set aside"
            for (destination, state), count in sorted(counts.items())
            if state == "failed"
        ]
        for count, what in (
            (self.spool.quarantined(), "files are in the spool's quarantine"),
            (self._recovered.queued, "instances had no row at the start and were queued again"),
            (self._recovered.missing, "instances had no file at the start and are missing"),
        ):
            if count:
                found.append(f"{count} {what}")
        return found

    def _health(self) -> tuple[int, str, str]:
        problems = self.problems()
        lines = [*(problems or ["ok"]), *self.notices()]
        text = "".join(f"{line}\n" for line in lines)
        return 503 if problems else 200, "text/plain", text

    def _metrics(self) -> tuple[int, str, str]:
        ledger = self.spool.ledger
        counts = ledger.counts()
        waits = ledger.longest_waits()
        names = [destination.name for destination in self._config.destinations]
        states = ("received", "prepared", "failed")
        text = self.counters.render()
        text += gauge(
            "queue_deliveries",
            "Deliveries that are not made, by destination and state.",
            [
                ((("destination", name), ("state", state)), counts.get((name, state), 0))
                for name in names
                for state in states
            ],
        )
        text += gauge(
            "oldest_waiting_seconds",
            "Age of the instance that waits longest, by destination; 0 for none.",
            [((("destination", name),), waits.get(name, 0)) for name in names],
        )
        text += gauge("queue_instances", "Instances on the disk.", [((), ledger.waiting())])
        text += gauge(
            "associations", "Associations from peers now.", [((), self._receiver.associations())]
        )
        text += gauge("quarantined_files", "Files in quarantine.", [((), self.spool.quarantined())])
        text += gauge(
            "missing_instances",
            "Instances whose file was missing at the start.",
            [((), self._recovered.missing)],
        )
        text += gauge("spool_free_bytes", "Space on the disk.", [((), self.spool.free_bytes())])
        text += gauge("start_time_seconds", "When it started.", [((), self._started_at)])
        return 200, "text/plain; version=0.0.4", text

    def _page(self) -> tuple[int, str, str]:
        counts = self.spool.ledger.counts()
        waits = self.spool.ledger.longest_waits()
        rows: list[tuple[object, ...]] = []
        for destination in self._config.destinations:
            name = destination.name
            rows.append(
                (
                    name,
                    destination.syntax,
                    *(counts.get((name, state), 0) for state in ("received", "prepared", "failed")),
                    f"{waits[name]:.0f} s" if name in waits else "none",
                    f"{self.counters.value('delivered_total', destination=name):.0f}",
                )
            )
        problems = self.problems()
        facts: list[tuple[object, ...]] = [
            ("health", "; ".join(problems) or "well"),
            ("to see to", "; ".join(self.notices()) or "nothing"),
            ("version", __version__),
            ("running for", f"{time.monotonic() - self._began_at:.0f} s"),
            ("associations", self._receiver.associations()),
            ("received", f"{self.counters.value('received_total', outcome='new'):.0f}"),
            ("on the disk", self.spool.ledger.waiting()),
            ("space left", f"{self.spool.free_bytes() / 2**30:.1f} GiB"),
        ]
        header = ("destination", "syntax", "to prepare", "to send", "failed", "oldest", "delivered")
        body = table("Gateway", ("", ""), facts) + table("Destinations", header, rows)
        return 200, "text/html", document(f"xraycodec gateway {self._config.ae_title}", body)
