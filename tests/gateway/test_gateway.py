"""Gateways between a sender and an archive or folder."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "cli"))

from cli_running import run
from gateway_building import (
    GatewayProcess,
    LocalGateway,
    archive,
    colour_picture,
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
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, JPEGLSLossless, RLELossless

from xraycodec.dicom.encapsulation import XRC_UID
from xraycodec.files.dicom_writer import to_file
from xraycodec.gateway.config import Preview
from xraycodec.gateway.progressive import preview

STORED = '[compression]\ncodec = "stored"\nprocesses = 1\n'


def _counter(gateway: GatewayProcess, name: str) -> float:
    """Sum of a family of metrics over its labels."""
    text = gateway.get("/metrics")[1]
    return sum(float(v) for v in re.findall(rf"^xrc_gateway_{name}(?:{{.*}})? (.+)$", text, re.M))


def test_a_study_of_all_kinds_arrives_in_standard_and_private_syntax(tmp_path: Path) -> None:
    """What can be compressed is, the rest goes as it is; nobody's name is in any log or page."""
    things = [radiograph(1), radiograph(2, rows=9, columns=300), colour_picture(3), report(4)]
    with archive(syntaxes=[XRC_UID, RLELossless, "1.2.840.10008.1.2.1"]) as store:
        gateway = GatewayProcess(
            tmp_path / "gateway",
            config_text(
                dicom_destination("private", store.port, "xrc"),
                folder_destination("rle", tmp_path / "rle", "rle"),
                extra='[compression]\nprocesses = 1\nprofile = "fast"\n',
            ),
        )
        with running(gateway):
            assert send(gateway.port, things) == [0, 0, 0, 0]
            # The same again, after some have gone: known, and not sent twice.
            assert send(gateway.port, things) == [0, 0, 0, 0]
            wait_for(lambda: _counter(gateway, "queue_instances") == 0)
            pages = [gateway.get(path)[1] for path in ("/", "/metrics", "/healthz")]
            assert gateway.get("/healthz") == (200, "ok\n")
            assert gateway.get("/patients")[0] == 404
            assert _counter(gateway, "received_total") == 8
            assert gateway.stop() == 0
    uids = [str(each.SOPInstanceUID) for each in things]
    assert [store.syntaxes[uid] for uid in uids[:2]] == [XRC_UID, XRC_UID]
    assert [store.instances[uid] for uid in uids[2:]] == [native(each) for each in things[2:]]
    assert set(store.copies.values()) == {1}
    # One association serves many instances.
    assert store.associations <= 4
    filed = files(tmp_path / "rle")
    assert sorted(filed) == sorted(uids)
    for image in things[:2]:
        found = filed[str(image.SOPInstanceUID)]
        assert found.file_meta.TransferSyntaxUID == RLELossless
        assert (found.pixel_array.ravel() == pixels(image)).all()
    seen = gateway.log_path.read_text() + "".join(pages)
    for secret in ("Doe", "Jane", "4711", "19700102", "20260102", "1.2.826"):
        assert secret not in seen
    names = {line["instance"] for line in gateway.log() if line["event"] == "received"}
    assert len(names) == 4
    events = [json.loads(line)["event"] for line in gateway.log_path.read_text().splitlines()]
    assert [each for each in events if each in ("started", "stopped")] == ["started", "stopped"]
    assert events[-1] == "stopped"


def test_the_pseudonym_of_a_uid_can_be_had(tmp_path: Path) -> None:
    gateway = LocalGateway(
        tmp_path, config_text(folder_destination("drop", tmp_path / "drop"), extra=STORED)
    )
    with running(gateway):
        assert send(gateway.port, [report(1)]) == [0]
        (name,) = [line["instance"] for line in gateway.log() if line["event"] == "received"]
    done = run("gateway", "--config", gateway.config, "--pseudonym", report(1).SOPInstanceUID)
    assert (done.code, done.out) == (0, f"{name}\n")


def test_what_is_refused(tmp_path: Path) -> None:
    gateway = LocalGateway(
        tmp_path,
        config_text(
            folder_destination("drop", tmp_path / "drop", keys='modalities = ["DX", "SR"]'),
            extra=STORED,
        ).replace("free_mib = 1\n", "free_mib = 1\ninstance_mib = 0.02\n"),
    )
    other = radiograph(1, patient="Roe^Richard")
    with running(gateway):
        assert send(gateway.port, [radiograph(1)]) == [0]
        assert send(gateway.port, [other]) == [0xC111]
        assert send(gateway.port, [colour_picture(2)]) == [0x0124]
        # 128 x 128 pixels of 2 bytes are more than 0.02 MiB; of much more the end is not awaited.
        assert send(gateway.port, [radiograph(3, 128, 128)]) == [0xA700]
        assert send(gateway.port, [radiograph(3, 500, 500)]) == [None]
        assert send(gateway.port, [report(4)], called="SOMEBODY") == [None]
        assert send(gateway.port, [radiograph(5)]) == [0]
        outcomes = [line.get("outcome") for line in gateway.log() if line["event"] == "received"]
        assert outcomes == ["new", "conflict", "new"]
        wait_for(lambda: len(files(tmp_path / "drop")) == 2)
    kept = files(tmp_path / "drop")[str(other.SOPInstanceUID)]
    assert kept.PatientName == "Doe^Jane"


