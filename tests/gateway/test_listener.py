"""What a peer can do to the listener with a socket: nothing."""

from __future__ import annotations

import io
import socket
import ssl
import struct
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from certificates import make_certificates
from gateway_building import (
    DIGITAL_X_RAY,
    config_text,
    files,
    folder_destination,
    native,
    radiograph,
    report,
    send,
    wait_for,
)
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.sop_class import Verification
from pynetdicom.transport import AssociationSocket

from xraycodec.gateway.config import Config
from xraycodec.gateway.config_file import parse
from xraycodec.gateway.listener import MAX_PDU_BYTES
from xraycodec.gateway.node import Gateway
from xraycodec.gateway.settings import Table


@contextmanager
def gateway_in(config: Config) -> Iterator[Gateway]:
    gateway = Gateway(config, io.StringIO())
    gateway.start()
    try:
        yield gateway
    finally:
        gateway.stop()


def _config(folder: Path, listen: str = "", peers: str = "127.0.0.0/8") -> Config:
    text = config_text(folder_destination("drop", folder / "drop"), listen=listen)
    return parse(Table(tomllib.loads(text.replace("127.0.0.0/8", peers))), folder)


def _echo(port: int, tls: ssl.SSLContext | None = None) -> bool:
    ae = AE("SENDER")
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = 20
    ae.add_requested_context(Verification)
    association = ae.associate(
        "127.0.0.1", port, ae_title="GATEWAY", tls_args=(tls, "127.0.0.1") if tls else None
    )
    if not association.is_established:
        return False
    status = association.send_c_echo().Status
    association.release()
    return bool(status == 0)


def _close(self: AssociationSocket) -> None:
    """As pynetdicom's, which leaves a socket open that the other side has closed."""
    with suppress(OSError):
        self.socket.shutdown(socket.SHUT_RDWR)
    self.socket.close()


