"""Deliveries that fail: who waits, who is set aside, and who goes on."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from typing import Any

import pytest
from gateway_building import (
    LocalGateway,
    config_text,
    dicom_destination,
    files,
    folder_destination,
    free_port,
    radiograph,
    running,
    send,
    wait_for,
)

from xraycodec.dicom.encapsulation import XRC_UID
from xraycodec.files.dicom_writer import to_file
from xraycodec.gateway import folders
from xraycodec.gateway.association import Association, Refusal
from xraycodec.gateway.config import AS_RECEIVED, Compression, Config, DicomTarget
from xraycodec.gateway.config_file import load
from xraycodec.gateway.conversion import Job, prepare
from xraycodec.gateway.faults import NotReached, Unreadable
from xraycodec.gateway.forwarding import Forwarder
from xraycodec.gateway.logs import Log
from xraycodec.gateway.metrics import Counters
from xraycodec.gateway.node import Gateway
from xraycodec.gateway.preparation import Preparation
from xraycodec.gateway.records import Part, Received, Rendition, Route
from xraycodec.gateway.spool import Spool

STORED = '[compression]\ncodec = "stored"\nprocesses = 1\n'
FIRST, SECOND = radiograph(1), radiograph(2)


def _folder_gateway(tmp_path: Path) -> LocalGateway:
    text = folder_destination("drop", tmp_path / "drop", "as-received") + "refusals = 2\n"
    return LocalGateway(tmp_path, config_text(text, extra=STORED))


def _config(folder: Path, retry: str = "") -> Config:
    path = folder / "gateway.toml"
    path.write_text(config_text(dicom_destination("pacs", 104, tables=retry)))
    return load(path)


def _node(gateway: LocalGateway) -> Gateway:
    assert gateway._node is not None
    return gateway._node


def _uids(folder: Path) -> set[str]:
    return set(files(folder))


def test_a_fault_of_one_object_sets_it_aside_and_others_go_on(tmp_path: Path) -> None:
    gateway = _folder_gateway(tmp_path)
    name = f"{FIRST.StudyInstanceUID}/{FIRST.SeriesInstanceUID}/{FIRST.SOPInstanceUID}.dcm"
    taken = tmp_path / "drop" / name
    taken.mkdir(parents=True)
    with running(gateway):
        assert send(gateway.port, [FIRST, SECOND]) == [0, 0]
        wait_for(lambda: "1 deliveries to drop are set aside" in _node(gateway).notices())
        wait_for(lambda: _node(gateway).spool.ledger.waiting() == 1)
        assert gateway.get("/healthz") == (200, "ok\n1 deliveries to drop are set aside\n")
        assert "1 deliveries to drop are set aside" in gateway.get("/")[1]
        assert (
            'xrc_gateway_queue_deliveries{destination="drop",state="failed"} 1'
            in gateway.get("/metrics")[1]
        )
    (path,) = [path for path in (tmp_path / "drop").rglob("*.dcm") if path.is_file()]
    assert path.stem == SECOND.SOPInstanceUID
    # It is kept, and goes when it is asked for again.
    taken.rmdir()
    with running(gateway):
        _node(gateway).spool.ledger.retry_failed()
        wait_for(lambda: _node(gateway).spool.ledger.waiting() == 0)
    assert _uids(tmp_path / "drop") == {FIRST.SOPInstanceUID, SECOND.SOPInstanceUID}


def test_a_uid_too_long_for_a_name_blocks_nobody(tmp_path: Path) -> None:
    gateway = _folder_gateway(tmp_path)
    long = radiograph(1)
    with pytest.warns(UserWarning, match="exceeds the maximum length"):
        long.StudyInstanceUID = "1." + "2" * 298
    with running(gateway):
        assert send(gateway.port, [long, SECOND]) == [0, 0]
        wait_for(lambda: _node(gateway).spool.ledger.waiting() == 0)
        assert _node(gateway).notices() == []
    assert _uids(tmp_path / "drop") == {FIRST.SOPInstanceUID, SECOND.SOPInstanceUID}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=errno.errorcode.get)
def test_a_fault_of_the_destination_sets_nothing_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    gateway = _folder_gateway(tmp_path)
    write = folders.write_atomically
    failures = iter(range(6))

    def broken(*arguments: Any, **settings: Any) -> None:
        if next(failures, None) is not None:
            raise OSError(code, "broken")
        write(*arguments, **settings)

    monkeypatch.setattr(folders, "write_atomically", broken)
    with running(gateway):
        assert send(gateway.port, [FIRST, SECOND]) == [0, 0]
        wait_for(lambda: _node(gateway).spool.ledger.waiting() == 0)
        counters = _node(gateway).counters
        assert counters.total("failed_total") == 0
        assert counters.total("attempts_failed_total") == 6
    assert f"OSError {errno.errorcode[code]} at " in gateway.log_path.read_text()
    assert _uids(tmp_path / "drop") == {FIRST.SOPInstanceUID, SECOND.SOPInstanceUID}


def test_a_folder_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    gateway = _folder_gateway(tmp_path)
    (tmp_path / "drop").write_bytes(b"in the way")
    with running(gateway):
        assert send(gateway.port, [FIRST, SECOND]) == [0, 0]
        wait_for(lambda: _node(gateway).counters.total("attempts_failed_total") > 4)
        assert _node(gateway).counters.total("failed_total") == 0
        (tmp_path / "drop").unlink()
        wait_for(lambda: _node(gateway).spool.ledger.waiting() == 0)
    assert _uids(tmp_path / "drop") == {FIRST.SOPInstanceUID, SECOND.SOPInstanceUID}


def test_temporaries_of_a_kill_are_removed_at_the_start(tmp_path: Path) -> None:
    gateway = _folder_gateway(tmp_path)
    place = tmp_path / "drop" / "1.2" / "1.3"
    place.mkdir(parents=True)
    (place / f".{'a' * 32}.tmp").write_bytes(b"half an ima")
    (place / "notes.tmp").write_bytes(b"somebody's")
    with running(gateway):
        wait_for(lambda: len(list(place.iterdir())) == 1)
    assert (place / "notes.tmp").exists()


def test_a_file_that_is_gone_is_no_fault_of_the_node(tmp_path: Path) -> None:
    association = Association(
        "SENDER", DicomTarget("PACS", "127.0.0.1", free_port(), 1, 20, 0, None)
    )
    context = (str(FIRST.SOPClassUID), "1.2.840.10008.1.2.1")
    with pytest.raises(Unreadable):
        association.send(tmp_path / "gone", context, [])


def test_an_object_that_a_node_breaks_off_at_lets_others_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*_: Any) -> Refusal | None:
        raise NotReached("association lost")

    monkeypatch.setattr(Association, "send", lose)
    now = [0.0]
    spool = Spool(tmp_path / "spool", lambda: now[0])
    config = _config(tmp_path, "refusals = 2")
    for number in (1, 2):
        received = Received(f"1.2.{number}", f"{number:064x}", "1.3", "1.4", 7)
        spool.store(received, (Route("pacs", Part.IMAGE, AS_RECEIVED),), [b"content"])
        delivery = spool.claim_to_prepare(("pacs",))
        assert delivery is not None
        spool.set_prepared(delivery, delivery.rendition)
    log, counters = Log(io.StringIO(), "error", b"key"), Counters()
    forwarder = Forwarder(config.destinations[0], "GATEWAY", spool, log, counters, lambda: None)
    forwarder._stopping.set()  # so that it does not wait
    uids = []
    while (delivery := spool.claim_to_send("pacs")) is not None:
        uids.append(delivery.instance_uid)
        if delivery.instance_uid == "1.2.2":
            spool.set_delivered(delivery)
        else:
            forwarder._deliver(delivery)
        if len(uids) >= 2:
            now[0] += 60
    # Three losses are a failure, and two failures are enough.
    assert uids == ["1.2.1", "1.2.2", *["1.2.1"] * 5]
    assert spool.ledger.counts() == {("pacs", "failed"): 1}
    spool.close()


@pytest.mark.parametrize("syntax", ["xrc", "explicit", "rle"])
def test_a_frame_that_cannot_be_decoded_goes_as_it_was_received(
    tmp_path: Path, syntax: str
) -> None:
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEGLSLossless

    image = radiograph(1)
    image.file_meta.TransferSyntaxUID = JPEGLSLossless
    image.add_new("PixelData", "OB", encapsulate([b"\xff\xd8\xff\xf7 no picture \xff\xd9"]))
    image["PixelData"].is_undefined_length = True
    source = tmp_path / "source"
    source.write_bytes(to_file(image, JPEGLSLossless))
    received = Rendition(
        str(image.SOPInstanceUID), str(image.SOPClassUID), JPEGLSLossless, 99, own_file=False
    )
    job = Job(
        part=Part.IMAGE,
        source=source,
        target=tmp_path / "target",
        received=received,
        syntax=syntax,
        compression=Compression(1, "stored", "fast", 60),
    )
    result = prepare(job)
    assert result.rendition == received
    assert result.passed_through is not None
    assert not job.target.exists()


@pytest.mark.skipif(os.name == "nt", reason="has other permissions")
def test_what_is_prepared_is_for_the_owner_only(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(to_file(FIRST))
    received = Rendition("1.2", "1.3", "1.2.840.10008.1.2.1", 99, own_file=False)
    before = os.umask(0)
    try:
        prepare(
            Job(Part.IMAGE, source, target, received, "xrc", Compression(1, "stored", "fast", 60))
        )
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o7777 == 0o600


@pytest.mark.parametrize(
    ("error", "attempts"), [(OSError(errno.ENOSPC, "full"), 0), (OSError(errno.EINVAL, "bad"), 1)]
)
def test_a_full_spool_is_held_against_no_delivery(
    tmp_path: Path, error: OSError, attempts: int
) -> None:
    """Of those that cannot go as they were received."""
    spool = Spool(tmp_path / "spool")
    log = Log(io.StringIO(), "error", b"key")
    preparation = Preparation(_config(tmp_path), spool, log, Counters(), lambda _: None)
    received = Received("1.2", "ab" * 32, "1.3", XRC_UID, 7)
    spool.store(received, (Route("pacs", Part.IMAGE, "explicit"),), [b"content"])
    for _ in range(9 if attempts == 0 else 1):
        delivery = spool.claim_to_prepare(("pacs",))
        assert delivery is not None
        preparation._failed(delivery, error, 0)
        spool.defer(delivery, 0)
    again = spool.claim_to_prepare(("pacs",))
    assert again is not None
    assert again.attempts == attempts
    spool.close()
