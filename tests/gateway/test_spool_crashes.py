from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Every point takes 25 s or so; a number that the count of them is no multiple of, else.
_STEP = 1 if os.environ.get("XRAYCODEC_SOAK") else 7


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
def test_killed_at_any_call_the_spool_loses_and_doubles_nothing(tmp_path: Path) -> None:
    script = Path(__file__).with_name("spool_crashes.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), str(_STEP)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 200 // _STEP
