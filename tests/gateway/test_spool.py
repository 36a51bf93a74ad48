from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from xraycodec.errors import OptionError
from xraycodec.gateway.config import LAYERED, REMAINDER
from xraycodec.gateway.records import (
    OURSELVES,
    Arrival,
    Delivery,
    Part,
    Received,
    Rendition,
    Route,
)
from xraycodec.gateway.spool import Spool

EXPLICIT = "1.2.840.10008.1.2.1"
EVERYBODY = ("hub", "archive")
HUB = Route("hub", Part.IMAGE, "xrc")
PREVIEW = Route("hub", Part.PREVIEW, "as-received")
ARCHIVE = Route("archive", Part.IMAGE, "explicit")
ON_TOP = Route("hub", Part.IMAGE, REMAINDER)
KEPT = Route(OURSELVES, Part.PREVIEW, "as-received")


class Clock:
    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def spool(tmp_path: Path, clock: Clock) -> Iterator[Spool]:
    spool = Spool(tmp_path, clock)
    yield spool
    spool.close()


def received(number: int, preview_of: int | None = None) -> Received:
    image = None if preview_of is None else f"1.2.{preview_of}"
    return Received(f"1.2.{number}", f"{number:064x}", "1.2.840.1", EXPLICIT, 7, image)


def store(spool: Spool, number: int, *routes: Route, preview_of: int | None = None) -> Arrival:
    return spool.store(received(number, preview_of), routes, [b"in", b"stance"])


def prepare(spool: Spool, *, own_file: bool = False) -> Delivery:
    delivery = spool.claim_to_prepare(EVERYBODY)
    assert delivery is not None
    if own_file:
        spool.prepared(delivery).write_bytes(b"prepared")
    uid = delivery.rendition.uid + (".9" if own_file else "")
    spool.set_prepared(delivery, Rendition(uid, "1.2.840.1", EXPLICIT, 8, own_file))
    return delivery


def claim(spool: Spool, destination: str = "hub") -> Delivery:
    delivery = spool.claim_to_send(destination)
    assert delivery is not None
    return delivery


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_instance_goes_its_way_and_leaves_nothing_but_its_name(
    spool: Spool, tmp_path: Path
) -> None:
    assert store(spool, 1, HUB, ARCHIVE) is Arrival.NEW
    assert names(tmp_path / "instances") == [received(1).digest]
    prepare(spool, own_file=True)
    prepare(spool)
    assert spool.claim_to_prepare(EVERYBODY) is None
    first = claim(spool)
    assert spool.file_to_send(first).read_bytes() == b"prepared"
    spool.set_delivered(first)
    assert names(tmp_path / "prepared") == []
    second = claim(spool, "archive")
    assert spool.file_to_send(second).read_bytes() == b"instance"
    spool.set_delivered(second)
    assert names(tmp_path / "instances") == []
    assert spool.ledger.waiting() == 0
    assert store(spool, 1, HUB) is Arrival.KNOWN
    assert spool.claim_to_prepare(EVERYBODY) is None


def test_a_uid_with_other_content_is_a_conflict(spool: Spool) -> None:
    store(spool, 1, HUB)
    other = replace(received(1), digest="f" * 64)
    assert spool.store(other, (HUB,), [b"x"]) is Arrival.CONFLICT
    prepare(spool)
    spool.set_delivered(claim(spool))
    assert spool.store(other, (HUB,), [b"x"]) is Arrival.CONFLICT
    assert names(spool.folder / "instances") == []


def test_a_claim_is_for_one(spool: Spool) -> None:
    store(spool, 1, HUB)
    store(spool, 2, HUB)
    first, second = spool.claim_to_prepare(EVERYBODY), spool.claim_to_prepare(EVERYBODY)
    assert first is not None
    assert second is not None
    assert (first.instance_uid, second.instance_uid) == ("1.2.1", "1.2.2")
    assert spool.claim_to_prepare(EVERYBODY) is None
    spool.ledger.release(first)
    assert spool.claim_to_prepare(EVERYBODY) == first