def test_peers_that_are_not_listed_are_rejected(tmp_path: Path) -> None:
    gateway = LocalGateway(
        tmp_path,
        config_text(folder_destination("drop", tmp_path / "drop"), extra=STORED).replace(
            'ae_title = "*"', 'ae_title = "CR1"'
        ),
    )
    with running(gateway):
        assert send(gateway.port, [report(1)], ae_title="CR2") == [None]
        assert send(gateway.port, [report(1)], ae_title="CR1") == [0]
        wait_for(lambda: len(files(tmp_path / "drop")) == 1)


def test_a_node_that_knows_not_the_syntax_gets_the_fallback(tmp_path: Path) -> None:
    with archive() as store:
        gateway = LocalGateway(
            tmp_path,
            config_text(
                dicom_destination("pacs", store.port, "jpeg-ls", keys='fallback = "explicit"'),
                extra=STORED,
            ),
        )
        with running(gateway):
            assert send(gateway.port, [radiograph(1)], syntax=ImplicitVRLittleEndian) == [0]
            wait_for(lambda: store.instances)
    (uid,) = store.instances
    assert store.data_set(uid).PixelData == radiograph(1).PixelData
    reasons = [line["reason"] for line in gateway.log() if line["event"] == "attempt_failed"]
    assert reasons == ["presentation context not accepted"]


def test_refusals_set_an_instance_aside_until_it_is_asked_for(tmp_path: Path) -> None:
    with archive(syntaxes=[JPEGLSLossless], status=0xC000) as store:
        gateway = LocalGateway(
            tmp_path,
            config_text(
                dicom_destination("pacs", store.port, "jpeg-ls", tables="refusals = 2"),
                extra=STORED,
            ),
        )
        with running(gateway):
            assert send(gateway.port, [radiograph(1)]) == [0]
            wait_for(lambda: _counter(gateway, "failed_total") == 1)
            assert _counter(gateway, "queue_instances") == 1
            assert gateway.stop() == 0
        store.status = 0
        again = GatewayProcess(tmp_path, gateway.config.read_text(), "--retry-failed")
        with running(again):
            wait_for(lambda: store.instances)
            wait_for(lambda: _counter(again, "queue_instances") == 0)
    (uid,) = store.instances
    assert store.syntaxes[uid] == JPEGLSLossless


def test_a_destination_that_is_down_is_waited_for(tmp_path: Path) -> None:
    port = free_port()
    gateway = GatewayProcess(tmp_path, config_text(dicom_destination("pacs", port), extra=STORED))
    with running(gateway):
        assert send(gateway.port, [radiograph(1), radiograph(2)]) == [0, 0]
        wait_for(lambda: _counter(gateway, "attempts_failed_total") > 2)
        assert _counter(gateway, "queue_instances") == 2
        assert _counter(gateway, "failed_total") == 0
        far = GatewayProcess(
            tmp_path / "far",
            config_text(
                folder_destination("drop", tmp_path / "drop"),
                ae_title="ARCHIVE",
                port=port,
                extra=STORED,
            ),
        )
        with running(far):
            wait_for(lambda: len(files(tmp_path / "drop")) == 2)


