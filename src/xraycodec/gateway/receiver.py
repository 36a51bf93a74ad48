"""The C-STORE and C-ECHO provider: nothing is answered with Success before it is on the disk."""

from __future__ import annotations

import sqlite3
import ssl
import threading
from collections.abc import Callable
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.presentation import AllStoragePresentationContexts, build_context
from pynetdicom.sop_class import Verification

from xraycodec.errors import ImageError
from xraycodec.gateway import listener
from xraycodec.gateway.config import AS_RECEIVED, Config, ServerTls
from xraycodec.gateway.conversion import private_syntax
from xraycodec.gateway.instance import Identity, describe_received, file_pieces, identify
from xraycodec.gateway.logs import Log, describe
from xraycodec.gateway.metrics import Counters
from xraycodec.gateway.records import Arrival, Part, Route
from xraycodec.gateway.spool import Spool

SUCCESS = 0x0000
NO_DESTINATION = 0x0124  # not authorised
OUT_OF_RESOURCES = 0xA700
WRONG_DATA_SET = 0xA900
CANNOT_UNDERSTAND = 0xC000
CONFLICT = 0xC111

_JPEG = "1.2.840.10008.1.2.4."
STANDARD_SYNTAXES = (
    # The order is the preference where a peer offers several in one context: lossless first.
    *("1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"),
    *(_JPEG + n for n in ("201", "202", "110", "80", "90", "70", "57")),
    "1.2.840.10008.1.2.5",
    *(_JPEG + n for n in ("203", "112", "111", "81", "91", "50", "51")),
    *(_JPEG + n for n in ("92", "93", "100", "101", "102", "103", "104", "105", "106", "107")),
)


