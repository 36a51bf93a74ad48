"""The C-STORE and C-ECHO provider: nothing is answered with Success before it is on the disk."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.presentation import AllStoragePresentationContexts, build_context
from pynetdicom.sop_class import Verification

from xraycodec.gateway import listener
from xraycodec.gateway.config import Config, ServerTls
from xraycodec.gateway.conversion import private_syntax
from xraycodec.gateway.intake import Intake, Offer
from xraycodec.gateway.logs import Log, describe
from xraycodec.gateway.metrics import Counters
from xraycodec.gateway.remainder import REMAINDER_UID
from xraycodec.gateway.spool import Spool
from xraycodec.gateway.statuses import OUT_OF_RESOURCES, SUCCESS

_MORE_CONNECTIONS = 8
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
        self._log = log
        self._counters = counters
        self._intake = Intake(config, spool, log, counters, on_received)
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
            _contexts(remainders=self._config.limits.base_days > 0),
            tls_context(listen.tls) if listen.tls else None,
            evt_handlers=[
                (evt.EVT_REQUESTED, self._requested),
                (evt.EVT_ACCEPTED, self._accepted),
                (evt.EVT_REJECTED, lambda _: self._refused("negotiation")),
                (evt.EVT_C_ECHO, self._echo),
                (evt.EVT_C_STORE, self._store),
                (evt.EVT_DIMSE_RECV, listener.keep_invalid_uids),
                *self._memory.handlers(),
            ],
            admits=lambda address: any(p.admits_address(address) for p in self._config.peers),
            connections=2 * listen.associations + _MORE_CONNECTIONS,
            # One more than may associate, for which there is an answer.
            connections_per_host=listen.associations_per_host + 1,
            bytes_per_second=listen.least_bytes_per_second,
            on_refused=self._refused,
            on_slow=self._slow,
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
        if not any(peer.admits(title, requestor.address) for peer in self._config.peers):
            # PS3.8 9.3.4: rejected, permanent; by the service user; calling AE title not
            # recognised.
            self._reject(event.assoc, "peer", 0x01, 0x01, 0x03)
            return
        assert self._server is not None
        limit = self._config.listen.associations_per_host
        if self._server.associations_of(event.assoc.host) > limit:
            # Rejected, transient; by the service provider, presentation; local limit exceeded.
            self._reject(event.assoc, "too many associations of one host", 0x02, 0x03, 0x02)

    def _reject(self, association: Any, reason: str, *codes: int) -> None:
        self._refused(reason)
        association.acse.send_reject(*codes)
        association.is_rejected = True
        association.kill()

    def _accepted(self, event: Any) -> None:
        self._counters.add("associations_total", outcome="accepted")
        self._log.debug("association", peer=str(event.assoc.requestor.ae_title).strip())

    def _refused(self, reason: str) -> None:
        self._counters.add("associations_total", outcome=f"refused: {reason}")
        self._log.warning("association_refused", reason=reason)

    def _too_large(self) -> None:
        self._counters.add("received_total", outcome="too large")
        self._log.warning("association_ended", reason="message too large")

    def _slow(self) -> None:
        self._counters.add("associations_total", outcome="ended: too slow")
        self._log.warning("association_ended", reason="too slow")

    def _echo(self, event: Any) -> int:
        self._memory.answered(event.assoc)
        return SUCCESS

    def _store(self, event: Any) -> int:
        try:
            status, outcome = self._intake.take_in(
                Offer(
                    sender=str(event.assoc.requestor.ae_title).strip(),
                    uid=str(event.request.AffectedSOPInstanceUID).strip("\0 "),
                    sop_class=str(event.request.AffectedSOPClassUID),
                    data_set=event.request.DataSet.getbuffer(),
                    transfer_syntax=str(event.context.transfer_syntax),
                )
            )
        except Exception as error:
            # Whatever it was, nothing was promised, and the sender keeps the instance.
            self._log.error("store_failed", error=describe(error))
            status, outcome = OUT_OF_RESOURCES, "error"
        finally:
            self._memory.answered(event.assoc)
        self._counters.add("received_total", outcome=outcome)
        return status


def _contexts(*, remainders: bool) -> list[Any]:
    syntaxes = [private_syntax(), *STANDARD_SYNTAXES]
    if remainders:
        syntaxes.append(REMAINDER_UID)
    # More than 128, the limit for a requestor; an acceptor has none.
    contexts = [
        build_context(context.abstract_syntax, syntaxes)
        for context in AllStoragePresentationContexts
    ]
    contexts.append(build_context(Verification))
    return contexts
