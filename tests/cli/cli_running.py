"""Running ``xrc`` in this process and in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner

from xraycodec.cli import xrc
from xraycodec.files import decode, encode
from xraycodec.image import XRay


@dataclass(frozen=True)
class Outcome:
    """What a run left behind.

    Attributes:
        code: exit code.
        data: standard output as bytes.
        out: standard output as text.
        err: standard error as text.
    """

    code: int
    data: bytes
    err: str

    @property
    def out(self) -> str:
        return self.data.decode()

    @property
    def json_lines(self) -> list[dict[str, Any]]:
        """One for each input; without the summary."""
        lines = [json.loads(line) for line in self.data.splitlines()]
        return [line for line in lines if "summary" not in line]

    @property
    def summary(self) -> dict[str, Any]:
        """What ``--json`` says of all inputs, in its last line."""
        values: dict[str, Any] = json.loads(self.data.splitlines()[-1])["summary"]
        return values


def run(*arguments: object, stdin: bytes = b"") -> Outcome:
    """Run in this process; exceptions that are no answer to a user come through."""
    result = CliRunner().invoke(xrc, [*map(str, arguments)], input=stdin, catch_exceptions=False)
    return Outcome(result.exit_code, result.stdout_bytes, result.stderr)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "xraycodec", *map(str, arguments)]


def run_process(
    *arguments: object, stdin: bytes = b"", cwd: Path | None = None, **environment: str
) -> Outcome:
    done = subprocess.run(
        command(*arguments),
        input=stdin,
        capture_output=True,
        cwd=cwd,
        env=os.environ | environment,
        timeout=600,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr.decode())


def radiograph(
    bits_stored: int = 12, photometric: str = "MONOCHROME2", shape: tuple[int, ...] = (48, 40)
) -> XRay:
    """Smooth, with both ends of the range."""
    ramp = np.linspace(0, (1 << bits_stored) - 1, int(np.prod(shape)))
    return XRay(ramp.reshape(shape).astype(f"u{1 + (bits_stored > 8)}"), bits_stored, photometric)


def write_image(path: Path, image: XRay, kind: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(image, kind))
    return path


def read_image(path: Path) -> XRay:
    return decode(path.read_bytes())


def same(a: XRay, b: XRay) -> bool:
    return (
        np.array_equal(a.pixels, b.pixels)
        and a.pixels.dtype == b.pixels.dtype
        and a.bits_stored == b.bits_stored
        and a.photometric_interpretation == b.photometric_interpretation
    )


def names_in(folder: Path) -> list[str]:
    """Every file below a folder, temporary ones too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
