"""pynetdicom's association server, hardened.

What pynetdicom leaves open, and this closes: connections are filtered by address before a byte of
theirs is read; the TLS handshake runs in the connection's own thread, so that a peer who never
speaks does not hold up the others; a PDU longer than agreed and a message longer than allowed end
the association before they take memory; so does a peer that sends too slowly, by a clock that
nobody can set (`pace`), and one host gets only so many connections. This module and `pace` are the
ones that rely on pynetdicom's inner workings; ``tests/gateway/test_listener.py`` holds them to it.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from pynetdicom import AE, evt
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from xraycodec.gateway.instance import is_uid
from xraycodec.gateway.pace import MonotonicTimer, Pace, pace_of, read_at_pace

MAX_PDU_BYTES = 1 << 18
_HANDSHAKE_SECONDS = 15
# Beside P-DATA PDUs, which are as long as was agreed: A-ASSOCIATE with all its items.
_PDU_LIMIT = MAX_PDU_BYTES + (1 << 16)
_COMMAND_BYTES = 1 << 16
_INVALID_UID = "."  # short enough for pynetdicom, and no UID


class _Handler(RequestHandler):  # type: ignore[misc]  # pynetdicom is untyped here
    """Makes associations that read no PDU longer than agreed, and none for longer than allowed."""

    def _create_association(self) -> Any:
        association = super()._create_association()
        association.host = self.client_address[0]
        dul, server = association.dul, self.server
        pace = Pace(association.network_timeout, server.bytes_per_second)
        dul._idle_timer = pace
        dul.artim_timer = MonotonicTimer(dul.artim_timer.timeout)

        def read_bounded(size_bytes: int) -> bytearray:
            if size_bytes > _PDU_LIMIT:
                raise OSError(f"PDU of {size_bytes} bytes; the limit is {_PDU_LIMIT}")
            source = dul.socket.socket
            if source is None:
                raise OSError("the connection is closed")
            data = bytearray()
            try:
                data = read_at_pace(source, size_bytes, pace)
            except TimeoutError:
                server.on_slow()
                raise
            finally:
                # PS3.8 9.2.1: awaiting A-ASSOCIATE-RQ. pynetdicom waits on after the end.
                if len(data) < size_bytes and dul.state_machine.current_state == "Sta2":
                    dul.to_user_queue.put(None)
            return data

        dul.socket.recv = read_bounded
        return association


class Server(ThreadedAssociationServer):  # type: ignore[misc]
    """Accepts connections for an AE.

    Args:
        ae, address, ae_title, contexts, ssl_context, evt_handlers: as pynetdicom has them.
        admits: whether connections from an IP address are accepted at all.
        connections: how many at a time, associated or not.
        connections_per_host: how many of them from one IP address.
        bytes_per_second: what a peer must keep up; its idle time is the AE's network timeout.
        on_refused: called with the reason when a connection is not accepted.
        on_slow: called when a connection ends because its peer is late.
    """

    daemon_threads = True

    def __init__(
        self,
        *args: Any,
        admits: Callable[[str], bool],
        connections: int,
        connections_per_host: int,
        bytes_per_second: float,
        on_refused: Callable[[str], None],
        on_slow: Callable[[], None],
        **kwargs: Any,
    ) -> None:
        self._admits = admits
        self._connections = connections
        self._connections_per_host = connections_per_host
        self.bytes_per_second = bytes_per_second
        self._on_refused = on_refused
        self.on_slow = on_slow
        # Accepted, and without an association yet; by host.
        self._pending: Counter[str] = Counter()
        self._pending_lock = threading.Lock()
        super().__init__(*args, request_handler=_Handler, **kwargs)

    def get_request(self) -> tuple[socket.socket, Any]:
        assert self.socket is not None
        accepted: tuple[socket.socket, Any] = self.socket.accept()
        return accepted

    def verify_request(self, request: Any, client_address: Any) -> bool:
        host = client_address[0]
        if not self._admits(host):
            self._on_refused("address")
            return False
        with self._pending_lock:
            if len(self.active_associations) + self._pending.total() >= self._connections:
                self._on_refused("too many connections")
                return False
            if self.connections_of(host) >= self._connections_per_host:
                self._on_refused("too many connections of one host")
                return False
            self._pending[host] += 1
        return True

    def connections_of(self, host: str) -> int:
        """How many connections there are from an IP address."""
        return self._pending[host] + self.associations_of(host)

    def associations_of(self, host: str) -> int:
        """How many of them speak DICOM, associated or not."""
        return sum(each.host == host for each in self.active_associations)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            if self.ssl_context is not None:
                request.settimeout(_HANDSHAKE_SECONDS)
                request = self.ssl_context.wrap_socket(request, server_side=True)
            request.settimeout(self.ae.network_timeout)
            super().process_request_thread(request, client_address)
        except (OSError, ssl.SSLError):
            self._on_refused("TLS handshake")
            self.shutdown_request(request)
        finally:
            with self._pending_lock:
                self._pending[client_address[0]] -= 1
                self._pending += Counter()  # without hosts that have none

    def handle_error(self, request: Any, client_address: Any) -> None:
        self._on_refused("error")


class MessageLimit:
    """Ends associations whose messages, not yet answered, take more memory than allowed.

    Args:
        data_set_bytes: largest data set.
        on_exceeded: called when an association is ended.
    """

    def __init__(self, data_set_bytes: int, on_exceeded: Callable[[], None]) -> None:
        self._limit = data_set_bytes + _COMMAND_BYTES
        self._on_exceeded = on_exceeded
        self._lock = threading.Lock()
        self._held: WeakKeyDictionary[Any, deque[int]] = WeakKeyDictionary()

    def handlers(self) -> list[tuple[Any, Callable[[Any], None]]]:
        return [
            (evt.EVT_PDU_RECV, self._pdu_received),
            (evt.EVT_DIMSE_RECV, self._message_complete),
        ]

    def answered(self, association: Any) -> None:
        """Let go of the oldest whole message."""
        pace_of(association).begin()
        with self._lock:
            held = self._held.get(association)
            if held and len(held) > 1:
                held.popleft()

    def _pdu_received(self, event: Any) -> None:
        if not isinstance(event.pdu, P_DATA_TF):
            return
        with self._lock:
            # Whole messages, oldest first; last, what has come of the next one.
            held = self._held.setdefault(event.assoc, deque([0]))
            held[-1] += event.pdu.pdu_length
            exceeded = sum(held) > self._limit
        if exceeded:
            self._on_exceeded()
            # This is the thread that reads; an abort, which waits for it, would wait for ever.
            event.assoc.dul.socket.close()

    def _message_complete(self, event: Any) -> None:
        pace_of(event.assoc).begin()
        with self._lock:
            held = self._held.get(event.assoc)
            if held is not None:
                held.append(0)


def keep_invalid_uids(event: Any) -> None:
    """Let C-STORE requests under an invalid UID reach their handler, which refuses them.

    pynetdicom itself ends the association for a long UID, and never answers where there is none.
    """
    command = event.message.command_set
    uid = str(command.get("AffectedSOPInstanceUID", "") or "")
    if isinstance(event.message, C_STORE_RQ) and not is_uid(uid.strip("\0 ")):
        command.AffectedSOPInstanceUID = _INVALID_UID


def start(ae: AE, server: Server) -> threading.Thread:
    """Serve in a thread of its own until ``server.shutdown()``."""
    ae._servers.append(server)
    thread = threading.Thread(target=server.serve_forever, name="listener", daemon=True)
    thread.start()
    return thread
