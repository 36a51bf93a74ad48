"""The codec against a decoder in plain Python that was written from the specification."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import spec_reader
from wavelet_building import forget_models, noise, smooth, tiny_pack

from model_folders import stand_in
from xraycodec.codecs.wavelet import Wavelet, geometry
from xraycodec.codecs.wavelet.decoder import Decoder
from xraycodec.codecs.wavelet.level import MAX_REACH_BITS
from xraycodec.codecs.wavelet.model import model_by_name
from xraycodec.codecs.wavelet.parameters import Parameters
from xraycodec.codecs.wavelet.walk import walk
from xraycodec.container import parse
from xraycodec.exact.pack import find_pack
from xraycodec.image import XRay
from xraycodec.parts import decompress_part
from xraycodec.pipeline import compress, decompress
from xraycodec.prefix import decompress_prefix

pytestmark = pytest.mark.usefixtures("tiny_model")

FRAMES = XRay(np.stack([smooth(9, 10).pixels, smooth(9, 10).pixels // 3]), 8)
SHAPES = [(1, 1), (2, 2), (1, 3), (9, 1), (2, 5), (1, 300)]
DEEP = smooth(19, 14, 12)


@pytest.mark.parametrize(
    ("image", "codec"),
    [
        *((smooth(*shape), Wavelet(threads=1)) for shape in SHAPES),
        (smooth(17, 22), Wavelet(quality=80, threads=1)),
        (smooth(17, 22), Wavelet(quality=5, threads=1)),
        (smooth(15, 13, 16, signed=True), Wavelet(quality=100, threads=1)),
        (noise(12, 17, 16), Wavelet(quality=100, effort=1, threads=1)),
        (noise(13, 8, 1), Wavelet(effort=0, threads=1)),
        (FRAMES, Wavelet(effort=1, threads=1)),
        (XRay(np.full((5, 6), 77, np.uint8), 8), Wavelet(threads=1)),
    ],
    ids=lambda value: str(getattr(getattr(value, "pixels", value), "shape", "")),
)
@pytest.mark.parametrize("layers", [1, 4])
def test_the_specification_decodes_the_same_pixels(
    image: XRay, codec: Wavelet, layers: int, request: pytest.FixtureRequest
) -> None:
    if layers == 4:
        request.getfixturevalue("four_layers")
    data = compress(image, codec)
    container = parse(data)
    assert container.header.layers == layers
    pixels = spec_reader.decode(container, find_pack(container.header.model))
    np.testing.assert_array_equal(pixels, decompress(data, threads=1).frames)


def test_strips_are_those_of_the_specification(monkeypatch: pytest.MonkeyPatch) -> None:
    """With small strips, as real ones take images of a megapixel."""
    for level, cells in [(1, (256, 256)), (1, (257, 256)), (2, (300, 700)), (3, (70000, 1)),
                         (3, (1, 200000)), (4, (1000, 1000)), (9, (3, 1))]:  # fmt: skip
        expected = [(rows.start, rows.stop) for rows in spec_reader.strips_of(level, cells)]
        assert geometry.strips(level, cells) == expected
    monkeypatch.setattr(geometry, "_STRIP_CELLS", 6)
    monkeypatch.setattr("xraycodec.codecs.wavelet.areas.AREA_CELLS", 9)
    monkeypatch.setattr(
        spec_reader, "strips_of",
        lambda level, cells: [range(*strip) for strip in geometry.strips(level, cells)],
    )  # fmt: skip
    data = compress(DEEP, Wavelet(quality=90, threads=2))
    container = parse(data)
    pixels = spec_reader.decode(container, find_pack(container.header.model))
    for threads in (1, 2):
        np.testing.assert_array_equal(pixels, decompress(data, threads=threads).frames)


@pytest.mark.parametrize("effort", [0, 1])
@pytest.mark.parametrize("strips", [1, 2])
def test_blocks_are_those_of_the_specification(
    effort: int, strips: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Detail in one corner only, so that most blocks of level 1 are left out."""
    pixels = smooth(100, 72).pixels // 4 + 90
    pixels[:30, :30] = noise(30, 30, 8).pixels
    if strips == 2:
        monkeypatch.setattr(geometry, "_STRIP_CELLS", 400)
        monkeypatch.setattr(
            spec_reader, "strips_of",
            lambda level, cells: [range(*strip) for strip in geometry.strips(level, cells)],
        )  # fmt: skip
    data = compress(XRay(pixels, 8), Wavelet(step=30, effort=effort, threads=1))
    container = parse(data)
    assert Parameters.from_bytes(container.parameters).blocks
    assert container.header.layers == (1 if strips == 1 else 4)
    found = spec_reader.decode(container, find_pack(container.header.model))
    np.testing.assert_array_equal(found, decompress(data, threads=2).frames)


