"""A model that is tiny and independent of the weights that the package ships."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnx", reason="the tiny model is built with onnx")
    import toderici_building as building

    folder = tmp_path_factory.mktemp("toderici-models")
    (folder / f"{building.NAME}.xrcpack").write_bytes(building.tiny_pack())
    return folder


@pytest.fixture(scope="module")
def tiny_model(tiny_folder: Path) -> Iterator[Path]:
    """Folder of a tiny pack that `Toderici` takes for its own."""
    import toderici_building as building

    with building.models_in(tiny_folder):
        yield tiny_folder
