"""Gateways in processes of their own, DICOM objects to send, and an archive to receive."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset, read_file_meta_info
from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.presentation import AllStoragePresentationContexts, build_context

from xraycodec.gateway.association import Association, Refusal, drop_connection
from xraycodec.gateway.config import DicomTarget
from xraycodec.gateway.config_file import load
from xraycodec.gateway.node import Gateway

DIGITAL_X_RAY = "1.2.840.10008.5.1.4.1.1.1.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
BASIC_TEXT_REPORT = "1.2.840.10008.5.1.4.1.1.88.11"
_ROOT = "1.2.826.0.1.3680043.8.498.77"
_COMMAND = "import sys; from xraycodec.cli import main; sys.argv[0] = 'xrc'; main()"


def radiograph(
    number: int, rows: int = 24, columns: int = 20, patient: str = "Doe^Jane"
) -> Dataset:
    """A small radiograph of 12 bits; equal for equal numbers, its pixels unlike any other's."""
    noise = np.random.default_rng(number)
    slope = np.add.outer(np.arange(rows), np.arange(columns)) * 40
    pixels = (slope + noise.integers(0, 200, (rows, columns))).astype("<u2") & 0x0FFF
    dataset = _object(number, DIGITAL_X_RAY, patient)
    dataset.Modality = "DX"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = rows, columns
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.add_new("PixelData", "OW", pixels.tobytes())
    return dataset


def colour_picture(number: int) -> Dataset:
    """What no codec of ours serves: a secondary capture in colour."""
    dataset = _object(number, SECONDARY_CAPTURE, "Doe^Jane")
    dataset.Modality = "OT"
    dataset.SamplesPerPixel = 3
    dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = "RGB"
    dataset.Rows, dataset.Columns = 4, 6
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelRepresentation = 0
    dataset.add_new("PixelData", "OB", bytes(range(72)))
    return dataset


def report(number: int) -> Dataset:
    """An object without pixels."""
    dataset = _object(number, BASIC_TEXT_REPORT, "Doe^Jane")
    dataset.Modality = "SR"
    dataset.ValueType = "CONTAINER"
    return dataset


