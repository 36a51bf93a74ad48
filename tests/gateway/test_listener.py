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
    config_text,
    files,
    folder_destination,
    radiograph,
    report,
    send,
    wait_for,
)
from pynetdicom import AE
from pynetdicom.sop_class import Verification

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