def test_refusals_wait_and_end(spool: Spool, clock: Clock) -> None:
    store(spool, 1, HUB)
    prepare(spool)
    for attempt in range(2):
        delivery = claim(spool)
        assert delivery.attempts == attempt
        assert not spool.set_refused(delivery, "C000", wait_seconds=5, limit=3)
        assert spool.claim_to_send("hub") is None
        clock.now += 6
    assert spool.set_refused(claim(spool), "C000", wait_seconds=5, limit=3)
    clock.now += 1e6
    assert spool.claim_to_send("hub") is None
    assert spool.ledger.counts() == {("hub", "failed"): 1}
    # What failed is kept until it is asked for.
    assert spool.ledger.waiting() == 1
    assert spool.ledger.retry_failed() == 1
    spool.set_delivered(claim(spool))
    assert spool.ledger.waiting() == 0


def test_another_syntax_means_another_preparation(spool: Spool, tmp_path: Path) -> None:
    store(spool, 1, HUB)
    prepare(spool, own_file=True)
    spool.set_syntax(claim(spool), "explicit")
    assert names(tmp_path / "prepared") == []
    again = spool.claim_to_prepare(EVERYBODY)
    assert again is not None
    assert again.syntax == "explicit"
    assert again.rendition.uid == "1.2.1"


def test_a_preview_goes_ahead_of_every_image(spool: Spool) -> None:
    for number in (1, 2):
        store(spool, number, PREVIEW, HUB)
    parts = [prepare(spool, own_file=True).part for _ in range(2)]
    assert parts == [Part.PREVIEW, Part.PREVIEW]
    # Images wait for their previews, even where those are not sent yet.
    assert spool.claim_to_prepare(EVERYBODY) is None
    for _ in range(2):
        spool.set_delivered(claim(spool))
    assert [prepare(spool).instance_uid for _ in range(2)] == ["1.2.1", "1.2.2"]


def test_an_image_does_not_wait_for_a_preview_that_fails(spool: Spool) -> None:
    store(spool, 1, PREVIEW, HUB)
    preview = prepare(spool, own_file=True)
    spool.set_refused(claim(spool), "C000", wait_seconds=60, limit=9)
    assert prepare(spool).part is Part.IMAGE
    assert claim(spool).part is Part.IMAGE
    assert preview.part is Part.PREVIEW


def test_an_image_drops_its_preview(spool: Spool, tmp_path: Path) -> None:
    store(spool, 2, ARCHIVE, preview_of=1)
    prepare(spool, own_file=True)
    assert store(spool, 1, ARCHIVE) is Arrival.NEW
    assert names(tmp_path / "instances") == [received(1).digest]
    assert names(tmp_path / "prepared") == []
    prepare(spool)
    image = claim(spool, "archive")
    assert image.instance_uid == "1.2.1"
    spool.set_delivered(image)
    assert spool.ledger.waiting() == 0


def test_a_preview_that_comes_late_is_dropped(spool: Spool) -> None:
    store(spool, 1, ARCHIVE)
    for _ in range(2):
        arrival = store(spool, 2, ARCHIVE, preview_of=1)
        assert arrival in (Arrival.OVERTAKEN, Arrival.KNOWN)
    assert prepare(spool).instance_uid == "1.2.1"
    assert spool.claim_to_prepare(EVERYBODY) is None


def test_a_preview_that_was_passed_on_is_withdrawn(spool: Spool) -> None:
    store(spool, 2, ARCHIVE, preview_of=1)
    prepare(spool)
    spool.set_delivered(claim(spool, "archive"))
    store(spool, 1, ARCHIVE)
    prepare(spool)
    assert spool.claim_to_prepare(EVERYBODY) is None
    spool.set_delivered(claim(spool, "archive"))
    withdrawal = prepare(spool)
    assert withdrawal.part is Part.WITHDRAWAL
    assert spool.ledger.previews_at("1.2.1", "archive") == [("1.2.840.1", "1.2.2")]
    # The note is made from the image, whose file therefore stays until it is sent.
    assert spool.source(withdrawal).exists()
    spool.set_delivered(claim(spool, "archive"))
    assert spool.ledger.waiting() == 0