@pytest.mark.usefixtures("four_layers")
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_prefixes(layers: int) -> None:
    data = compress(DEEP, Wavelet(quality=80, threads=1))
    container = parse(data)
    pixels = spec_reader.decode(container, find_pack(container.header.model), layers)
    found = decompress_prefix(data, layers=layers, threads=1)
    np.testing.assert_array_equal(pixels, found.image.frames)


@pytest.mark.parametrize("image", [DEEP, smooth(3, 1), smooth(1, 1)], ids=lambda i: i.pixels.shape)
@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("layers", [1, 4])
def test_smaller_images(
    level: int, image: XRay, layers: int, request: pytest.FixtureRequest
) -> None:
    if layers == 4:
        request.getfixturevalue("four_layers")
    data = compress(image, Wavelet(quality=80, threads=1))
    container = parse(data)
    pixels = spec_reader.decode(container, find_pack(container.header.model), level=level)
    found = decompress_part(data, scale=1 << level, threads=1)
    np.testing.assert_array_equal(pixels, found.image.frames)


@pytest.mark.parametrize("seed", range(4))
def test_values_that_no_image_has(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise for streams, every number as large as it may be: still the specification's integers."""
    monkeypatch.setattr(Decoder, "end", lambda decoder: None)  # no noise ends as streams do
    rng = np.random.default_rng(seed)
    shape = [(1, 150), (140, 2), (9, 12), (3, 131)][seed]
    shapes = spec_reader.shapes_of(*shape)
    top = len(shapes) - 1
    ends = rng.choice([1 - 2**18, 2**18 - 1], shapes[top]).astype("<i4").tobytes()
    reaches = bytes([MAX_REACH_BITS])

    def stream() -> bytes:
        words = rng.integers(0, 2**32, 2000, np.uint32)
        return words.astype("<u4").tobytes()

    payloads = [ends + reaches * max(top - 3, 0) + stream() * (top > 3)]
    payloads += [reaches + stream() for _ in range(3)]
    model = model_by_name("wavelet", 1)
    found = walk(shape, model, Decoder(payloads, shapes, model, 0, 1))
    pack = find_pack(model.digest)
    expected = spec_reader.decode_frame(
        shape, payloads, spec_reader.Model.of(pack), to_the_end=False
    )
    np.testing.assert_array_equal(found, expected)
    assert np.abs(found).max() > 1 << 22


@pytest.mark.parametrize("sets", [1, 5])
def test_levels_are_served_by_as_many_sets_as_there_are(
    sets: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact_export = pytest.importorskip("xraycodec.training.exact_export", reason="needs onnx")
    pack = tiny_pack(exact_export.to_onnx, sets)
    (tmp_path / "wavelet.xrcpack").write_bytes(pack)
    stand_in(monkeypatch, tmp_path, "wavelet")
    forget_models()
    data = compress(smooth(70, 66), Wavelet(step=4, threads=1))
    container = parse(data)
    pixels = spec_reader.decode(container, find_pack(container.header.model))
    np.testing.assert_array_equal(pixels, decompress(data, threads=1).frames)
    forget_models()
