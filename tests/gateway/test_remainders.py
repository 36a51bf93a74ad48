"""Images that are put together from their preview and what it has not."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from gateway_building import (
    DIGITAL_X_RAY,
    config_text,
    dicom_destination,
    native,
    pixels,
)
from layered_building import FAST, SETTINGS, Wire, image, wire
from pydicom import dcmread
from pydicom.dataset import Dataset

from xraycodec import decompress_prefix
from xraycodec.dicom.encapsulation import XRC_UID, unwrap
from xraycodec.errors import CorruptError, CorruptImageError, LimitError
from xraycodec.files.dicom_writer import to_file
from xraycodec.gateway import conversion, remainder
from xraycodec.gateway.config import LAYERED, REMAINDER
from xraycodec.gateway.config_file import load
from xraycodec.gateway.instance import data_set_of, identify
from xraycodec.gateway.intake import Intake, Offer
from xraycodec.gateway.layered import streams_of
from xraycodec.gateway.logs import Log
from xraycodec.gateway.metrics import Counters
from xraycodec.gateway.progressive import preview
from xraycodec.gateway.records import Part, Rendition
from xraycodec.gateway.remainder import REMAINDER_UID
from xraycodec.gateway.spool import Spool
from xraycodec.gateway.statuses import (
    CONFLICT,
    DAMAGED_REMAINDER,
    NO_BASE,
    OUT_OF_RESOURCES,
    PUT_TOGETHER,
    SUCCESS,
    WRONG_DATA_SET,
)

UID = str(image().SOPInstanceUID)


class Clock:
    now = 1e9

    def __call__(self) -> float:
        return self.now


class Far:
    """The receiving half of a gateway, without a network."""

    def __init__(self, folder: Path, **limits: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "gateway.toml"
        path.write_text(config_text(dicom_destination("pacs", 104)))
        config = load(path)
        config = replace(config, limits=replace(config.limits, **limits))
        self.log = io.StringIO()
        self.clock = Clock()
        self.folder = folder
        self.spool = Spool(folder / "spool", self.clock)
        log = Log(self.log, "info", b"key")
        self._intake = Intake(config, self.spool, log, Counters(), lambda: None)

    def offer(self, file: bytes, **changes: object) -> int:
        meta = dcmread(BytesIO(file), stop_before_pixels=True).file_meta
        self.clock.now += 1
        offer = Offer(
            "NEAR",
            str(meta.MediaStorageSOPInstanceUID),
            str(meta.MediaStorageSOPClassUID),
            data_set_of(file),
            str(meta.TransferSyntaxUID),
        )
        return self._intake.take_in(replace(offer, **changes))[0]

    def held(self) -> list[bytes]:
        """Data sets of the instances on the disk."""
        folder = self.folder / "spool" / "instances"
        return [bytes(data_set_of(path.read_bytes())) for path in sorted(folder.iterdir())]


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Far]:
    it = Far(tmp_path)
    yield it
    it.spool.close()


def test_the_preview_is_the_front_of_the_image() -> None:
    found = wire()
    (base,), (whole,) = streams_of(found.base), streams_of(found.whole)
    shown = dcmread(BytesIO(unwrap(found.base)))
    assert np.array_equal(decompress_prefix(whole, layers=4).image.pixels.ravel(), pixels(shown))
    assert shown.LossyImageCompression == "01"
    assert 0 < abs(pixels(shown).astype(int) - pixels(image())).max() < 400
    restored = dcmread(BytesIO(unwrap(found.whole)))
    assert native(restored) == native(image())
    # What goes over the wire again of the base is its front and its end, not its tiles.
    assert len(found.remainder) < len(found.whole) - len(base) + 1000
    assert identify(data_set_of(found.base), XRC_UID).is_base
    assert not identify(data_set_of(found.whole), XRC_UID).is_base


def test_base_and_remainder_make_the_image_once(far: Far) -> None:
    found = wire()
    assert far.offer(found.base) == SUCCESS
    assert far.offer(found.base) == SUCCESS
    assert far.held() == [data_set_of(found.base)]
    assert far.offer(found.remainder) == PUT_TOGETHER
    # The base has done its work; the image is as if it had come whole, and comes no more.
    assert far.held() == [data_set_of(found.whole)]
    for _ in range(2):
        assert far.offer(found.remainder) == PUT_TOGETHER
    assert far.offer(found.whole) == SUCCESS
    assert far.offer(found.base) == SUCCESS
    assert far.held() == [data_set_of(found.whole)]
    delivery = far.spool.claim_to_prepare(("pacs",))
    assert delivery is not None
    assert (delivery.instance_uid, delivery.part) == (UID, Part.IMAGE)
    assert delivery.rendition.transfer_syntax == XRC_UID
    assert far.spool.claim_to_prepare(("pacs",)) is None


def test_a_remainder_without_its_base_waits_for_the_whole(far: Far) -> None:
    found = wire()
    assert far.offer(found.remainder) == NO_BASE
    assert far.held() == []
    assert far.offer(found.whole) == SUCCESS
    # Late, the base is of no use any more.
    assert far.offer(found.base) == SUCCESS
    assert far.held() == [data_set_of(found.whole)]
    assert far.offer(found.remainder) == PUT_TOGETHER


def test_the_image_comes_by_another_way_meanwhile(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its base is gone then, and the image must not be asked for again."""
    found = wire()
    assert far.offer(found.base) == SUCCESS
    read = far.spool.read_base

    def read_late(digest: str, image_uid: str) -> bytes | None:
        monkeypatch.undo()
        assert far.offer(found.remainder) == PUT_TOGETHER
        return read(digest, image_uid)

    monkeypatch.setattr(far.spool, "read_base", read_late)
    assert far.offer(found.remainder) == PUT_TOGETHER
    assert far.held() == [data_set_of(found.whole)]