@pytest.fixture(autouse=True)
def sockets_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peers of these tests close what they open, whoever collects garbage when."""
    monkeypatch.setattr(AssociationSocket, "_shutdown_socket", _close)


def _read_to_end(peer: socket.socket) -> None:
    """Wait until the other side has closed, politely or not."""
    with suppress(ConnectionResetError):
        while peer.recv(4096):
            pass


def test_an_echo_is_answered(tmp_path: Path) -> None:
    with gateway_in(_config(tmp_path)) as gateway:
        assert _echo(gateway.port)
        assert gateway.problems() == []
        assert gateway.counters.value("associations_total", outcome="accepted") == 1


def test_an_address_that_is_not_listed_is_not_spoken_to(tmp_path: Path) -> None:
    with gateway_in(_config(tmp_path, peers="10.0.0.0/8")) as gateway:
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as peer:
            assert peer.recv(1) == b""
        wait_for(lambda: gateway.counters.value("associations_total", outcome="refused: address"))


@pytest.mark.parametrize(
    "bytes_sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        # An A-ASSOCIATE-RQ of 4 GB, which nobody waits for.
        struct.pack(">BBL", 1, 0, 0xFFFFFFFF),
        struct.pack(">BBL", 4, 0, 2 * MAX_PDU_BYTES),
        struct.pack(">BBL", 1, 0, 68) + bytes(68),
        struct.pack(">BBL", 4, 0, 10) + bytes(10),
    ],
    ids=["http", "endless request", "endless data", "empty request", "data first"],
)
def test_what_is_no_association_ends(tmp_path: Path, bytes_sent: bytes) -> None:
    with gateway_in(_config(tmp_path)) as gateway:
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as peer:
            peer.sendall(bytes_sent)
            _read_to_end(peer)
        assert _echo(gateway.port)


def test_tls_is_spoken_and_certificates_are_checked(tmp_path: Path) -> None:
    made = make_certificates(tmp_path / "tls")
    listen = (
        f'[listen.tls]\ncertificate = "{made.certificate}"\nkey = "{made.key}"\n'
        f'authorities = "{made.authority}"\n'
    )
    client = ssl.create_default_context(cafile=made.authority)
    stranger = ssl.create_default_context(cafile=made.authority)
    client.load_cert_chain(made.certificate, made.key)
    with gateway_in(_config(tmp_path, listen)) as gateway:
        # One that connects and never says a word does not hold up the others.
        with socket.create_connection(("127.0.0.1", gateway.port)):
            assert _echo(gateway.port, client)
            with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as plain:
                plain.sendall(b"no TLS at all")
                _read_to_end(plain)
        with (
            pytest.raises(OSError),  # noqa: PT011 - alert or reset, as the timing has it
            stranger.wrap_socket(
                socket.create_connection(("127.0.0.1", gateway.port), timeout=20),
                server_hostname="127.0.0.1",
            ) as without,
        ):
            # With TLS 1.3 the client learns at its first read that it is not let in.
            assert without.recv(1)
        refused = {"outcome": "refused: TLS handshake"}
        wait_for(lambda: gateway.counters.value("associations_total", **refused) >= 2)


def test_instances_are_taken_in_from_several_senders_at_once(tmp_path: Path) -> None:
    things = [report(number) for number in range(1, 9)]
    with gateway_in(_config(tmp_path)) as gateway:
        # Two senders of the same: one of them brings it, the other is told that it is there.
        senders = [threading.Thread(target=send, args=(gateway.port, things)) for _ in range(2)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        wait_for(lambda: len(files(tmp_path / "drop")) == 8)
        new = gateway.counters.value("received_total", outcome="new")
        known = gateway.counters.value("received_total", outcome="known")
        assert (new, known) == (8, 8)
        wait_for(lambda: gateway.spool.ledger.waiting() == 0)


def test_a_full_queue_takes_nothing_more(tmp_path: Path) -> None:
    config = _config(tmp_path)
    full = replace(config, limits=replace(config.limits, free_bytes=2**62))
    with gateway_in(full) as gateway:
        assert send(gateway.port, [radiograph(1)]) == [0xA700]
        assert gateway.problems() == ["the spool's disk is full"]
        assert gateway.spool.ledger.waiting() == 0


def _associate(port: int) -> Association:
    ae = AE("SENDER")
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = 20
    ae.add_requested_context(DIGITAL_X_RAY, "1.2.840.10008.1.2.1")
    ae.add_requested_context(Verification)
    return ae.associate("127.0.0.1", port, ae_title="GATEWAY")


SLOW = "idle_seconds = 1\nleast_bytes_per_second = 1e6"


@pytest.mark.parametrize(
    "bytes_sent",
    [b"\x01", struct.pack(">BBL", 1, 0, 200), struct.pack(">BBL", 4, 0, 9999) + bytes(99)],
    ids=["one byte", "a request's header", "a part of data"],
)
def test_who_sends_too_slowly_before_an_association_is_ended(
    tmp_path: Path, bytes_sent: bytes
) -> None:
    with gateway_in(_config(tmp_path, SLOW)) as gateway:
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as peer:
            peer.sendall(bytes_sent)
            _read_to_end(peer)
        slow = {"outcome": "ended: too slow"}
        wait_for(lambda: gateway.counters.value("associations_total", **slow) == 1)
        wait_for(lambda: gateway._receiver.associations() == 0)
        assert _echo(gateway.port)


def test_who_stalls_within_a_message_is_ended(tmp_path: Path) -> None:
    with gateway_in(_config(tmp_path, SLOW)) as gateway:
        association = _associate(gateway.port)
        assert association.is_established
        # The first 50 of 9999 bytes of data.
        association.dul.socket.socket.sendall(struct.pack(">BBL", 4, 0, 9999) + bytes(50))
        wait_for(lambda: not association.is_alive())
        slow = {"outcome": "ended: too slow"}
        assert gateway.counters.value("associations_total", **slow) == 1
        wait_for(lambda: gateway._receiver.associations() == 0)


def test_small_messages_in_small_pieces_do_not_hold_an_association(tmp_path: Path) -> None:
    """Whole PDUs that never make a message."""
    with gateway_in(_config(tmp_path, SLOW)) as gateway:
        association = _associate(gateway.port)
        # PS3.8 9.3.5: a fragment of a command, not the last, of one byte.
        fragment = struct.pack(">BBLLBB", 4, 0, 7, 3, 1, 0x01) + b"x"
        with suppress(OSError, AttributeError):
            while association.is_alive():
                association.dul.socket.socket.sendall(fragment)
        wait_for(lambda: gateway._receiver.associations() == 0)


def _connections(gateway: Gateway) -> int:
    assert gateway._receiver._server is not None
    return gateway._receiver._server.connections_of("127.0.0.1")


def test_one_host_cannot_hold_all_associations(tmp_path: Path) -> None:
    with gateway_in(_config(tmp_path, "associations = 9\nassociations_per_host = 2")) as gateway:
        held = [_associate(gateway.port) for _ in range(2)]
        assert all(each.is_established for each in held)
        third = _associate(gateway.port)
        assert third.is_rejected
        assert third.acceptor.primitive.result == 0x02  # transient: it may try again
        wait_for(lambda: _connections(gateway) == 2)
        assert (
            gateway.counters.value(
                "associations_total", outcome="refused: too many associations of one host"
            )
            == 1
        )
        held.pop().release()
        wait_for(lambda: _connections(gateway) == 1)
        assert _echo(gateway.port)
        held.pop().release()


def test_one_host_cannot_hold_all_connections(tmp_path: Path) -> None:
    with gateway_in(_config(tmp_path, "associations_per_host = 2")) as gateway:
        # One more than associations, for which there is an answer.
        silent = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(3)]
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as peer:
            _read_to_end(peer)
        assert (
            gateway.counters.value(
                "associations_total", outcome="refused: too many connections of one host"
            )
            == 1
        )
        for each in silent:
            each.close()
        wait_for(lambda: _connections(gateway) == 0)
        assert _echo(gateway.port)


def _store(port: int, command_uid: str, image: Dataset) -> int | None:
    """Send an image under a UID that pynetdicom would not send; the status of the answer."""
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID = DIGITAL_X_RAY
    request._affected_sop_instance_uid = UID(command_uid)
    request.DataSet = io.BytesIO(native(image))
    association = _associate(port)
    association._reactor_checkpoint.clear()
    association.dimse.send_msg(request, 1)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    association.release()
    return None if answer is None else int(answer.Status)


def _under(uid: str) -> Dataset:
    image = radiograph(1)
    image.SOPInstanceUID = uid
    return image


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI", "ignore:The value length")
def test_an_instance_without_a_uid_is_refused(tmp_path: Path) -> None:
    uids = ("", ".", "..", "....", ".1.2.3", "1.2.3.", "1..2", "1." + "2" * 298, "../1", "1.2a")
    with gateway_in(_config(tmp_path)) as gateway:
        # PS3.7 C.5.4: the UID violates the rules by which UIDs are made.
        assert {_store(gateway.port, uid, _under(uid)) for uid in uids} == {0x0117}
        assert gateway.counters.value("received_total", outcome="invalid UID") == len(uids)
        assert _store(gateway.port, "1.2.3", _under("..")) == 0xC000
        assert gateway.spool.ledger.waiting() == 0


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_uids_that_old_devices_write_are_taken(tmp_path: Path) -> None:
    uids = ("1.2.003", "1.2.3.0", "0", "1." + "2" * 62)
    with gateway_in(_config(tmp_path)) as gateway:
        assert {_store(gateway.port, uid, _under(uid)) for uid in uids} == {0}
        wait_for(lambda: gateway.spool.ledger.waiting() == 0)
    assert {path.stem for path in (tmp_path / "drop").rglob("*.dcm")} == set(uids)