def test_an_image_waits_for_a_preview_that_is_on_its_way(spool: Spool) -> None:
    store(spool, 2, ARCHIVE, preview_of=1)
    prepare(spool)
    preview = claim(spool, "archive")
    store(spool, 1, ARCHIVE)
    assert spool.claim_to_prepare(EVERYBODY) is None
    spool.set_refused(preview, "no answer", wait_seconds=9, limit=9)
    prepare(spool)
    spool.set_delivered(claim(spool, "archive"))
    # Without an answer nobody knows whether the preview arrived: it is withdrawn all the same.
    assert prepare(spool).part is Part.WITHDRAWAL
    assert spool.ledger.previews_at("1.2.1", "archive") == [("1.2.840.1", "1.2.2")]


def test_a_base_is_kept_until_its_image_comes(spool: Spool, tmp_path: Path) -> None:
    digest = received(2).digest
    store(spool, 2, ARCHIVE, KEPT, preview_of=1)
    prepare(spool)
    spool.set_delivered(claim(spool, "archive"))
    # Delivered, and still there; nobody is owed it.
    assert spool.read_base(digest, "1.2.1") == b"instance"
    assert spool.read_base(digest, "1.2.3") is None
    assert spool.read_base("f" * 64, "1.2.1") is None
    assert spool.claim_to_prepare(EVERYBODY) is None
    assert store(spool, 1, ARCHIVE) is Arrival.NEW
    assert spool.read_base(digest, "1.2.1") is None
    assert names(tmp_path / "instances") == [received(1).digest]


def test_a_base_that_is_too_old_goes_unless_it_is_owed(spool: Spool, clock: Clock) -> None:
    digest = received(2).digest
    store(spool, 2, ARCHIVE, KEPT, preview_of=1)
    clock.now += 86400 * 8
    spool.drop_bases(9)
    assert spool.read_base(digest, "1.2.1") is not None
    spool.drop_bases(7)
    # The archive has not got it yet, so that it may still serve.
    assert spool.read_base(digest, "1.2.1") is not None
    prepare(spool)
    spool.set_delivered(claim(spool, "archive"))
    assert spool.read_base(digest, "1.2.1") is None
    assert names(spool.folder / "instances") == []


def test_a_base_whose_file_went_meanwhile_is_none(spool: Spool) -> None:
    store(spool, 2, KEPT, preview_of=1)
    (spool.folder / "instances" / received(2).digest).unlink()
    assert spool.read_base(received(2).digest, "1.2.1") is None


def test_the_preview_that_was_sent_stays_for_its_image(tmp_path: Path, clock: Clock) -> None:
    spool = Spool(tmp_path, clock)
    store(spool, 1, PREVIEW, ON_TOP, ARCHIVE)
    sent = prepare(spool, own_file=True)
    assert sent.part is Part.PREVIEW
    prepare(spool)  # for the archive
    spool.set_delivered(claim(spool))
    spool.close()
    spool = Spool(tmp_path, clock)
    image = spool.claim_to_prepare(EVERYBODY)
    assert image is not None
    assert image.syntax == REMAINDER
    base = spool.base(image)
    assert base is not None
    assert base.read_bytes() == b"prepared"
    spool.prepared(image).write_bytes(b"remainder")
    spool.set_prepared(image, Rendition("1.2.1", "1.2.840.1", "2.25.1", 9, own_file=True))
    # Refused, the whole image is made on top of the same.
    spool.set_syntax(claim(spool), LAYERED)
    assert names(tmp_path / "prepared") == [str(sent.id)]
    again = spool.claim_to_prepare(EVERYBODY)
    assert again is not None
    assert (again.syntax, spool.base(again)) == (LAYERED, base)
    spool.prepared(again).write_bytes(b"whole")
    spool.set_prepared(again, Rendition("1.2.1", "1.2.840.1", "2.25.1", 5, own_file=True))
    spool.set_delivered(claim(spool))
    assert names(tmp_path / "prepared") == []
    spool.close()


def test_an_image_whose_preview_did_not_arrive_has_no_base(spool: Spool) -> None:
    store(spool, 1, PREVIEW, ON_TOP)
    prepare(spool, own_file=True)
    spool.set_refused(claim(spool), "C000", wait_seconds=60, limit=9)
    image = spool.claim_to_prepare(EVERYBODY)
    assert image is not None
    assert image.part is Part.IMAGE
    assert spool.base(image) is None


def test_previews_of_other_images_go_when_they_are_sent(spool: Spool, tmp_path: Path) -> None:
    store(spool, 1, PREVIEW, HUB)
    prepare(spool, own_file=True)
    spool.set_delivered(claim(spool))
    assert names(tmp_path / "prepared") == []


def test_a_destination_that_is_not_there_any_more_keeps_its_own(spool: Spool) -> None:
    store(spool, 1, HUB)
    assert spool.claim_to_prepare(("archive",)) is None
    assert spool.ledger.waiting() == 1
    assert prepare(spool).destination == "hub"


def test_contexts_of_what_waits(spool: Spool) -> None:
    store(spool, 1, HUB)
    store(spool, 2, ARCHIVE)
    assert spool.ledger.contexts("hub") == []
    prepare(spool)
    prepare(spool)
    assert spool.ledger.contexts("hub") == [("1.2.840.1", EXPLICIT)]


def test_what_is_forgotten_is_new_again(spool: Spool, clock: Clock) -> None:
    store(spool, 1, HUB)
    store(spool, 2, HUB)
    prepare(spool)
    spool.set_delivered(claim(spool))
    clock.now += 86400 * 10
    assert spool.forget(11) == 0
    assert spool.forget(9) == 1
    assert store(spool, 1, HUB) is Arrival.NEW
    assert store(spool, 2, HUB) is Arrival.KNOWN


