"""Images that follow their previews as remainders, from gateway to gateway."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from gateway_building import (
    Archive,
    GatewayProcess,
    LocalGateway,
    config_text,
    dicom_destination,
    files,
    folder_destination,
    free_port,
    native,
    pixels,
    radiograph,
    report,
    running,
    send,
    send_file,
    wait_for,
)
from layered_building import FAST_TABLE, LAYERED, image, wire
from pydicom import dcmread
from pydicom.dataset import Dataset

from xraycodec.dicom.encapsulation import XRC_UID, unwrap
from xraycodec.gateway import remainder
from xraycodec.gateway.instance import data_set_of, digest_of
from xraycodec.gateway.remainder import REMAINDER_UID
from xraycodec.gateway.statuses import (
    CONFLICT,
    DAMAGED_REMAINDER,
    NO_BASE,
    OUT_OF_RESOURCES,
    PUT_TOGETHER,
    SUCCESS,
)

UID = str(image().SOPInstanceUID)


class Node(Archive):
    """A node that takes both private syntaxes and answers as it is told.

    Attributes:
        sent: SOP Instance UID, transfer syntax and data set of all that came, in order.
        of_remainders: status to answer them with.
    """

    def __init__(self, of_remainders: int, *, syntaxes: list[str] | None = None) -> None:
        self.sent: list[tuple[str, str, bytes]] = []
        self.of_remainders = of_remainders
        super().__init__(syntaxes=syntaxes or [XRC_UID, REMAINDER_UID])

    def _store(self, event: object) -> int:
        request, context = event.request, event.context  # type: ignore[attr-defined]
        syntax = str(context.transfer_syntax)
        content = request.DataSet.getvalue()
        self.sent.append((str(request.AffectedSOPInstanceUID), syntax, content))
        return self.of_remainders if syntax == REMAINDER_UID else SUCCESS

    def forms(self) -> list[str]:
        """What each thing that was sent is."""
        names = {REMAINDER_UID: "remainder", XRC_UID: "whole"}
        return [names[syntax] if uid == UID else "base" for uid, syntax, _ in self.sent]

    def contents(self, form: str) -> list[bytes]:
        return [each[2] for each, name in zip(self.sent, self.forms(), strict=True) if name == form]


def _near(folder: Path, port: int, *, ae_title: str = "ARCHIVE") -> LocalGateway:
    destination = dicom_destination("far", port, "xrc", ae_title=ae_title, tables=LAYERED)
    return LocalGateway(folder, config_text(destination, extra=FAST_TABLE))


def _far_text(folder: Path, port: int = 0, *, shows_previews: bool = True) -> str:
    keys = "" if shows_previews else "forward_previews = false"
    viewer = folder_destination("viewer", folder / "viewer", keys=keys)
    return config_text(viewer, ae_title="FAR", port=port, extra=FAST_TABLE)


def _is_done(gateway: GatewayProcess) -> Callable[[], bool]:
    return lambda: "\nxrc_gateway_queue_instances 0\n" in gateway.get("/metrics")[1]


def _restored(data_set: bytes, template: bytes) -> Dataset:
    """The object of a data set in the private syntax."""
    front = template[: len(template) - len(data_set_of(template))]
    return dcmread(BytesIO(unwrap(front + data_set)))


def test_images_follow_their_previews_as_remainders(tmp_path: Path) -> None:
    images = [image(number) for number in (1, 2)]
    far = LocalGateway(tmp_path / "far", _far_text(tmp_path))
    with running(far):
        near = _near(tmp_path / "near", far.port, ae_title="FAR")
        with running(near):
            # What has no preview follows none.
            assert send(near.port, [*images, report(3)]) == [0, 0, 0]
            wait_for(_is_done(near))
            wait_for(_is_done(far))
    found = files(tmp_path / "viewer")
    assert set(found) == {str(each.SOPInstanceUID) for each in (*images, report(3))}
    for each in images:
        assert native(found[str(each.SOPInstanceUID)]) == native(each)
    sent = [line for line in near.log() if line["event"] == "delivered"]
    bytes_sent = sorted(line["bytes"] for line in sent if line["part"] == "image")
    # The image goes without what its preview had; the smallest is the report.
    assert bytes_sent[1:] == sorted(len(wire(number).remainder) for number in (1, 2))
    assert [line["part"] for line in sent].count("preview") == 2
    received = [line["outcome"] for line in far.log() if line["event"] == "received"]
    assert received == ["new"] * 5
    assert not [line for line in far.log() if line["event"] == "remainder_refused"]


def test_the_link_breaks_and_the_sender_restarts_in_between(tmp_path: Path) -> None:
    node = Node(OUT_OF_RESOURCES)
    try:
        near = _near(tmp_path / "near", node.port)
        with running(near):
            assert send(near.port, [image()]) == [0]
            wait_for(lambda: node.contents("remainder"))
        node.of_remainders = PUT_TOGETHER
        seen = len(node.sent)
        again = _near(tmp_path / "near", node.port)
        with running(again):
            wait_for(_is_done(again))
        # Nothing but the remainder goes again, the same byte for byte.
        assert node.forms()[:1] == ["base"]
        assert set(node.forms()[1:]) == {"remainder"}
        assert len(node.sent) == seen + 1
        assert len(set(node.contents("remainder"))) == 1
    finally:
        node.close()
    (base,) = node.contents("base")
    found = remainder.read(node.contents("remainder")[0])
    assert found.base_digest == digest_of(base, XRC_UID)
    whole = found.whole_of(base, XRC_UID, 1 << 20)
    assert native(_restored(whole, wire().whole)) == native(image())
    for queue in ("instances", "prepared"):
        assert not any((tmp_path / "near" / "spool" / queue).iterdir())


@pytest.mark.parametrize("answer", [NO_BASE, DAMAGED_REMAINDER, SUCCESS, 0xC000])
def test_what_cannot_be_put_together_is_sent_whole(tmp_path: Path, answer: int) -> None:
    """Plain Success is from a node that takes anything: no proof that there is an image."""
    node = Node(answer)
    try:
        near = _near(tmp_path, node.port)
        with running(near):
            assert send(near.port, [image()]) == [0]
            wait_for(_is_done(near))
    finally:
        node.close()
    assert node.forms() == ["base", "remainder", "whole"]
    # The same that the remainder would have made: it is known where that has arrived after all.
    (whole,) = node.contents("whole")
    found = remainder.read(node.contents("remainder")[0])
    assert found.digest == digest_of(whole, XRC_UID)
    assert native(_restored(whole, wire().whole)) == native(image())


def test_a_node_that_knows_no_remainders_gets_the_whole(tmp_path: Path) -> None:
    node = Node(SUCCESS, syntaxes=[XRC_UID])
    try:
        near = _near(tmp_path, node.port)
        with running(near):
            assert send(near.port, [image()]) == [0]
            wait_for(_is_done(near))
    finally:
        node.close()
    assert node.forms() == ["base", "whole"]


def test_a_conflict_stays_one(tmp_path: Path) -> None:
    node = Node(CONFLICT)
    try:
        near = _near(tmp_path, node.port)
        with running(near):
            assert send(near.port, [image()]) == [0]
            wait_for(lambda: len(node.contents("remainder")) > 1)
    finally:
        node.close()
    assert not node.contents("whole")


def test_the_receiver_is_killed_in_between(tmp_path: Path) -> None:
    port = free_port()
    base, rest, _ = wire().write(tmp_path)
    far = GatewayProcess(tmp_path / "far", _far_text(tmp_path, port, shows_previews=False))
    with running(far):
        assert send_file(port, base, called="FAR") is None
        far.kill()
        far.start()
        # Twice, as if the first answer had been lost.
        assert send_file(port, rest, called="FAR") is None
        assert send_file(port, rest, called="FAR") is None
        wait_for(_is_done(far))
    found = files(tmp_path / "viewer")
    assert list(found) == [UID]
    assert native(found[UID]) == native(image())


def test_a_base_is_shown_at_once_and_without_it_the_image_comes_whole(tmp_path: Path) -> None:
    base, rest, whole = wire().write(tmp_path)
    far = LocalGateway(tmp_path / "far", _far_text(tmp_path))
    with running(far):
        assert send_file(far.port, base, called="FAR") is None
        wait_for(lambda: files(tmp_path / "viewer"))
        (shown,) = files(tmp_path / "viewer").values()
        assert far._node is not None
        spool = far._node.spool
        wait_for(lambda: not spool.ledger.counts().get(("viewer", "prepared")))
        spool.drop_bases(-1)
        refusal = send_file(far.port, rest, called="FAR")
        assert refusal is not None
        assert (refusal.reason, refusal.of_remainder) == ("status C121", True)
        assert send_file(far.port, whole, called="FAR") is None
        wait_for(_is_done(far))
    assert shown.LossyImageCompression == "01"
    assert shown.SeriesDescription == "Preview, lossy"
    assert 0 < abs(pixels(shown).astype(int) - pixels(image())).mean() < 200
    found = files(tmp_path / "viewer")
    assert list(found) == [UID]
    assert native(found[UID]) == native(image())


def test_a_gateway_may_take_no_remainders(tmp_path: Path) -> None:
    _, rest, _ = wire().write(tmp_path)
    text = _far_text(tmp_path).replace("free_mib = 1\n", "free_mib = 1\nbase_days = 0\n")
    far = LocalGateway(tmp_path / "far", text)
    with running(far):
        refusal = send_file(far.port, rest, called="FAR")
    assert refusal is not None
    assert refusal.of_syntax


def test_the_default_sends_none(tmp_path: Path) -> None:
    node = Node(PUT_TOGETHER)
    try:
        table = '[destination.preview]\ncodec = "lattice"\n'
        near = LocalGateway(
            tmp_path,
            config_text(dicom_destination("far", node.port, "xrc", tables=table), extra=FAST_TABLE),
        )
        with running(near):
            assert send(near.port, [radiograph(1, 64, 64)]) == [0]
            wait_for(_is_done(near))
    finally:
        node.close()
    assert node.forms() == ["base", "whole"]
