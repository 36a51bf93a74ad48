"""``xrc`` as a process: exit codes, pipes, interrupts, odd file names."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_running import command, names_in, radiograph, read_image, run_process, same, write_image

from xraycodec.pipeline import decompress

INTERRUPTED = 130


def test_exit_codes(png: Path) -> None:
    assert run_process("compress", "--codec", "stored", png).code == 0
    assert run_process("compress", "--codec", "stored", png).code == 1
    assert run_process("verify", f"{png}.xrc").code == 0
    assert run_process("compress", "--tile", "63", png).code == 2
    assert run_process("--version").code == 0
    assert run_process().code == 2


def test_failures_leave_standard_output_to_results(png: Path) -> None:
    outcome = run_process("verify", png)
    assert (outcome.code, outcome.data) == (1, b"")
    assert outcome.err.startswith(f"xrc: {png}: it is a PNG file, not an .xrc file; ")
    assert len(outcome.err.splitlines()) == 1


def test_a_pipeline_of_processes(png: Path) -> None:
    packed = run_process("compress", "--codec", "stored", "-", stdin=png.read_bytes())
    assert packed.code == 0
    assert same(decompress(packed.data), read_image(png))
    back = run_process("decompress", "-", "--format", "png", stdin=packed.data)
    assert (back.code, back.data) == (0, png.read_bytes())


def test_standard_input_that_ends_at_once() -> None:
    outcome = run_process("compress", "-")
    assert (outcome.code, outcome.data) == (1, b"")
    assert outcome.err == "xrc: standard input: the file is empty\n"


def test_a_reader_that_goes_away_ends_it_quietly(stored: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(
            command("info", *[stored] * 40), stdout=pipe, stderr=subprocess.PIPE, timeout=600
        )
    assert done.returncode == 1
    assert done.stderr == b""


def test_data_is_not_thrown_at_a_terminal(png: Path) -> None:
    controller, terminal = pty.openpty()
    try:
        done = subprocess.run(
            command("compress", png, "-o", "-"),
            stdout=terminal,
            stderr=subprocess.PIPE,
            timeout=600,
        )
    finally:
        os.close(terminal)
        os.close(controller)
    assert done.returncode == 2
    assert b"a terminal shows no files" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_file_names_that_are_no_text(tmp_path: Path, encoding: str) -> None:
    name = os.fsdecode(b"r\xf6ntgen \xff.png")
    write_image(tmp_path / name, radiograph(), "png")
    environment = {"PYTHONIOENCODING": encoding}
    outcome = run_process("compress", "--codec", "stored", name, cwd=tmp_path, **environment)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("r?ntgen ?.png: ")
    outcome = run_process("verify", "--json", f"{name}.xrc", cwd=tmp_path, **environment)
    assert json.loads(outcome.data)["input"] == f"{name}.xrc"
    assert run_process("verify", name, cwd=tmp_path, **environment).err.startswith("xrc: r?ntgen")


# The command interrupts itself at the first step of its progress, whatever the machine's speed.
_INTERRUPTED_AT_WORK = """
import os, signal
from xraycodec.cli import main
from xraycodec.codecs.lattice import Lattice

encode = Lattice.encode
Lattice.encode = lambda self, image, progress: encode(
    self, image, lambda done, total: os.kill(os.getpid(), signal.SIGINT)
)
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
@pytest.mark.parametrize("force", [False, True])
def test_an_interrupt_leaves_nothing_and_no_traceback(tmp_path: Path, force: bool) -> None:
    npy = io.BytesIO()
    np.save(npy, np.arange(4 * 200 * 200, dtype=np.uint16).reshape(4, 200, 200))
    target = tmp_path / "x.xrc"
    if force:
        target.write_bytes(b"precious")
    arguments = ("compress", "-", "-o", str(target), *(["-f"] if force else []))
    done = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED_AT_WORK, *arguments],
        input=npy.getvalue(),
        capture_output=True,
        cwd=tmp_path,
        timeout=600,
        # A shell's background job ignores SIGINT, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert done.returncode == INTERRUPTED
    assert done.stderr.decode().strip() == "xrc: interrupted"
    assert names_in(tmp_path) == (["x.xrc"] if force else [])
    if force:
        assert target.read_bytes() == b"precious"
