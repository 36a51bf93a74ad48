"""Ledgers that are lost, in whole or in part, beside a spool that is full."""

from __future__ import annotations

import io
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "cli"))

from cli_running import run
from gateway_building import config_text, dicom_destination, native, radiograph

from xraycodec.errors import OptionError
from xraycodec.gateway import logs
from xraycodec.gateway.config import Config
from xraycodec.gateway.config_file import load
from xraycodec.gateway.instance import data_set_of, mark_preview
from xraycodec.gateway.intake import Intake, Offer
from xraycodec.gateway.logs import Log
from xraycodec.gateway.metrics import Counters
from xraycodec.gateway.node import Gateway
from xraycodec.gateway.records import Delivery
from xraycodec.gateway.spool import Spool
from xraycodec.gateway.statuses import CONFLICT, SUCCESS

EXPLICIT = "1.2.840.10008.1.2.1"
NUMBERS = (1, 2, 3)


def _config(folder: Path, keys: str = "") -> Config:
    path = folder / "gateway.toml"
    text = config_text(dicom_destination("pacs", 104, "as-received", keys=keys))
    path.write_text(text.replace("[status]\nport = 0\n", ""))
    return load(path)


def _intake(spool: Spool, config: Config) -> Intake:
    return Intake(config, spool, Log(io.StringIO(), "error", b"key"), Counters(), lambda: None)


def _offer(number: int) -> Offer:
    image = radiograph(number)
    return Offer("CR1", str(image.SOPInstanceUID), str(image.SOPClassUID), native(image), EXPLICIT)


def _take_in(intake: Intake, *numbers: int) -> list[int]:
    return [intake.take_in(_offer(number))[0] for number in numbers]


