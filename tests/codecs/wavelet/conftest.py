"""A model that is small, fast and independent of the weights that the package ships."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import wavelet_building as building

from model_folders import stand_in


@pytest.fixture(scope="session")
def tiny_wavelet_pack() -> bytes:
    exact_export = pytest.importorskip("xraycodec.training.exact_export", reason="needs onnx")
    return building.tiny_pack(exact_export.to_onnx)


@pytest.fixture(scope="module")
def tiny_model(
    tiny_wavelet_pack: bytes, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """Folder of a tiny pack that `Wavelet` takes for its own."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "wavelet.xrcpack").write_bytes(tiny_wavelet_pack)
    with pytest.MonkeyPatch.context() as patch:
        stand_in(patch, folder, "wavelet")
        building.forget_models()
        yield folder
    building.forget_models()


@pytest.fixture
def four_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make small files like large ones."""
    monkeypatch.setattr("xraycodec.codecs.wavelet.codec._JOINED_BYTES", 0)
