"""Packs of a test in place of those that the package ships: no environment variable does it."""

from __future__ import annotations

from pathlib import Path

import pytest

from xraycodec.exact import pack


def stand_in(patch: pytest.MonkeyPatch, folder: Path, *names: str) -> None:
    """Let these names stand for packs of ``folder``; the caller clears what was loaded before."""
    patch.setenv(pack.SEARCH_PATH, str(folder))
    others = {name: digest for name, digest in pack.PINNED.items() if name not in names}
    patch.setattr(pack, "PINNED", others)
