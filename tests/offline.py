"""A Python process that ends at once if it, or a process or library below it, calls anybody.

Python's own hooks see Python's sockets alone. This is a filter of system calls (Linux seccomp),
which holds for native code, for its threads, and for every process that is started from there.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

_REFUSED = 77
# AUDIT_ARCH of the machine; its numbers of connect, sendto, sendmsg, sendmmsg
_CALLS = {
    "x86_64": (0xC000003E, (42, 44, 46, 307)),
    "aarch64": (0xC00000B7, (203, 206, 211, 269)),
}
_PRELUDE = """
import ctypes, sys
class Instruction(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte),
                ("k", ctypes.c_uint)]
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("first", ctypes.POINTER(Instruction))]
arch, calls = {arch}, {calls}
load, equal, give = 0x20, 0x15, 0x06
steps = [(load, 0, 0, 4), (equal, 0, len(calls) + 1, arch), (load, 0, 0, 0)]
steps += [(equal, len(calls) - n, 0, call) for n, call in enumerate(calls)]
steps += [(give, 0, 0, 0x7FFF0000), (give, 0, 0, 0x80000000)]  # allow; kill the process
array = (Instruction * len(steps))(*steps)
prctl = ctypes.CDLL(None).prctl
filtered = prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
filtered = filtered and prctl(22, 2, ctypes.byref(Program(len(steps), array)), 0, 0) == 0
if not filtered:
    sys.exit({refused})
"""

KILLED = -31
"""Return code of a process that SIGSYS ended."""


def run_offline(code: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run Python code with an empty home folder and without a network."""
    if sys.platform != "linux" or platform.machine() not in _CALLS:
        pytest.skip("needs seccomp, on x86-64 or arm64")
    arch, calls = _CALLS[platform.machine()]
    home.mkdir()
    kept = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}
    done = subprocess.run(
        [sys.executable, "-c", _PRELUDE.format(arch=arch, calls=calls, refused=_REFUSED) + code],
        env=environment,
        cwd=home.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == _REFUSED:
        pytest.skip("this system does not let a process filter its system calls")
    return done


def left_in(home: Path) -> list[str]:
    """Files in the home folder, but for numba's cache of a package that cannot be written to."""
    files = (path.relative_to(home) for path in home.rglob("*") if not path.is_dir())
    return sorted(str(path) for path in files if "numba" not in path.parts)
