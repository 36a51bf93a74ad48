"""Preparations that never end; a pipe that nobody writes to stands for whatever hangs."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from gateway_building import DIGITAL_X_RAY, config_text, dicom_destination, radiograph, wait_for

from xraycodec.dicom.encapsulation import XRC_UID
from xraycodec.files.dicom_writer import to_file
from xraycodec.gateway.config_file import load
from xraycodec.gateway.logs import Log
from xraycodec.gateway.metrics import Counters
from xraycodec.gateway.preparation import Preparation
from xraycodec.gateway.records import Delivery, Part, Received, Route
from xraycodec.gateway.spool import Spool

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs named pipes")

EXPLICIT = "1.2.840.10008.1.2.1"
STORED = '[compression]\ncodec = "stored"\nprocesses = 1\n'
IMAGE = to_file(radiograph(1))


class Hanging:
    """A spool with one image to prepare, whose file is such a pipe."""

    def __init__(self, folder: Path) -> None:
        path = folder / "gateway.toml"
        path.write_text(config_text(dicom_destination("pacs", 104, "xrc"), extra=STORED))
        self.config = load(path)
        self.spool = Spool(folder / "spool")
        self.log = io.StringIO()
        self.counters = Counters()
        self._prepared = threading.Event()
        uid = str(radiograph(1).SOPInstanceUID)
        received = Received(uid, "ab" * 32, DIGITAL_X_RAY, EXPLICIT, len(IMAGE))
        self.spool.store(received, (Route("pacs", Part.IMAGE, "xrc"),), [IMAGE])
        self.source = folder / "spool" / "instances" / received.digest
        self.source.unlink()
        os.mkfifo(self.source)

    @contextmanager
    def preparing(self, timeout_seconds: float) -> Iterator[None]:
        compression = replace(self.config.compression, timeout_seconds=timeout_seconds)
        preparation = Preparation(
            replace(self.config, compression=compression),
            self.spool,
            Log(self.log, "debug", b"key"),
            self.counters,
            lambda _: self._prepared.set(),
        )
        preparation.start()
        try:
            yield
        finally:
            preparation.stop()

    def has_failed(self) -> bool:
        return self.counters.value("prepared_total", destination="pacs", outcome="error") > 0

    def is_prepared(self) -> bool:
        return self._prepared.is_set()

    def delivery(self) -> Delivery:
        found = self.spool.claim_to_send("pacs")
        assert found is not None
        return found


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[Hanging]:
    it = Hanging(tmp_path)
    yield it
    it.spool.close()


def _wait_under(hanging: Hanging, timeout_seconds: float, condition: Callable[[], bool]) -> None:
    with hanging.preparing(timeout_seconds):
        wait_for(condition)


def test_what_hangs_is_ended_and_tried_again(hanging: Hanging) -> None:
    _wait_under(hanging, 0.05, hanging.has_failed)
    assert '"error": "timed out"' in hanging.log.getvalue()
    assert not hanging.is_prepared()
    # Whatever it was has passed.
    hanging.source.unlink()
    hanging.source.write_bytes(IMAGE)
    _wait_under(hanging, hanging.config.compression.timeout_seconds, hanging.is_prepared)
    assert hanging.delivery().rendition.transfer_syntax == XRC_UID


def test_what_always_hangs_goes_as_it_was_received(hanging: Hanging) -> None:
    _wait_under(hanging, 0.05, hanging.is_prepared)
    delivery = hanging.delivery()
    assert delivery.attempts == 2
    assert delivery.rendition.transfer_syntax == EXPLICIT
    assert not delivery.rendition.own_file