def _object(number: int, sop_class: str, patient: str) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = f"{_ROOT}.{number}"
    dataset.PatientName = patient
    dataset.PatientID = "SECRET-4711"
    dataset.PatientBirthDate = "19700102"
    dataset.StudyInstanceUID = f"{_ROOT}.1.1"
    dataset.SeriesInstanceUID = f"{_ROOT}.1.2"
    dataset.StudyDate, dataset.StudyTime = "20260102", "030405"
    block = dataset.private_block(0x0019, "TEST PRIVATE", create=True)
    block.add_new(0x01, "DS", "1.50")
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(condition: Callable[[], Any], seconds: float = 300) -> None:
    """Wait until something holds, which is a failure only where it never does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def send(
    port: int,
    datasets: list[Dataset],
    *,
    ae_title: str = "SENDER",
    called: str = "GATEWAY",
    syntax: str = ExplicitVRLittleEndian,
) -> list[int | None]:
    """Send data sets in one association; statuses, ``None`` where there was no answer."""
    ae = AE(ae_title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = 20
    classes = sorted({str(dataset.SOPClassUID) for dataset in datasets})
    association = ae.associate(
        "127.0.0.1", port, [build_context(each, syntax) for each in classes], ae_title=called
    )
    statuses: list[int | None] = []
    for dataset in datasets:
        try:
            statuses.append(association.send_c_store(dataset).get("Status"))
        except (RuntimeError, ValueError):
            statuses.append(None)
    if association.is_established:
        association.release()
    drop_connection(association)
    return statuses


def send_file(port: int, path: Path, *, called: str = "GATEWAY") -> Refusal | None:
    """Send a file in the private syntax, which pynetdicom knows from no data set."""
    target = DicomTarget(called, "127.0.0.1", port, 1, 20, 0, None)
    association = Association("SENDER", target)
    meta = read_file_meta_info(path)
    context = (str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID))
    try:
        return association.send(path, context, [])
    finally:
        association.close()


class Archive:
    """A storage provider in this process that remembers what it was sent.

    Like any archive it knows an instance by its UID; ``copies`` counts what was sent again.
    """

    def __init__(self, *, syntaxes: list[str] | None = None, status: int = 0x0000) -> None:
        self.instances: dict[str, bytes] = {}
        self.syntaxes: dict[str, str] = {}
        self.order: list[str] = []
        self.copies: Counter[str] = Counter()
        self.status = status
        self.associations = 0
        self._lock = threading.Lock()
        ae = AE("ARCHIVE")
        ae.maximum_associations = 32
        self.port = free_port()
        contexts = [
            build_context(each.abstract_syntax, syntaxes or [ExplicitVRLittleEndian])
            for each in AllStoragePresentationContexts
        ]
        self._server = ae.start_server(
            ("127.0.0.1", self.port),
            block=False,
            contexts=contexts,
            evt_handlers=[(evt.EVT_C_STORE, self._store), (evt.EVT_ACCEPTED, self._accepted)],
        )

    def close(self) -> None:
        self._server.shutdown()

    def data_set(self, uid: str) -> Dataset:
        syntax = UID(self.syntaxes[uid])
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = syntax
        found = read_dataset(BytesIO(self.instances[uid]), syntax.is_implicit_VR, True)
        found.file_meta = meta
        return found

    def _accepted(self, _: Any) -> None:
        self.associations += 1

    def _store(self, event: Any) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        content = event.request.DataSet.getvalue()
        with self._lock:
            if self.status:
                return self.status
            assert self.instances.setdefault(uid, content) == content
            self.syntaxes[uid] = str(event.context.transfer_syntax)
            self.copies[uid] += 1
            self.order.append(uid)
        return 0x0000


@contextmanager
def archive(**settings: Any) -> Iterator[Archive]:
    it = Archive(**settings)
    try:
        yield it
    finally:
        it.close()


def native(dataset: Dataset) -> bytes:
    """A data set as it is sent in Explicit VR Little Endian."""
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    write_dataset(stream, dataset)
    value: bytes = stream.getvalue()
    return value


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def pixels(dataset: Dataset) -> npt.NDArray[Any]:
    return np.frombuffer(dataset.PixelData, "<u2")


class GatewayProcess:
    """``xrc gateway`` in a process of its own, which can be killed and started again."""

    def __init__(self, folder: Path, text: str, *arguments: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / "gateway.toml"
        self.config.write_text(text)
        self.log_path = folder / "log.jsonl"
        self.arguments = arguments
        self.process: subprocess.Popen[bytes] | None = None
        self._seen = 0

    def start(self) -> None:
        self._seen = self.log_path.stat().st_size if self.log_path.exists() else 0
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-c", _COMMAND, "gateway", "--config", str(self.config)),
                    *self.arguments,
                ],
                stderr=log,
                stdout=log,
                env={**os.environ, "PYTHONWARNINGS": "default", "OMP_NUM_THREADS": "1"},
            )
        wait_for(self._is_up)

    def kill(self) -> None:
        """SIGKILL: nothing in the process gets a chance to tidy up."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(300)

    def end(self) -> None:
        """Whatever became of it, nothing of it runs after this."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def log(self) -> list[dict[str, Any]]:
        # What is left of a killed Python's multiprocessing writes a warning of its own.
        lines = self.log_path.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def _is_up(self) -> bool:
        assert self.process is not None
        text = self.log_path.read_text()[self._seen :]
        assert self.process.poll() is None, text
        return '"started"' in text

    @property
    def port(self) -> int:
        return int(self._started()["port"])

    @property
    def status_port(self) -> int:
        return int(self._started()["status_port"])

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.status_port}{path}") as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def _started(self) -> dict[str, Any]:
        return [line for line in self.log() if line["event"] == "started"][-1]


class LocalGateway(GatewayProcess):
    """The same in this process, for what needs neither the command nor kills.

    A thread stands for its pool of processes, which take seconds to start.
    """

    def __init__(self, folder: Path, text: str) -> None:
        super().__init__(folder, text)
        self._node: Gateway | None = None
        self._log: TextIO | None = None

    def start(self) -> None:
        # What the processes of the pool do, too; filters are no thread's own.
        warnings.simplefilter("ignore")
        self._log = self.log_path.open("a", buffering=1)
        self._node = Gateway(load(self.config), self._log)
        self._node._preparation._pool = ThreadPoolExecutor(1)  # type: ignore[assignment]
        self._node.start()

    def stop(self) -> int:
        assert self._node is not None
        assert self._log is not None
        node, self._node = self._node, None
        node.stop()
        self._log.close()
        return 0

    def end(self) -> None:
        if self._node is not None:
            self.stop()


@contextmanager
def running(*gateways: GatewayProcess) -> Iterator[None]:
    try:
        for each in gateways:
            each.start()
        yield
    finally:
        for each in gateways:
            each.end()


def config_text(
    *destinations: str, ae_title: str = "GATEWAY", port: int = 0, extra: str = "", listen: str = ""
) -> str:
    """A configuration for tests: everything local, nothing waits long."""
    return f"""
[gateway]
ae_title = "{ae_title}"
spool = "spool"
log_level = "debug"
[listen]
port = {port}
{listen}
[[peer]]
ae_title = "*"
addresses = ["127.0.0.0/8"]
[limits]
free_mib = 1
[status]
port = 0
{extra}
""" + "\n".join(destinations)


def dicom_destination(
    name: str,
    port: int,
    syntax: str = "explicit",
    *,
    ae_title: str = "ARCHIVE",
    keys: str = "",
    tables: str = "",
) -> str:
    return f"""
[[destination]]
name = "{name}"
ae_title = "{ae_title}"
address = "127.0.0.1"
port = {port}
syntax = "{syntax}"
timeout_seconds = 20
{keys}
[destination.retry]
first_seconds = 0.05
longest_seconds = 0.5
{tables}
"""


def folder_destination(name: str, folder: Path, syntax: str = "explicit", keys: str = "") -> str:
    return f"""
[[destination]]
name = "{name}"
kind = "folder"
folder = "{folder}"
syntax = "{syntax}"
{keys}
[destination.retry]
first_seconds = 0.05
longest_seconds = 0.5
"""


def files(folder: Path) -> dict[str, Dataset]:
    """Instances in a folder destination, by UID."""
    found = [dcmread(path) for path in sorted(folder.glob("*/*/*.dcm"))]
    return {str(each.SOPInstanceUID): each for each in found}
