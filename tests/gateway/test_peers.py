"""Other makers' tools on both sides: DCMTK's and an Orthanc server, where they are installed."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from gateway_building import (
    GatewayProcess,
    config_text,
    dicom_destination,
    free_port,
    pixels,
    radiograph,
    report,
    running,
    send,
    wait_for,
)
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless

from xraycodec.dicom.encapsulation import unwrap
from xraycodec.files.dicom_writer import to_file
from xraycodec.gateway.config import Preview
from xraycodec.gateway.progressive import preview, withdrawal

STORED = '[compression]\ncodec = "stored"\nprocesses = 1\n'


def _tool(name: str, package: str) -> str:
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed; Debian has it in {package}")
    return path


@contextmanager
def _service(command: list[str], ready: str) -> Iterator[int]:
    """Run a server on a free port, which stands for PORT, until the test is over."""
    port = free_port()
    process = subprocess.Popen(
        [part.replace("PORT", str(port)) for part in command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        probe = [_tool(ready, "dcmtk"), "-to", "1", "127.0.0.1", str(port)]
        wait_for(lambda: subprocess.run(probe, capture_output=True, check=False).returncode == 0)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def test_dcmtk_sends_and_receives(tmp_path: Path) -> None:
    storescu, storescp = _tool("storescu", "dcmtk"), _tool("storescp", "dcmtk")
    arrived = tmp_path / "arrived"
    arrived.mkdir()
    sources = []
    for thing in (radiograph(1), radiograph(2), report(3)):
        sources.append(tmp_path / f"{len(sources)}.dcm")
        sources[-1].write_bytes(to_file(thing))
    receiver = [storescp, "+xa", "-od", str(arrived), "-aet", "ARCHIVE", "PORT"]
    with _service(receiver, "echoscu") as port:
        gateway = GatewayProcess(
            tmp_path / "gateway",
            config_text(dicom_destination("dcmtk", port, "jpeg-ls"), extra=STORED),
        )
        with running(gateway):
            peer = ["-aet", "MODALITY", "-aec", "GATEWAY", "127.0.0.1", str(gateway.port)]
            subprocess.run([_tool("echoscu", "dcmtk"), *peer], check=True, capture_output=True)
            subprocess.run([storescu, *peer, *map(str, sources)], check=True, capture_output=True)
            wait_for(lambda: '"delivered"' in gateway.log_path.read_text())
            wait_for(
                lambda: sum(line["event"] == "delivered" for line in gateway.log()) == len(sources)
            )
    found = {str(each.SOPInstanceUID): each for each in map(dcmread, arrived.iterdir())}
    assert len(found) == 3
    for number in (1, 2):
        image = found[str(radiograph(number).SOPInstanceUID)]
        assert image.file_meta.TransferSyntaxUID == JPEGLSLossless
        decoded = tmp_path / f"decoded-{number}.dcm"
        decoder = [_tool("dcmdjpls", "dcmtk"), str(image.filename), str(decoded)]
        subprocess.run(decoder, check=True, capture_output=True)
        assert (pixels(dcmread(decoded)) == pixels(radiograph(number))).all()
        assert image.private_block(0x0019, "TEST PRIVATE")[0x01].value == "1.50"


def _fetch(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
        content: bytes = answer.read()
        return content


def test_orthanc_receives(tmp_path: Path) -> None:
    orthanc = _tool("Orthanc", "orthanc")
    http = free_port()
    settings: dict[str, Any] = {
        "Name": "test",
        "StorageDirectory": str(tmp_path / "orthanc"),
        "IndexDirectory": str(tmp_path / "orthanc"),
        "Plugins": [],
        "HttpPort": http,
        "DicomAet": "ARCHIVE",
        "DicomPort": "PORT",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "StableAge": 1,
    }
    config = tmp_path / "orthanc.json"
    port = free_port()
    config.write_text(json.dumps({**settings, "DicomPort": port}))
    process = subprocess.Popen(
        [orthanc, str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: _answers(http))
        gateway = GatewayProcess(
            tmp_path / "gateway",
            config_text(dicom_destination("orthanc", port, "jpeg2000"), extra=STORED),
        )
        with running(gateway):
            things = [radiograph(1), radiograph(2), report(3)]
            assert send(gateway.port, things) == [0, 0, 0]
            wait_for(lambda: len(json.loads(_fetch(http, "/instances"))) == 3)
        found = {}
        for name in json.loads(_fetch(http, "/instances")):
            each = dcmread(BytesIO(_fetch(http, f"/instances/{name}/file")))
            found[str(each.SOPInstanceUID)] = each
    finally:
        process.terminate()
        process.wait(30)
    assert str(things[2].SOPInstanceUID) in found
    for image in things[:2]:
        stored = found[str(image.SOPInstanceUID)]
        assert stored.file_meta.TransferSyntaxUID == JPEG2000Lossless
        assert (stored.pixel_array.ravel() == pixels(image)).all()


def _answers(port: int) -> bool:
    try:
        return bool(_fetch(port, "/system"))
    except OSError:
        return False


def _errors(dciodvfy: str, path: Path, data: bytes) -> set[str]:
    path.write_bytes(data)
    done = subprocess.run([dciodvfy, str(path)], capture_output=True, text=True, check=False)
    return {line for line in done.stderr.splitlines() if line.startswith("Error")}


def test_previews_and_their_notes_are_valid(tmp_path: Path) -> None:
    """A preview lacks what its image lacks; the note, which is made here, lacks nothing."""
    dciodvfy = _tool("dciodvfy", "dicom3tools")
    image = to_file(radiograph(1, 64, 64))
    early = unwrap(preview(image, Preview("lattice", ratio=64, max_error=15)))
    made = dcmread(BytesIO(early))
    note = withdrawal(image, ((made.SOPClassUID, made.SOPInstanceUID),))
    of_image = _errors(dciodvfy, tmp_path / "image.dcm", image)
    assert of_image
    assert _errors(dciodvfy, tmp_path / "preview.dcm", early) <= of_image
    assert _errors(dciodvfy, tmp_path / "note.dcm", note) == set()
