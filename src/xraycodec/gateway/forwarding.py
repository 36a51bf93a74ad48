"""Delivery of what is prepared: to DICOM nodes and into folders, until it is there."""

from __future__ import annotations

import threading
from collections.abc import Callable

from xraycodec.gateway import folders
from xraycodec.gateway.association import Association, Refusal
from xraycodec.gateway.config import LAYERED, Destination, DicomTarget, FolderTarget
from xraycodec.gateway.faults import NotReached, is_of_object
from xraycodec.gateway.logs import Log, describe
from xraycodec.gateway.metrics import Counters
from xraycodec.gateway.preparation import back_off
from xraycodec.gateway.records import Delivery, Part
from xraycodec.gateway.spool import Spool

_IDLE_SECONDS = 1.0
_LOSSES = 3  # associations lost over one instance before it is held against it


class Forwarder:
    """Sends to one destination, one instance at a time; several may share a destination.

    Args:
        destination: where to.
        ae_title: ours.
        spool, log, counters: of the gateway.
        on_changed: called where there may be something to prepare again.
        number: of this one among those of the destination.
    """

    def __init__(
        self,
        destination: Destination,
        ae_title: str,
        spool: Spool,
        log: Log,
        counters: Counters,
        on_changed: Callable[[], None],
        number: int = 0,
    ) -> None:
        self._destination = destination
        self._spool = spool
        self._log = log
        self._counters = counters
        self._changed = on_changed
        target = destination.target
        self._association = (
            Association(ae_title, target) if isinstance(target, DicomTarget) else None
        )
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._failures = 0
        self._losses: dict[int, int] = {}
        self._thread = threading.Thread(
            target=self._run, name=f"forwarder-{destination.name}-{number}", daemon=True
        )

    @property
    def destination(self) -> str:
        return self._destination.name

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Say that something was prepared."""
        self._wake.set()

    def stop(self) -> None:
        """Finish the instance that is being sent, and end."""
        self._stopping.set()
        self._wake.set()
        self._thread.join()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        self._remove_temporaries()
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                delivery = self._spool.claim_to_send(self.destination)
                if delivery is not None:
                    try:
                        self._deliver(delivery)
                    except BaseException:
                        self._spool.ledger.release(delivery)
                        raise
                    continue
                if self._association is not None:
                    self._association.close_if_idle()
            except Exception as error:
                self._log.error("forwarding_failed", error=describe(error))
                self._stopping.wait(_IDLE_SECONDS)
            self._wake.wait(_IDLE_SECONDS)
        if self._association is not None:
            self._association.close()

    def _remove_temporaries(self) -> None:
        if not isinstance(self._destination.target, FolderTarget):
            return
        try:
            count = folders.remove_temporaries(self._destination.target.folder)
        except OSError as error:
            self._log.warning(
                "cleaning_failed", destination=self.destination, error=describe(error)
            )
            return
        if count:
            self._log.info("temporaries_removed", destination=self.destination, files=count)

    def _deliver(self, delivery: Delivery) -> None:
        try:
            refusal = self._send(delivery)
        except NotReached as error:
            self._not_reached(delivery, str(error))
            return
        except Exception as error:
            if isinstance(error, OSError) and not self._is_of_object(error):
                self._not_reached(delivery, describe(error))
            else:
                # The others must not wait for this one.
                self._refused(delivery, describe(error))
            return
        self._failures = 0
        self._losses.pop(delivery.id, None)
        if refusal is None:
            self._delivered(delivery)
        elif refusal.of_remainder:
            self._failed_attempt(delivery, refusal.reason)
            self._spool.set_syntax(delivery, LAYERED)
            self._changed()
        elif refusal.of_syntax and self._destination.fallback not in (None, delivery.syntax):
            assert self._destination.fallback is not None
            self._failed_attempt(delivery, refusal.reason)
            self._spool.set_syntax(delivery, self._destination.fallback)
            self._changed()
        else:
            self._refused(delivery, refusal.reason)

    def _send(self, delivery: Delivery) -> Refusal | None:
        if self._association is not None:
            context = (delivery.rendition.sop_class, delivery.rendition.transfer_syntax)
            upcoming = self._spool.ledger.contexts(self.destination)
            return self._association.send(self._spool.file_to_send(delivery), context, upcoming)
        assert isinstance(self._destination.target, FolderTarget)
        folder = self._destination.target.folder
        if delivery.part is Part.WITHDRAWAL:
            previews = self._spool.ledger.previews_at(delivery.instance_uid, self.destination)
            source = self._spool.source(delivery)
            folders.remove_instances(folder, source, [uid for _, uid in previews])
        else:
            file = self._spool.file_to_send(delivery)
            folders.file_instance(self._destination.target, file, delivery.rendition.uid)
        return None

    def _is_of_object(self, error: OSError) -> bool:
        target = self._destination.target
        return isinstance(target, FolderTarget) and is_of_object(error, target.folder)

    def _delivered(self, delivery: Delivery) -> None:
        self._spool.set_delivered(delivery)
        self._counters.add("delivered_total", destination=self.destination)
        self._counters.add(
            "delivered_bytes_total", delivery.rendition.size_bytes, destination=self.destination
        )
        self._log.info(
            "delivered",
            instance=self._log.pseudonym(delivery.instance_uid),
            destination=self.destination,
            part=delivery.part.name.lower(),
            bytes=delivery.rendition.size_bytes,
        )
        # A preview may have made way for its image, an image for a withdrawal.
        self._changed()

    def _refused(self, delivery: Delivery, reason: str) -> None:
        retry = self._destination.retry
        wait = back_off(retry.first_seconds, retry.longest_seconds, delivery.attempts + 1)
        self._failed_attempt(delivery, reason)
        if self._spool.set_refused(delivery, reason, wait_seconds=wait, limit=retry.refusals):
            self._counters.add("failed_total", destination=self.destination)
            self._log.error(
                "delivery_failed",
                instance=self._log.pseudonym(delivery.instance_uid),
                destination=self.destination,
                reason=reason,
            )
        self._changed()

    def _not_reached(self, delivery: Delivery, reason: str) -> None:
        """Wait; the fault is the destination's, unless the same instance meets it each time."""
        self._failures += 1
        retry = self._destination.retry
        wait = back_off(retry.first_seconds, retry.longest_seconds, self._failures)
        lost = reason in ("association lost", "no answer")
        losses = self._losses.get(delivery.id, 0) + lost
        self._losses[delivery.id] = losses
        if losses >= _LOSSES:
            self._losses.pop(delivery.id)
            self._refused(delivery, reason)
        else:
            self._failed_attempt(delivery, reason)
            if lost:
                # This instance may be the cause, so another goes first.
                self._spool.defer(delivery, 2 * wait)
            else:
                self._spool.ledger.release(delivery)
        self._stopping.wait(wait)

    def _failed_attempt(self, delivery: Delivery, reason: str) -> None:
        self._counters.add("attempts_failed_total", destination=self.destination, reason=reason)
        self._log.warning(
            "attempt_failed",
            instance=self._log.pseudonym(delivery.instance_uid),
            destination=self.destination,
            reason=reason,
        )
