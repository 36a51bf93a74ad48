"""Hatch's build hook: compiles ``core/`` into the library that ``xraycodec.core`` loads.

The machine's C compiler does it, or the one in the ``ziglang`` wheel where there is none.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_FLAGS = ("-std=c11", "-O3", "-s", "-fPIC", "-shared", "-Wall", "-Wextra")
_NAMES = {"win32": "xrc_core.dll", "darwin": "libxrc_core.dylib"}


def _compiler() -> list[str] | None:
    """The compiler that ``CC`` names, or the machine's, if it can make a program."""
    for command in filter(None, (os.environ.get("CC"), "cc", "gcc", "clang")):
        found = shlex.split(command)
        if shutil.which(found[0]):
            return found
    return None


class CoreBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Builds the native core for wheels, editable ones too; a source archive carries the source."""

    def dependencies(self) -> list[str]:
        return [] if self.target_name != "wheel" or _compiler() else ["ziglang>=0.13"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        library = root / "src/xraycodec/core" / _NAMES.get(sys.platform, "libxrc_core.so")
        compiler = _compiler() or [sys.executable, "-m", "ziglang", "cc"]
        sources = sorted(map(str, (root / "core").glob("*.c")))
        # A library that is in use is replaced, never rewritten.
        partial = library.with_name(f".{library.name}.{os.getpid()}")
        try:
            with TemporaryDirectory() as cache:  # zig's, which would lie in HOME
                folders = dict.fromkeys(("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"), cache)
                command = [*compiler, *_FLAGS, "-o", str(partial), *sources]
                subprocess.run(command, check=True, env={**os.environ, **folders})  # noqa: S603
            partial.replace(library)
        finally:
            partial.unlink(missing_ok=True)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{_platform()}"
        if version != "editable":
            build_data["artifacts"].append(str(library.relative_to(root)))


def _platform() -> str:
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")
