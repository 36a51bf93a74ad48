"""The model that the package ships, real radiographs, and every backend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import spec_reader
from wavelet_building import forget_models, psnr, smooth

import xraycodec
from model_folders import stand_in
from xraycodec import read
from xraycodec.codecs.wavelet import Wavelet
from xraycodec.container import parse
from xraycodec.exact.pack import find_pack
from xraycodec.exact.runtime import BACKEND_VARIABLE, BACKENDS, DEVICE_VARIABLE
from xraycodec.image import XRay
from xraycodec.pipeline import compress, decompress, verify

SHIPPED = Path(xraycodec.__file__).parent / "models" / "wavelet.xrcpack"
needs_model = pytest.mark.skipif(
    not SHIPPED.exists(), reason=f"the package has no {SHIPPED.name} yet"
)


@pytest.fixture(autouse=True)
def fresh_models() -> Iterator[None]:
    forget_models()
    yield
    forget_models()


@needs_model
@pytest.mark.parametrize("bits", [8, 14])
def test_the_package_has_a_model(bits: int) -> None:
    image = smooth(70, 90, bits)
    data = compress(image, Wavelet(threads=1))
    assert find_pack(parse(data).header.model).name == "wavelet"
    assert psnr(image, decompress(data, threads=1)) > 39
    assert verify(data, threads=1).identical


@needs_model
@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("wavelet-1", "c7694d4513c6d63451701466dabc5b43ea203012b8757deebabc1b7e881b7ae1"),
        ("wavelet-2", "cedaafd5418300bcbe2551128a12e615d5fed8bff0dc51eaa429fb6a659dfae9"),
        ("wavelet-3", "a4effd6767001001079f9534a98a6e03349ee7742add8dded0fbcfcedd827950"),
    ],
)
def test_files_of_earlier_models_are_read(name: str, digest: str) -> None:
    image = smooth(70, 90)
    data = compress(image, Wavelet(model=name, threads=1))
    assert parse(data).header.model.hex() == digest
    assert verify(data, threads=1).identical


@needs_model
def test_the_specification_decodes_the_model_of_the_package() -> None:
    data = compress(smooth(21, 18), Wavelet(quality=70, threads=1))
    container = parse(data)
    pixels = spec_reader.decode(container, find_pack(container.header.model))
    np.testing.assert_array_equal(pixels, decompress(data, threads=1).frames)


@needs_model
@pytest.mark.parametrize("folder", ["deep", "nih-cxr8/test"])
def test_radiographs(data_dir: Path, folder: str) -> None:
    """Crops at the ratio that a guideline allows: what is lost stays small."""
    paths = sorted(p for p in (data_dir / folder).iterdir() if p.suffix in (".dcm", ".jxl"))
    for path in (paths[1], paths[len(paths) // 2], paths[-1]):
        whole = read(path)
        pixels = whole.frames[0][200:456, 100:356]
        image = XRay(pixels, whole.bits_stored, whole.photometric_interpretation)
        data = compress(image, Wavelet(preset="radiograph-drg", threads=1))
        assert len(data) <= image.size_bytes / 10
        assert psnr(image, decompress(data, threads=1)) > 36


@pytest.mark.parametrize("model", ["tiny", pytest.param("packaged", marks=needs_model)])
def test_every_backend_gives_the_same_bytes(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    pytest.importorskip("torch")
    if model == "tiny":
        (tmp_path / "wavelet.xrcpack").write_bytes(request.getfixturevalue("tiny_wavelet_pack"))
        stand_in(monkeypatch, tmp_path, "wavelet")
    monkeypatch.setenv(DEVICE_VARIABLE, "cpu")
    image = smooth(27, 38, 12)
    streams, decoded = {}, {}
    for backend in BACKENDS:
        monkeypatch.setenv(BACKEND_VARIABLE, backend)
        forget_models()
        streams[backend] = compress(image, Wavelet(effort=1, threads=1))
        decoded[backend] = decompress(streams["onnxruntime"], threads=1).pixels
    assert set(streams) == {"onnxruntime", "core", "reference", "torch"}
    assert len(set(streams.values())) == 1
    for pixels in decoded.values():
        np.testing.assert_array_equal(pixels, decoded["onnxruntime"])