def tls_context(tls: ServerTls) -> ssl.SSLContext:
    """TLS 1.2 or later (BCP 195 profile, PS3.15 B.9), with client certificates where asked for.

    Raises:
        ssl.SSLError, OSError: a certificate or key cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(tls.certificate, tls.key)
    if tls.authorities is not None:
        context.load_verify_locations(tls.authorities)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class Receiver:
    """Takes instances into the spool.

    Args:
        config, spool, log, counters: of the gateway.
        on_received: called when there is something new to prepare.
    """

    def __init__(
        self,
        config: Config,
        spool: Spool,
        log: Log,
        counters: Counters,
        on_received: Callable[[], None],
    ) -> None:
        self._config = config
        self._spool = spool
        self._log = log
        self._counters = counters
        self._on_received = on_received
        self._memory = listener.MessageLimit(config.limits.instance_bytes, self._too_large)
        self._server: listener.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> int:
        """Listen; return the port.

        Raises:
            OSError, ssl.SSLError: the port is taken, or a certificate cannot be used.
        """
        listen = self._config.listen
        ae = AE(self._config.ae_title)
        ae.maximum_associations = listen.associations
        ae.maximum_pdu_size = listener.MAX_PDU_BYTES
        ae.network_timeout = listen.idle_seconds
        ae.acse_timeout = min(30, listen.idle_seconds)
        ae.require_called_aet = not listen.any_called_title
        server = listener.Server(
            ae,
            (listen.address, listen.port),
            self._config.ae_title,
            _contexts(),
            tls_context(listen.tls) if listen.tls else None,
            evt_handlers=[
                (evt.EVT_REQUESTED, self._requested),
                (evt.EVT_ACCEPTED, self._accepted),
                (evt.EVT_REJECTED, lambda _: self._refused("negotiation")),
                (evt.EVT_C_ECHO, self._echo),
                (evt.EVT_C_STORE, self._store),
                *self._memory.handlers(),
            ],
            admits=lambda address: any(p.admits_address(address) for p in self._config.peers),
            connections=2 * listen.associations + 8,
            on_refused=self._refused,
        )
        self._server = server
        self._thread = listener.start(ae, server)
        return int(server.server_address[1])

    def stop(self) -> None:
        """Stop listening, and end associations; instances without an answer are sent again."""
        if self._server is None:
            return
        associations = self._server.active_associations
        self._server.shutdown()
        for association in associations:
            association.abort()

    def is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def associations(self) -> int:
        """How many there are now."""
        return len(self._server.active_associations) if self._server else 0

    def _requested(self, event: Any) -> None:
        requestor = event.assoc.requestor
        title = str(requestor.primitive.calling_ae_title).strip()
        if any(peer.admits(title, requestor.address) for peer in self._config.peers):
            return
        self._refused("peer")
        # PS3.8 9.3.4: rejected, permanent; by the service user; calling AE title not recognised.
        event.assoc.acse.send_reject(0x01, 0x01, 0x03)
        event.assoc.is_rejected = True
        event.assoc.kill()

    def _accepted(self, event: Any) -> None:
        self._counters.add("associations_total", outcome="accepted")
        self._log.debug("association", peer=str(event.assoc.requestor.ae_title).strip())

    def _refused(self, reason: str) -> None:
        self._counters.add("associations_total", outcome=f"refused: {reason}")
        self._log.warning("association_refused", reason=reason)

    def _too_large(self) -> None:
        self._counters.add("received_total", outcome="too large")
        self._log.warning("association_ended", reason="message too large")

    def _echo(self, event: Any) -> int:
        self._memory.answered(event.assoc)
        return SUCCESS

    def _store(self, event: Any) -> int:
        try:
            status, outcome = self._take_in(event)
        except Exception as error:
            # Whatever it was, nothing was promised, and the sender keeps the instance.
            self._log.error("store_failed", error=describe(error))
            status, outcome = OUT_OF_RESOURCES, "error"
        finally:
            self._memory.answered(event.assoc)
        self._counters.add("received_total", outcome=outcome)
        return status

    def _take_in(self, event: Any) -> tuple[int, str]:
        sender = str(event.assoc.requestor.ae_title).strip()
        data_set = event.request.DataSet.getbuffer()
        syntax = str(event.context.transfer_syntax)
        if len(data_set) > self._config.limits.instance_bytes:
            self._log.warning("store_refused", reason="too large", peer=sender)
            return OUT_OF_RESOURCES, "too large"
        if not self._has_room(len(data_set)):
            self._log.error("store_refused", reason="out of resources", peer=sender)
            return OUT_OF_RESOURCES, "out of resources"
        try:
            identity = identify(data_set, syntax)
        except ImageError as error:
            self._log.warning("store_refused", peer=sender, error=describe(error))
            return CANNOT_UNDERSTAND, "cannot understand"
        asked = (event.request.AffectedSOPInstanceUID, event.request.AffectedSOPClassUID)
        if asked != (identity.uid, identity.sop_class):
            self._log.warning("store_refused", peer=sender, reason="UIDs differ from the data set")
            return WRONG_DATA_SET, "wrong data set"
        routes = self._routes(identity, sender)
        name = self._log.pseudonym(identity.uid)
        if not routes and identity.preview_of is None:
            self._log.warning("store_refused", instance=name, peer=sender, reason="no destination")
            return NO_DESTINATION, "no destination"
        received = describe_received(identity, data_set, syntax)
        try:
            arrival = self._spool.store(received, routes, file_pieces(received, data_set, sender))
        except (OSError, sqlite3.Error) as error:
            self._log.error("store_refused", instance=name, peer=sender, error=describe(error))
            return OUT_OF_RESOURCES, "out of resources"
        if arrival is Arrival.NEW:
            self._counters.add("received_bytes_total", len(data_set))
        self._on_received()
        level = self._log.warning if arrival is Arrival.CONFLICT else self._log.info
        level("received", instance=name, peer=sender, outcome=arrival.value, bytes=len(data_set))
        return CONFLICT if arrival is Arrival.CONFLICT else SUCCESS, arrival.value

    def _has_room(self, size_bytes: int) -> bool:
        limits = self._config.limits
        # The instance and what is made of it.
        if self._spool.free_bytes() - 2 * size_bytes < limits.free_bytes:
            return False
        return self._spool.ledger.waiting() < limits.queue_instances

    def _routes(self, identity: Identity, sender: str) -> tuple[Route, ...]:
        """What is owed to whom: the policy."""
        routes = []
        for destination in self._config.destinations:
            if destination.modalities and identity.modality not in destination.modalities:
                continue
            if destination.senders and sender not in destination.senders:
                continue
            if identity.preview_of is not None and not destination.forward_previews:
                continue
            if destination.preview is not None and identity.preview_of is None:
                routes.append(Route(destination.name, Part.PREVIEW, AS_RECEIVED))
            routes.append(Route(destination.name, Part.IMAGE, destination.syntax))
        return tuple(routes)


def _contexts() -> list[Any]:
    syntaxes = [private_syntax(), *STANDARD_SYNTAXES]
    # More than 128, the limit for a requestor; an acceptor has none.
    contexts = [
        build_context(context.abstract_syntax, syntaxes)
        for context in AllStoragePresentationContexts
    ]
    contexts.append(build_context(Verification))
    return contexts