def test_a_gateway_needs_a_sound_configuration(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(
        config_text(folder_destination("drop", tmp_path)).replace("port = 0", "port = -1")
    )
    done = run("gateway", "--config", path, "--check")
    assert done.code == 1
    assert "listen.port: -1; allowed are whole numbers from 0 to 65535" in done.err


def _preview_file(path: Path, image: Dataset, settings: Preview) -> str:
    """Write a preview to a file and return its UID."""
    path.write_bytes(preview(to_file(image), settings))
    made = dcmread(path)
    assert made.file_meta.TransferSyntaxUID == XRC_UID
    return str(made.SOPInstanceUID)


@pytest.mark.parametrize("codec", ["lattice", "rnn-conv"])
def test_a_preview_is_shown_at_once_and_replaced(tmp_path: Path, codec: str) -> None:
    image = radiograph(1, 64, 64)
    image_uid = str(image.SOPInstanceUID)
    early, late = tmp_path / "early.dcm", tmp_path / "late.dcm"
    preview_uid = _preview_file(early, image, Preview(codec, ratio=64, max_error=15))
    late_uid = _preview_file(late, image, Preview(codec, ratio=32, max_error=7))
    assert late_uid != preview_uid
    with archive() as store:
        gateway = LocalGateway(
            tmp_path / "gateway",
            config_text(
                folder_destination("viewer", tmp_path / "viewer"),
                dicom_destination("pacs", store.port, keys="forward_previews = true"),
                dicom_destination("images-only", store.port),
                extra=STORED,
            ),
        )
        with running(gateway):
            assert send_file(gateway.port, early) is None
            wait_for(lambda: list(files(tmp_path / "viewer")) == [preview_uid])
            wait_for(lambda: store.order == [preview_uid])
            shown = files(tmp_path / "viewer")[preview_uid]
            assert send(gateway.port, [image]) == [0]
            # The note comes last, when the archive has the image.
            wait_for(lambda: len(store.instances) == 3)
            wait_for(lambda: list(files(tmp_path / "viewer")) == [image_uid])
            wait_for(lambda: _counter(gateway, "queue_instances") == 0)
            # A preview that comes late, from a gateway that was down, is of no use to anybody.
            assert send_file(gateway.port, late) is None
            wait_for(lambda: _counter(gateway, "queue_instances") == 0)
            assert _counter(gateway, "queue_deliveries") == 0
    assert files(tmp_path / "viewer")[image_uid].PixelData == image.PixelData
    assert store.instances[image_uid] == native(image)
    assert store.order[0] == preview_uid
    note_uid = store.order[-1]
    assert {preview_uid, image_uid, note_uid} == set(store.instances)
    _check_preview(shown, image)
    _check_note(store.data_set(note_uid), shown)


def _check_preview(shown: Dataset, image: Dataset) -> None:
    """It says that it is lossy, and what of; and looks like it."""
    assert shown.LossyImageCompression == "01"
    assert shown.ImageType[0] == "DERIVED"
    assert shown.SeriesDescription == "Preview, lossy"
    assert shown.SeriesInstanceUID != image.SeriesInstanceUID
    assert shown.StudyInstanceUID == image.StudyInstanceUID
    (source,) = shown.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == image.SOPInstanceUID
    difference = pixels(shown).astype(int) - pixels(image)
    assert 0 < abs(difference).mean() < 200


def _check_note(note: Dataset, shown: Dataset) -> None:
    """A Key Object Selection that withdraws just the preview."""
    (study,) = note.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    (reference,) = series.ReferencedSOPSequence
    assert note.Modality == "KO"
    assert note.ConceptNameCodeSequence[0].CodeValue == "113039"
    assert note.PatientID == shown.PatientID
    assert note.StudyInstanceUID == study.StudyInstanceUID == shown.StudyInstanceUID
    assert series.SeriesInstanceUID == shown.SeriesInstanceUID
    assert reference.ReferencedSOPInstanceUID == shown.SOPInstanceUID
    assert reference.ReferencedSOPClassUID == shown.SOPClassUID


def test_two_gateways_send_previews_first(tmp_path: Path) -> None:
    images = [radiograph(number, 64, 64) for number in (1, 2)]
    uids = {str(each.SOPInstanceUID) for each in images}
    far = LocalGateway(
        tmp_path / "far",
        config_text(
            folder_destination("viewer", tmp_path / "viewer"), ae_title="FAR", extra=STORED
        ),
    )
    with running(far):
        preview_table = '[destination.preview]\ncodec = "lattice"\n'
        near = LocalGateway(
            tmp_path / "near",
            config_text(
                dicom_destination("far", far.port, "xrc", ae_title="FAR", tables=preview_table),
                extra=STORED,
            ),
        )
        with running(near):
            # A report has no preview, and waits for none.
            assert send(near.port, [*images, report(3)]) == [0, 0, 0]
            wait_for(lambda: _counter(near, "queue_instances") == 0)
            wait_for(lambda: _counter(far, "queue_instances") == 0)
    found = files(tmp_path / "viewer")
    assert set(found) == {*uids, str(report(3).SOPInstanceUID)}
    for image in images:
        assert found[str(image.SOPInstanceUID)].PixelData == image.PixelData
    sent = [line for line in near.log() if line["event"] == "delivered"]
    for name in {line["instance"] for line in sent}:
        parts = [line["part"] for line in sent if line["instance"] == name]
        assert parts in (["preview", "image"], ["image"])
    assert len(sent) == 5
