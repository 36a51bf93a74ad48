"""pynetdicom's association server, hardened.

What pynetdicom leaves open, and this closes: connections are filtered by address before a byte of
theirs is read; the TLS handshake runs in the connection's own thread, so that a peer who never
speaks does not hold up the others; a PDU longer than agreed and a message longer than allowed end
the association before they take memory. This is the one module that relies on pynetdicom's inner
workings; ``tests/gateway/test_listener.py`` holds it to them.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from pynetdicom import AE, evt
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

MAX_PDU_BYTES = 1 << 18
_HANDSHAKE_SECONDS = 15
# Beside P-DATA PDUs, which are as long as was agreed: A-ASSOCIATE with all its items.
_PDU_LIMIT = MAX_PDU_BYTES + (1 << 16)
_COMMAND_BYTES = 1 << 16


class _Handler(RequestHandler):  # type: ignore[misc]  # pynetdicom is untyped here
    """Makes associations that refuse to read more at once than a PDU of the agreed length."""

    def _create_association(self) -> Any:
        association = super()._create_association()
        read = association.dul.socket.recv

        def read_bounded(size_bytes: int) -> bytearray:
            if size_bytes > _PDU_LIMIT:
                raise OSError(f"PDU of {size_bytes} bytes; the limit is {_PDU_LIMIT}")
            received: bytearray = read(size_bytes)
            return received

        association.dul.socket.recv = read_bounded
        return association


class Server(ThreadedAssociationServer):  # type: ignore[misc]
    """Accepts connections for an AE.

    Args:
        ae, address, ae_title, contexts, ssl_context, evt_handlers: as pynetdicom has them.
        admits: whether connections from an IP address are accepted at all.
        connections: how many at a time, associated or not.
    """

    daemon_threads = True

    def __init__(
        self,
        *args: Any,
        admits: Callable[[str], bool],
        connections: int,
        on_refused: Callable[[str], None],
        **kwargs: Any,
    ) -> None:
        self._admits = admits
        self._connections = connections
        self._on_refused = on_refused
        self._handshakes = 0
        self._handshake_lock = threading.Lock()
        super().__init__(*args, request_handler=_Handler, **kwargs)

    def get_request(self) -> tuple[socket.socket, Any]:
        assert self.socket is not None
        accepted: tuple[socket.socket, Any] = self.socket.accept()
        return accepted

    def verify_request(self, request: Any, client_address: Any) -> bool:
        if not self._admits(client_address[0]):
            self._on_refused("address")
            return False
        if len(self.active_associations) + self._handshakes >= self._connections:
            self._on_refused("too many connections")
            return False
        return True

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        if self.ssl_context is not None:
            with self._handshake_lock:
                self._handshakes += 1
            try:
                request.settimeout(_HANDSHAKE_SECONDS)
                request = self.ssl_context.wrap_socket(request, server_side=True)
            except (OSError, ssl.SSLError):
                self._on_refused("TLS handshake")
                self.shutdown_request(request)
                return
            finally:
                with self._handshake_lock:
                    self._handshakes -= 1
        request.settimeout(self.ae.network_timeout)
        super().process_request_thread(request, client_address)

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
        with self._lock:
            held = self._held.get(event.assoc)
            if held is not None:
                held.append(0)


def start(ae: AE, server: Server) -> threading.Thread:
    """Serve in a thread of its own until ``server.shutdown()``."""
    ae._servers.append(server)
    thread = threading.Thread(target=server.serve_forever, name="listener", daemon=True)
    thread.start()
    return thread