def test_a_start_removes_what_nobody_was_promised(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    store(spool, 1, HUB)
    prepare(spool, own_file=True)
    spool.close()
    temporary = f".{'a' * 32}.tmp"
    for name in (f"incoming/{'b' * 32}", "prepared/9", f"prepared/{temporary}", temporary):
        (tmp_path / name).write_bytes(b"left over")
    foreign = ("incoming/notes", "instances/9", "prepared/9.dcm", "prepared/.x.tmp", "notes")
    for name in foreign:
        (tmp_path / name).write_bytes(b"somebody's")
    (tmp_path / "prepared" / "12").mkdir()
    spool = Spool(tmp_path)
    assert names(tmp_path / "incoming") == ["notes"]
    assert names(tmp_path / "instances") == [received(1).digest, "9"]
    assert names(tmp_path / "prepared") == [".x.tmp", "1", "12", "9.dcm"]
    assert all((tmp_path / name).read_bytes() == b"somebody's" for name in foreign)
    assert not (tmp_path / temporary).exists()
    assert spool.file_to_send(claim(spool)).read_bytes() == b"prepared"
    spool.close()


@pytest.mark.parametrize("step", [-40 * 86400.0, 40 * 86400.0])
def test_a_step_of_the_wall_clock_neither_stalls_nor_forgets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    spool = Spool(tmp_path)
    store(spool, 1, HUB)
    prepare(spool)
    spool.set_delivered(claim(spool))
    store(spool, 2, HUB)
    prepare(spool)
    store(spool, 3, KEPT, preview_of=4)
    wall = time.time()
    monkeypatch.setattr(time, "time", lambda: wall + step)
    # Waits begin after the step, or before it: both end as if there had been none.
    spool.set_refused(claim(spool), "C000", wait_seconds=1e6, limit=9)
    assert spool.claim_to_send("hub") is None
    monkeypatch.setattr(time, "time", lambda: wall)
    assert spool.claim_to_send("hub") is None
    monkeypatch.setattr(time, "time", lambda: wall + step)
    assert spool.forget(1) == 0
    spool.drop_bases(1)
    assert spool.read_base(received(3).digest, "1.2.4") is not None
    assert 0 <= spool.ledger.longest_waits()["hub"] < 86400
    spool.close()
    spool = Spool(tmp_path)
    assert spool.forget(1) == 0
    assert spool.claim_to_send("hub") is not None
    spool.close()


def test_days_are_counted_while_a_gateway_runs(tmp_path: Path) -> None:
    def days(origin: float, count: float) -> Iterator[Spool]:
        clock = Clock()
        clock.now = origin
        spool = Spool(tmp_path, clock)
        clock.now += count * 86400
        yield spool
        spool.close()

    for spool in days(5.0, 0):
        store(spool, 1, HUB)
        store(spool, 2, ARCHIVE)
        prepare(spool)
        spool.set_delivered(claim(spool))
    # Clocks of other processes began elsewhere; what they ran adds up.
    for origin in (1e9, 0.0, 7e5):
        for spool in days(origin, 3):
            assert spool.forget(9.5) == 0
    for spool in days(1.0, 1):
        assert spool.ledger.longest_waits()["archive"] == pytest.approx(10 * 86400)
        assert spool.forget(10.5) == 0
        assert spool.forget(9.5) == 1


def test_a_wait_ends_with_the_process(tmp_path: Path, clock: Clock) -> None:
    """The clock by which it was due is gone; the count of refusals is not."""
    spool = Spool(tmp_path, clock)
    store(spool, 1, HUB)
    prepare(spool)
    spool.set_refused(claim(spool), "C000", wait_seconds=1e9, limit=9)
    spool.close()
    spool = Spool(tmp_path, clock)
    assert claim(spool).attempts == 1
    spool.close()


def test_what_is_put_off_is_not_counted(spool: Spool, clock: Clock) -> None:
    store(spool, 1, HUB)
    store(spool, 2, HUB)
    prepare(spool)
    prepare(spool)
    first = claim(spool)
    spool.defer(first, 60)
    second = claim(spool)
    assert (first.instance_uid, second.instance_uid) == ("1.2.1", "1.2.2")
    assert spool.claim_to_send("hub") is None
    clock.now += 61
    assert claim(spool) == first


@pytest.mark.skipif(os.name == "nt", reason="has other permissions")
@pytest.mark.parametrize("umask", [0, 0o077, 0o777], ids=oct)
def test_everything_is_for_the_owner_only(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        spool = Spool(tmp_path / "made" / "spool")
        store(spool, 1, HUB)
        spool.secret("log-key")
    finally:
        os.umask(before)
    found = {
        str(path.relative_to(tmp_path)): path.stat().st_mode & 0o7777
        for path in tmp_path.rglob("*")
    }
    folders = ["", "/incoming", "/instances", "/prepared", "/quarantine"]
    assert found == {
        "made": 0o700,
        **{f"made/spool{name}": 0o700 for name in folders},
        f"made/spool/instances/{received(1).digest}": 0o600,
        **{f"made/spool/ledger.sqlite3{ending}": 0o600 for ending in ("", "-wal", "-shm")},
        **{f"made/spool/{name}": 0o600 for name in ("ledger-id", "lock", "log-key")},
    }
    spool.close()


def test_a_spool_has_one_owner(spool: Spool, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="in use"):
        Spool(tmp_path)


def test_a_write_that_fails_leaves_nothing(spool: Spool, tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"begun"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        spool.store(received(1), (HUB,), broken())
    assert names(tmp_path / "incoming") == []
    assert store(spool, 1, HUB) is Arrival.NEW


def test_a_secret_is_made_once(spool: Spool) -> None:
    key = spool.secret("log-key")
    assert len(key) == 32
    assert spool.secret("log-key") == key
