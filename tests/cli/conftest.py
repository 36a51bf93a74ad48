"""Small inputs for the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_running import radiograph, run, write_image


@pytest.fixture
def png(tmp_path: Path) -> Path:
    return write_image(tmp_path / "chest.png", radiograph(), "png")


@pytest.fixture
def stored(png: Path) -> Path:
    """A sound ``chest.png.xrc``, losslessly, and nothing else in its folder."""
    assert run("compress", "--codec", "stored", png).code == 0
    png.unlink()
    return png.with_name("chest.png.xrc")


@pytest.fixture
def damaged(stored: Path) -> Path:
    """The same with one byte of the pixels' data changed."""
    data = bytearray(stored.read_bytes())
    data[data.index(b"DATA") + 20] ^= 0xFF
    stored.write_bytes(data)
    return stored
