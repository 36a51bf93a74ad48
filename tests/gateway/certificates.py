"""An authority and certificates for a test, made by the openssl command."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Certificates:
    """PEM files: an authority, and one certificate of its making for 127.0.0.1."""

    authority: Path
    certificate: Path
    key: Path


def make_certificates(folder: Path) -> Certificates:
    """Make them, or skip the test where openssl is not installed."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed; it makes the certificates")
    folder.mkdir(parents=True, exist_ok=True)
    made = Certificates(folder / "authority.pem", folder / "node.pem", folder / "node.key")
    _openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-days", "2", "-subj", "/CN=authority of a test", "-keyout", str(folder / "authority.key"),
        "-out", str(made.authority),
    )  # fmt: skip
    _openssl(
        "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-subj", "/CN=node", "-keyout", str(made.key), "-out", str(folder / "node.csr"),
    )  # fmt: skip
    names = folder / "names.cnf"
    names.write_text("subjectAltName = IP:127.0.0.1, DNS:gateway.test\n")
    _openssl(
        "x509", "-req", "-in", str(folder / "node.csr"), "-CA", str(made.authority),
        "-CAkey", str(folder / "authority.key"), "-CAcreateserial", "-days", "2",
        "-extfile", str(names), "-out", str(made.certificate),
    )  # fmt: skip
    return made


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
