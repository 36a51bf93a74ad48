"""Small trees of radiographs, and runs of ``xrc archive`` over them."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner, Result

from xraycodec.cli import xrc
from xraycodec.files import encode
from xraycodec.image import XRay

BROKEN = "CorruptImageError"


def radiograph(seed: int) -> XRay:
    noise = np.random.default_rng(seed).integers(0, 9, (24, 24))
    return XRay((np.arange(576).reshape(24, 24) * 3 + noise).astype("u2"), 12)


def make_tree(root: Path, files: int, broken: int = 0) -> Path:
    """Images in five folders; the broken ones, evenly among them, were cut off."""
    every = files // broken if broken else files + 1
    for number in range(files):
        folder = root / f"ward{number % 5}"
        folder.mkdir(parents=True, exist_ok=True)
        data = encode(radiograph(number), "png")
        cut = number % every == every - 1
        (folder / f"chest{number:03}.png").write_bytes(data[:-30] if cut else data)
    return root


def run(*arguments: object, stdin: bytes = b"") -> Result:
    """Run ``xrc archive`` in this process; its workers have theirs."""
    return CliRunner().invoke(
        xrc, ["archive", *map(str, arguments)], input=stdin, catch_exceptions=False
    )


def build(*arguments: object, jobs: int = 1, codec: str = "stored", stdin: bytes = b"") -> Result:
    return run("build", *arguments, "--codec", codec, "--jobs", jobs, stdin=stdin)


def json_lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def rows(manifest: Path) -> dict[str, dict[str, Any]]:
    """Rows of a manifest by the name of the output, without what differs from run to run."""
    connection = sqlite3.connect(manifest)
    connection.row_factory = sqlite3.Row
    found = {row["output"]: dict(row) for row in connection.execute("SELECT * FROM file")}
    connection.close()
    for row in found.values():
        del row["id"], row["seconds"]
    return found


def states(manifest: Path) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows(manifest).values():
        counts[row["state"]] = counts.get(row["state"], 0) + 1
    return counts


def outputs(folder: Path) -> dict[str, bytes]:
    """Every ``.xrc`` file, by its name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.xrc")
    }


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.xrc")}


KILLED = """
import os, signal, sys
from xraycodec.archive.manifest import Manifest
from xraycodec.archive.records import State
from xraycodec.cli import main

def end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)

record = Manifest.record

def record_and_die(self, outcomes, most_attempts):
    late = self.counts()[State.DONE] >= {after}
    if late and {before_record}:
        end()
    record(self, outcomes, most_attempts)
    if late:
        end()

if __name__ == "__main__":
    Manifest.record = record_and_die
    sys.argv = ["xrc", *{arguments}]
    main()
"""


def kill_build(
    tmp_path: Path, *arguments: object, after: int, before_record: bool
) -> subprocess.CompletedProcess[bytes]:
    """Run a build that SIGKILL ends with ``after`` files done or more, as it records others."""
    script = tmp_path / "killed.py"
    every = ["archive", "build", *map(str, arguments), "--codec", "stored"]
    script.write_text(KILLED.format(after=after, before_record=before_record, arguments=every))
    return subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        timeout=600,
        check=False,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )
