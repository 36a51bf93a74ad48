"""Nothing is sent anywhere, and nothing is written that nobody asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from offline import KILLED, left_in, run_offline

IMAGE = """
import numpy as np
import xraycodec
image = xraycodec.XRay((np.arange(64 * 64).reshape(64, 64) % 251).astype("u1"), 8)
"""
EVERY_CODEC = """
for codec in (
    xraycodec.Lattice(), xraycodec.Wavelet(max_error=1), xraycodec.RnnConv(tile=128),
    xraycodec.Toderici(2), xraycodec.Stored(),
):
    data = xraycodec.compress(image, codec)
    assert xraycodec.decompress(data).pixels.shape == (64, 64)
    assert xraycodec.verify(data).identical
"""
LATER = """
import time
time.sleep(12)  # onnxruntime makes its files at once, and looks its collector up after 9 seconds
"""
WITH_WORKERS = """
import sys
xraycodec.write(image, "chest.png")
sys.argv = ["xrc", "archive", "build", "chest.png", "-o", "archive", "--jobs", "1"]
from xraycodec.cli import main
if __name__ == "__main__":
    main()
"""
BEHIND_OUR_BACK = """
import onnxruntime
from xraycodec.exact.self_test import self_test_network
onnxruntime.InferenceSession(self_test_network(), providers=["CPUExecutionProvider"])
"""


@pytest.mark.parametrize(
    "code",
    [
        IMAGE + EVERY_CODEC,
        IMAGE + WITH_WORKERS,
        "import os; os.environ['ORT_DISABLE_TELEMETRY'] = '0'\n" + IMAGE + EVERY_CODEC + LATER,
    ],
    ids=["codecs", "workers", "asked for"],
)
def test_no_codec_calls_anybody_or_writes_into_the_home_folder(code: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = run_offline(code, home)
    assert done.returncode == 0, done.stderr
    assert left_in(home) == []


def test_the_filter_ends_a_process_that_calls_somebody(tmp_path: Path) -> None:
    call = "import socket as s; s.socket(s.AF_INET, s.SOCK_DGRAM).connect(('127.0.0.1', 9))"
    assert run_offline(call, tmp_path / "home").returncode == KILLED
    started = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {call!r}]))"
    assert run_offline(started, tmp_path / "other").returncode == 256 + KILLED


def test_telemetry_of_onnxruntime_would_be_seen(tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = run_offline(BEHIND_OUR_BACK, home)
    if done.returncode == 0 and not left_in(home):
        pytest.skip("this version of onnxruntime has no telemetry on this system")
    assert done.returncode == KILLED or left_in(home)