def test_a_base_of_another_image_or_kind_is_none(far: Far) -> None:
    assert far.offer(wire(2).base) == SUCCESS
    plain = preview(to_file(image()), replace(SETTINGS, codec="lattice"))
    assert far.offer(plain) == SUCCESS
    assert far.offer(wire().remainder) == NO_BASE
    assert far.held() == [data_set_of(wire(2).base)]


def test_a_base_is_kept_for_its_days_and_over_a_restart(far: Far, tmp_path: Path) -> None:
    found = wire()
    assert far.offer(found.base) == SUCCESS
    far.clock.now += 86400 * 6
    far.spool.drop_bases(7)
    far.spool.close()
    far.spool = Spool(tmp_path / "spool", far.clock)
    assert far.held() == [data_set_of(found.base)]
    far.clock.now += 86400 * 2
    far.spool.drop_bases(7)
    assert far.held() == []
    assert far.spool.ledger.waiting() == 0


def test_without_days_no_base_is_kept(tmp_path: Path) -> None:
    far = Far(tmp_path, base_days=0)
    assert far.offer(wire().base) == SUCCESS
    assert far.held() == []
    assert far.offer(wire().remainder) == NO_BASE
    far.spool.close()


def test_bases_make_room_for_images(tmp_path: Path) -> None:
    far = Far(tmp_path, queue_instances=1)
    assert far.offer(wire(2).base) == SUCCESS
    assert far.offer(wire(1).whole) == SUCCESS
    assert far.held() == [data_set_of(wire(1).whole)]
    # What is owed makes no room.
    assert far.offer(wire(3).whole) == OUT_OF_RESOURCES
    far.spool.close()


def _changed(found: Wire, **elements: object) -> bytes:
    """A remainder with other values in its private block, by number."""
    dataset = dcmread(BytesIO(found.remainder))
    for name, value in elements.items():
        dataset[0x0009, 0x1000 + int(name.removeprefix("e"))].value = value
    return to_file(dataset, REMAINDER_UID)


def _flipped(found: Wire, place: int) -> bytes:
    value = bytearray(dcmread(BytesIO(found.remainder))[0x0009, 0x1006].value)
    value[place] ^= 1
    return _changed(found, e6=bytes(value))


DAMAGED = {
    "own bytes": lambda found: _flipped(found, 500),
    "claimed size": lambda found: _flipped(found, 0),
    "a run": lambda found: _flipped(found, 16),
    "another image's digest": lambda found: _changed(found, e4="0" * 64),
    "no digest": lambda found: _changed(found, e4="0" * 63),
    "cut off": lambda found: found.remainder[:-100],
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_remainder_is_refused_and_costs_nothing(far: Far, name: str) -> None:
    found = wire()
    assert far.offer(found.base) == SUCCESS
    assert far.offer(DAMAGED[name](found)) == DAMAGED_REMAINDER
    assert '"remainder_refused"' in far.log.getvalue()
    # The base is still there for a sound one, which the image in one piece is as good as.
    assert far.held() == [data_set_of(found.base)]
    assert far.offer(found.remainder) == PUT_TOGETHER
    assert far.held() == [data_set_of(found.whole)]


def test_damage_has_its_own_errors() -> None:
    found = wire()
    base = data_set_of(found.base)
    with pytest.raises(CorruptError, match="make SHA-256"):
        remainder.read(data_set_of(_flipped(found, 500))).whole_of(base, XRC_UID, 1 << 20)
    with pytest.raises(CorruptImageError, match="allowed is a SHA-256"):
        remainder.read(data_set_of(_changed(found, e5="G" * 64)))
    with pytest.raises(CorruptImageError, match="remainder"):
        remainder.read(data_set_of(found.whole))
    with pytest.raises(LimitError):
        remainder.read(data_set_of(found.remainder)).whole_of(base, XRC_UID, 5000)
    with pytest.raises(CorruptImageError, match=r"PS3\.10"):
        data_set_of(b"no file")


def test_a_base_that_rotted_on_the_disk_is_none(far: Far) -> None:
    found = wire()
    assert far.offer(found.base) == SUCCESS
    (path,) = (far.folder / "spool" / "instances").iterdir()
    path.write_bytes(path.read_bytes()[:-700] + bytes(700))
    assert far.offer(found.remainder) == DAMAGED_REMAINDER
    assert far.offer(found.whole) == SUCCESS
    assert far.held() == [data_set_of(found.whole)]


def test_limits_and_names_hold_for_what_is_put_together(tmp_path: Path) -> None:
    found = wire()
    far = Far(tmp_path, instance_bytes=len(data_set_of(found.whole)) - 1)
    assert far.offer(found.base) == SUCCESS
    assert far.offer(found.remainder) == OUT_OF_RESOURCES
    assert far.offer(found.remainder, uid="1.2.3") == WRONG_DATA_SET
    assert far.held() == [data_set_of(found.base)]
    far.spool.close()


def test_a_remainder_of_a_uid_with_other_content_is_a_conflict(far: Far) -> None:
    found = wire()
    other = to_file(image())
    assert far.offer(found.base) == SUCCESS
    assert far.offer(other) == SUCCESS
    assert far.offer(found.remainder) == CONFLICT


def _job(tmp_path: Path, source: Dataset, base: bytes | None, syntax: str) -> conversion.Job:
    (tmp_path / "source").write_bytes(to_file(source))
    if base is not None:
        (tmp_path / "base").write_bytes(base)
    return conversion.Job(
        part=Part.IMAGE,
        source=tmp_path / "source",
        target=tmp_path / "target",
        received=Rendition("1.2", DIGITAL_X_RAY, "1.2.840.10008.1.2.1", 1, own_file=False),
        syntax=syntax,
        compression=FAST,
        base=None if base is None else tmp_path / "base",
    )


def test_what_is_prepared_follows_what_was_sent(tmp_path: Path) -> None:
    found = wire()
    done = conversion.prepare(_job(tmp_path, image(), found.base, REMAINDER))
    assert (done.rendition.uid, done.rendition.transfer_syntax) == (UID, REMAINDER_UID)
    assert (tmp_path / "target").read_bytes() == found.remainder
    done = conversion.prepare(_job(tmp_path, image(), found.base, LAYERED))
    assert (done.rendition.uid, done.rendition.transfer_syntax) == (UID, XRC_UID)
    assert (tmp_path / "target").read_bytes() == found.whole


def test_an_image_without_a_base_goes_whole(tmp_path: Path) -> None:
    """None was delivered, it is of another codec or image, or the cells hold an overlay."""
    source = to_file(image())
    overlaid = image()
    overlaid["PixelData"].value = (pixels(overlaid) | 0x8000).tobytes()
    for subject, base in (
        (image(), None),
        (image(), preview(source, replace(SETTINGS, codec="lattice"))),
        (overlaid, preview(to_file(overlaid), SETTINGS)),
    ):
        done = conversion.prepare(_job(tmp_path, subject, base, REMAINDER))
        assert done.rendition.transfer_syntax == XRC_UID
        restored = dcmread(BytesIO(unwrap((tmp_path / "target").read_bytes())))
        assert np.array_equal(pixels(restored), pixels(subject))


def test_several_frames(tmp_path: Path) -> None:
    source = image()
    source.NumberOfFrames = 2
    source["PixelData"].value = source.PixelData + image(2).PixelData
    base = preview(to_file(source), SETTINGS)
    done = conversion.prepare(_job(tmp_path, source, base, REMAINDER))
    assert done.rendition.transfer_syntax == REMAINDER_UID
    found = remainder.read(data_set_of((tmp_path / "target").read_bytes()))
    whole = found.whole_of(data_set_of(base), XRC_UID, 1 << 20)
    saved = len(whole) - len(found.difference)
    assert saved > sum(map(len, streams_of(base))) - 1000