def _deliver(spool: Spool, delivery: Delivery) -> None:
    spool.set_prepared(delivery, delivery.rendition)
    ready = spool.claim_to_send("pacs")
    assert ready is not None
    spool.set_delivered(ready)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Of a gateway that has answered Success for three images, and delivered none."""
    config = _config(tmp_path)
    spool = Spool(config.spool)
    assert _take_in(_intake(spool, config), *NUMBERS) == [SUCCESS] * 3
    spool.close()
    return config


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _remove(ledger: Path) -> None:
    ledger.unlink()


def _empty(ledger: Path) -> None:
    ledger.write_bytes(b"")


def _replace_by_an_empty_database(ledger: Path) -> None:
    ledger.unlink()
    connection = sqlite3.connect(ledger)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()


def _replace_by_that_of_another_spool(ledger: Path) -> None:
    other = ledger.parent.parent / "other"
    Spool(other).close()
    (other / ledger.name).replace(ledger)


def _cut(ledger: Path) -> None:
    ledger.write_bytes(ledger.read_bytes()[: 2 * 4096])


def _overwrite(ledger: Path) -> None:
    ledger.write_bytes(b"no database" * 999)


LOSSES = [
    *(_remove, _empty, _replace_by_an_empty_database, _replace_by_that_of_another_spool),
    *(_cut, _overwrite),
]


@pytest.mark.parametrize("lose", LOSSES)
def test_a_ledger_that_is_lost_takes_no_instance_along(
    config: Config, lose: Callable[[Path], None]
) -> None:
    instances = config.spool / "instances"
    before = _contents(instances)
    lose(config.spool / "ledger.sqlite3")
    for _ in range(2):
        with pytest.raises(OptionError, match=r"3 instances in .* --rebuild-ledger"):
            Gateway(config, io.StringIO())
        assert _contents(instances) == before
    log = io.StringIO()
    gateway = Gateway(config, log, rebuild_ledger=True)
    assert _contents(instances) == before
    assert gateway.notices()[-1] == ("3 instances had no row at the start and were queued again")
    assert log.getvalue().count('"queued_again"') == 3
    _check_all_are_delivered(gateway.spool)
    # Known again, so that a sender that repeats itself doubles nothing.
    assert _take_in(_intake(gateway.spool, config), 1) == [SUCCESS]
    assert gateway.spool.ledger.waiting() == 0
    gateway.spool.close()
    # It is the spool's own now.
    again = Gateway(config, io.StringIO())
    assert again.spool.ledger.waiting() == 0
    again.spool.close()


def _check_all_are_delivered(spool: Spool) -> None:
    sent = []
    while (delivery := spool.claim_to_prepare(("pacs",))) is not None:
        sent.append(bytes(data_set_of(spool.source(delivery).read_bytes())))
        _deliver(spool, delivery)
    assert sorted(sent) == sorted(native(radiograph(number)) for number in NUMBERS)


def test_the_command_says_what_to_do_and_does_it(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of this process, which has other tests to run.
    monkeypatch.setattr(logs, "silence_libraries", lambda: None)
    _remove(config.spool / "ledger.sqlite3")
    arguments = ("gateway", "--config", config.spool.parent / "gateway.toml")
    done = run(*arguments)
    assert done.code == 1
    assert "or start once with --rebuild-ledger" in done.err
    monkeypatch.setattr(Gateway, "start", _refuse_to_start)
    done = run(*arguments, "--rebuild-ledger")
    assert "as far as this test goes" in done.err
    spool = Spool(config.spool)
    assert spool.ledger.waiting() == 3
    spool.close()


def _refuse_to_start(gateway: Gateway) -> None:
    gateway.spool.close()
    raise OptionError("as far as this test goes")


def test_a_damaged_ledger_is_kept(config: Config) -> None:
    ledger = config.spool / "ledger.sqlite3"
    _overwrite(ledger)
    damaged = ledger.read_bytes()
    Gateway(config, io.StringIO(), rebuild_ledger=True).spool.close()
    assert (config.spool / "quarantine" / ledger.name).read_bytes() == damaged


def test_what_was_written_ahead_may_be_lost(tmp_path: Path) -> None:
    """A kill leaves the rows in the -wal file, and somebody removes that."""
    config = _config(tmp_path)
    spool = Spool(config.spool)
    intake = _intake(spool, config)
    _take_in(intake, 1)
    killed = tmp_path / "killed"
    shutil.copytree(config.spool, killed)
    _take_in(intake, 2, 3)
    delivery = spool.claim_to_prepare(("pacs",))
    assert delivery is not None
    shutil.copytree(config.spool / "instances", killed / "instances", dirs_exist_ok=True)
    spool.close()
    # The newest state of the files, and the rows of before the first one.
    assert (killed / "ledger.sqlite3-wal").stat().st_size
    (killed / "ledger.sqlite3-wal").unlink()
    (killed / "ledger.sqlite3-shm").unlink()
    shutil.rmtree(config.spool)
    killed.rename(config.spool)
    gateway = Gateway(config, io.StringIO())
    _check_all_are_delivered(gateway.spool)
    gateway.spool.close()


def test_rows_whose_files_are_gone_are_told_and_taken_in_again(config: Config) -> None:
    instances = config.spool / "instances"
    first = radiograph(1)
    (lost,) = [p for p in instances.iterdir() if p.read_bytes().endswith(native(first))]
    lost.unlink()
    log = io.StringIO()
    gateway = Gateway(config, log)
    assert gateway.spool.ledger.waiting() == 2
    assert gateway.notices() == ["1 instances had no file at the start and are missing"]
    assert gateway.log.pseudonym(str(first.SOPInstanceUID)) in log.getvalue()
    assert _take_in(_intake(gateway.spool, config), 1) == [SUCCESS]
    _check_all_are_delivered(gateway.spool)
    gateway.spool.close()


def test_a_file_of_an_instance_that_was_delivered_is_removed(config: Config) -> None:
    """Killed between the row and the file."""
    spool = Spool(config.spool)
    delivery = spool.claim_to_prepare(("pacs",))
    assert delivery is not None
    file = spool.source(delivery)
    content = file.read_bytes()
    _deliver(spool, delivery)
    spool.close()
    file.write_bytes(content)
    gateway = Gateway(config, io.StringIO())
    assert not file.exists()
    assert gateway.notices() == []
    gateway.spool.close()
    # A ledger that is not this spool's cannot tell.
    file.write_bytes(content)
    (config.spool / "ledger-id").write_text("0" * 32)
    gateway = Gateway(config, io.StringIO())
    assert (config.spool / "quarantine" / file.name).read_bytes() == content
    assert gateway.notices() == ["1 files are in the spool's quarantine"]
    gateway.spool.close()


def test_a_prepared_file_that_is_gone_is_made_again(config: Config) -> None:
    spool = Spool(config.spool)
    for _ in range(2):
        delivery = spool.claim_to_prepare(("pacs",))
        assert delivery is not None
        spool.prepared(delivery).write_bytes(b"prepared")
        sent = delivery.rendition
        spool.set_prepared(delivery, type(sent)(sent.uid, sent.sop_class, EXPLICIT, 8, True))
    failed = spool.claim_to_send("pacs")
    assert failed is not None
    assert spool.set_refused(failed, "C000", wait_seconds=0, limit=1)
    spool.close()
    shutil.rmtree(config.spool / "prepared")
    spool = Spool(config.spool)
    assert spool.ledger.counts() == {("pacs", "received"): 2, ("pacs", "failed"): 1}
    spool.ledger.retry_failed()
    _check_all_are_delivered(spool)
    spool.close()


def test_files_that_tell_nothing_go_into_quarantine(config: Config) -> None:
    instances = config.spool / "instances"
    first, second, third = sorted(instances.iterdir())
    damaged = first.read_bytes()[:-2] + b"\xff\xff"
    first.write_bytes(damaged)
    second.write_bytes(b"")
    (instances / "README").write_text("somebody's")
    _remove(config.spool / "ledger.sqlite3")
    gateway = Gateway(config, io.StringIO(), rebuild_ledger=True)
    assert _contents(config.spool / "quarantine") == {first.name: damaged, second.name: b""}
    assert sorted(_contents(instances)) == sorted(["README", third.name])
    assert gateway.spool.ledger.waiting() == 1
    assert gateway.notices() == [
        "2 files are in the spool's quarantine",
        "1 instances had no row at the start and were queued again",
    ]
    assert "quarantine" in gateway._health()[2]
    assert gateway._health()[0] == (503 if gateway.problems() else 200)
    assert "xrc_gateway_quarantined_files 2" in gateway._metrics()[2]
    gateway.spool.close()


def test_what_is_owed_to_nobody_today_is_kept(tmp_path: Path, config: Config) -> None:
    before = _contents(config.spool / "instances")
    _remove(config.spool / "ledger.sqlite3")
    other = _config(tmp_path, keys='senders = ["CR2"]')
    gateway = Gateway(other, io.StringIO(), rebuild_ledger=True)
    assert gateway.spool.ledger.waiting() == 0
    assert _contents(config.spool / "quarantine") == before
    gateway.spool.close()


def test_a_name_in_quarantine_is_not_used_twice(config: Config) -> None:
    spool = Spool(config.spool)
    file = next(iter((config.spool / "instances").iterdir()))
    content = file.read_bytes()
    spool.quarantine(file)
    file.write_bytes(b"other")
    spool.quarantine(file)
    assert _contents(config.spool / "quarantine") == {
        file.name: content,
        f"{file.name}.1": b"other",
    }
    spool.close()


def test_prepared_files_of_another_ledger_are_not_sent(config: Config) -> None:
    """The same number is another delivery there."""
    spool = Spool(config.spool)
    delivery = spool.claim_to_prepare(("pacs",))
    assert delivery is not None
    spool.prepared(delivery).write_bytes(b"prepared")
    sent = delivery.rendition
    spool.set_prepared(delivery, type(sent)(sent.uid, sent.sop_class, EXPLICIT, 8, True))
    spool.close()
    (config.spool / "ledger-id").unlink()
    spool = Spool(config.spool)
    assert _contents(config.spool / "quarantine") == {"1": b"prepared"}
    _check_all_are_delivered(spool)
    spool.close()


def test_a_preview_and_its_image_are_brought_together_again(tmp_path: Path) -> None:
    config = _config(tmp_path, keys="forward_previews = true")
    spool = Spool(config.spool)
    intake = _intake(spool, config)
    early = radiograph(9)
    early.SOPInstanceUID = f"{radiograph(1).SOPInstanceUID}.5"
    mark_preview(early, str(radiograph(1).SOPInstanceUID))
    offer = Offer("CR1", early.SOPInstanceUID, str(early.SOPClassUID), native(early), EXPLICIT)
    assert intake.take_in(offer)[0] == SUCCESS
    spool.close()
    kept = _contents(config.spool / "instances")
    spool = Spool(config.spool)
    _take_in(_intake(spool, config), 1, 2, 3)
    spool.close()
    for name, content in kept.items():
        (config.spool / "instances" / name).write_bytes(content)
    _remove(config.spool / "ledger.sqlite3")
    gateway = Gateway(config, io.StringIO(), rebuild_ledger=True)
    # The image is here, in whichever order the files were read: the preview is of no use.
    _check_all_are_delivered(gateway.spool)
    assert _contents(config.spool / "instances") == {}
    assert _contents(config.spool / "quarantine") == {}
    gateway.spool.close()


def test_a_uid_that_was_taken_meanwhile_is_a_conflict(config: Config) -> None:
    """The row of the first was lost, its sender sent another under the same UID."""
    spool = Spool(config.spool)
    other = radiograph(1, patient="Roe^Richard")
    offer = Offer("CR1", other.SOPInstanceUID, str(other.SOPClassUID), native(other), EXPLICIT)
    assert _intake(spool, config).take_in(offer)[0] == CONFLICT
    with spool.ledger.transaction() as sql:
        sql.execute("DELETE FROM instance WHERE uid = ?", (str(other.SOPInstanceUID),))
    assert _intake(spool, config).take_in(offer)[0] == SUCCESS
    spool.close()
    gateway = Gateway(config, io.StringIO())
    (kept,) = _contents(config.spool / "quarantine").values()
    assert kept.endswith(native(radiograph(1)))
    assert gateway.spool.ledger.waiting() == 3
    gateway.spool.close()
