"""The model that the package ships, real radiographs, and every backend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from lattice_building import forget_models, smooth

from model_folders import stand_in
from xraycodec import read
from xraycodec.codecs.lattice import Lattice, features
from xraycodec.container import parse
from xraycodec.entropy import mixture_kernels
from xraycodec.exact.pack import find_pack
from xraycodec.exact.runtime import BACKEND_VARIABLE, BACKENDS, DEVICE_VARIABLE
from xraycodec.image import XRay
from xraycodec.pipeline import compress, decompress, verify


@pytest.fixture(autouse=True)
def fresh_models() -> Iterator[None]:
    forget_models()
    yield
    forget_models()


@pytest.mark.parametrize("max_error", [0, 1])
@pytest.mark.parametrize("bits", [8, 14])
def test_the_package_has_a_model(bits: int, max_error: int) -> None:
    image = smooth(70, 90, bits)
    data = compress(image, Lattice(max_error=max_error, threads=1))
    assert find_pack(parse(data).header.model).name == "lattice-best"
    error = np.abs(decompress(data, threads=1).pixels.astype(int) - image.pixels)
    assert error.max() <= max_error
    assert verify(data, threads=1).identical


@pytest.mark.parametrize("max_error", [0, 2])
@pytest.mark.parametrize("folder", ["deep", "nih-cxr8/test"])
def test_radiographs(data_dir: Path, folder: str, max_error: int) -> None:
    """Crops: the benchmark takes all of all images there and back."""
    paths = sorted(p for p in (data_dir / folder).iterdir() if p.suffix in (".dcm", ".jxl"))
    for path in (paths[1], paths[len(paths) // 2], paths[-1]):
        whole = read(path)
        pixels = whole.frames[0][200:350, 100:260]
        image = XRay(pixels, whole.bits_stored, whole.photometric_interpretation)
        data = compress(image, Lattice(max_error=max_error, tile=64, threads=1))
        assert len(data) < image.size_bytes
        result = decompress(data, threads=1)
        assert np.abs(result.pixels.astype(int) - pixels).max() <= max_error
        assert result.photometric_interpretation == image.photometric_interpretation


@pytest.mark.parametrize("model", ["tiny", "packaged"])
def test_every_backend_gives_the_same_bytes(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    pytest.importorskip("torch")
    if model == "tiny":
        (tmp_path / "lattice-best.xrcpack").write_bytes(request.getfixturevalue("tiny_pack"))
        stand_in(monkeypatch, tmp_path, "lattice-best")
    monkeypatch.setenv(DEVICE_VARIABLE, "cpu")
    image = smooth(27, 38, 12)
    streams = {}
    for backend in BACKENDS:
        monkeypatch.setenv(BACKEND_VARIABLE, backend)
        forget_models()
        streams[backend] = compress(image, Lattice(threads=1))
        np.testing.assert_array_equal(
            decompress(streams["onnxruntime"], threads=1).pixels, image.pixels
        )
    assert set(streams) == {"onnxruntime", "core", "reference", "torch"}
    assert len(set(streams.values())) == 1


def test_kernels_are_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoder and decoder, and every kind of image, pass one set of types."""
    monkeypatch.setenv(BACKEND_VARIABLE, "onnxruntime")
    for image, max_error in ((smooth(190, 180), 0), (smooth(30, 33, 16, signed=True), 3)):
        decompress(compress(image, Lattice(max_error=max_error, threads=1)), threads=1)
    for kernel in (
        features.describe,
        features.reflect,
        mixture_kernels.encode_phase,
        mixture_kernels.decode_phase,
        mixture_kernels.push_all,
    ):
        assert len(kernel.signatures) == 1  # type: ignore[attr-defined]
