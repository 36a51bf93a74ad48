"""Images of every kind through the codec, held against a decoder written from the spec."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the tiny model is built with onnx")
import toderici_reference as reference

import toderici_building as building
from xraycodec import ModelError, OptionError, Toderici, XRay, compress, decompress, verify
from xraycodec.codecs.toderici import codec as codec_module
from xraycodec.codecs.toderici import tiles as tiles_module
from xraycodec.codecs.toderici.tiles import GROUP_PIXELS, groups
from xraycodec.container import parse

pytestmark = pytest.mark.usefixtures("tiny_model")

IMAGES = {
    "8 bits": (building.waves((70, 61)), Toderici(4, 32)),
    "one pixel": (XRay(np.array([[5]], np.uint8), 3), Toderici(2, 16)),
    "a row": (building.waves((1, 130), 12), Toderici(3, 64)),
    "a column": (building.waves((130, 1), 12), Toderici(3, 64)),
    "MONOCHROME1": (building.waves((40, 50), 12, "MONOCHROME1"), Toderici(5, 32)),
    "signed": (building.waves((40, 50), 10, signed=True), Toderici(5, 48)),
    "frames": (building.waves((3, 37, 33), 16), Toderici(6, 32)),
    "a deep image of few levels": (
        XRay(building.waves((30, 40)).pixels.astype(np.uint16) + 40_000, 16),
        Toderici(6, 512),
    ),
    "flat": (XRay(np.full((33, 20), 7, np.uint8), 8), Toderici(3, 16)),
    "one iteration": (building.waves((50, 50)), Toderici(1, 32)),
    "all iterations": (building.waves((20, 20), 12), Toderici(building.ITERATIONS, 16)),
}
ANY_IMAGE = pytest.mark.parametrize("name", IMAGES)


@ANY_IMAGE
def test_round_trip(name: str) -> None:
    image, codec = IMAGES[name]
    data = compress(image, codec)
    result = decompress(data)
    assert result.pixels.shape == image.pixels.shape
    assert result.signed == image.signed
    assert result.bits_stored == image.bits_stored
    assert result.photometric_interpretation == image.photometric_interpretation
    found = verify(data, original=image)
    assert (found.identical, found.exact, found.max_error) == (True, False, None)
    assert compress(image, codec) == data


@ANY_IMAGE
@pytest.mark.parametrize("layers", [1, 2, None])
def test_pixels_are_those_of_the_spec(name: str, layers: int | None) -> None:
    image, codec = IMAGES[name]
    layers = min(layers or codec.iterations, codec.iterations)
    container = parse(compress(image, codec))
    first = container.payloads[: layers * container.header.tile_count]
    found = Toderici.decode_prefix(container.header, container.parameters, first, 1)
    expected = reference.decode(compress(image, codec), layers)
    # Sums in another order where tiles are computed together: section 7.
    assert np.abs(found.astype(np.int64) - expected).max() <= 1


def test_the_header_and_the_layers() -> None:
    image = building.waves((70, 61), dicom=b"data set")
    container = parse(compress(image, Toderici(9, 32)))
    header = container.header
    assert (header.codec, header.layers, header.tile, header.tile_count) == ("TODE", 9, 32, 6)
    assert not header.exact
    assert header.max_error is None
    assert container.dicom == b"data set"
    assert len(container.payloads) == 54
    layers = sum(chunk.type == "DATA" for chunk in container.chunks)
    assert layers == 9


def test_a_prefix_of_layers_has_the_bytes_of_fewer_iterations() -> None:
    image = building.waves((70, 61))
    more, less = (list(parse(compress(image, Toderici(n, 32))).payloads) for n in (7, 3))
    assert more[: len(less)] == less


def test_errors_fall_with_iterations() -> None:
    image = building.waves((96, 80), 12)
    errors = [
        building.root_mean_square(image, decompress(compress(image, Toderici(n, 32))))
        for n in (1, 2, 3, 6, 9)
    ]
    assert all(after < 0.75 * before for before, after in itertools.pairwise(errors))
    assert errors[-1] < 0.02


def test_tiles_know_nothing_of_each_other() -> None:
    image = building.waves((64, 96), 12)
    changed = image.pixels.copy()
    changed[:32, 32:64] = 0
    changed[0, 32] = 4095
    codec = Toderici(4, 32)
    before, after = (decompress(compress(XRay(p, 12), codec)) for p in (image.pixels, changed))
    same = np.ones(image.pixels.shape, bool)
    same[:32, 32:64] = False
    np.testing.assert_array_equal(after.pixels[same], before.pixels[same])


@pytest.mark.parametrize("shape", [(1, 1), (1, 512, 513), (2, 70, 61), (3, 1025, 1600)])
@pytest.mark.parametrize("tile", [16, 48, 512])
def test_groups_hold_every_tile_once_and_are_bounded(shape: tuple[int, ...], tile: int) -> None:
    image = XRay(np.zeros(shape, np.uint8), 8)
    header = codec_module.header_for(image, "TODE", tile=tile, exact=False, max_error=None)
    covered = np.zeros(image.frames.shape, np.uint8)
    numbers = []
    for group in groups(header):
        down, across = group.grid
        pixels = len(group.tiles) * down * across * 256
        assert pixels <= GROUP_PIXELS or len(group.tiles) == 1
        for tile_of_group in group.tiles:
            area = covered[group.frame][tile_of_group.area]
            assert 16 * down - 16 < area.shape[0] <= 16 * down
            assert 16 * across - 16 < area.shape[1] <= 16 * across
            area += 1
            numbers.append(tile_of_group.number)
    assert (covered == 1).all()
    assert sorted(numbers) == list(range(header.tile_count))


def test_groups_of_any_size_give_the_same_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    image = building.waves((2, 70, 100), 12)
    data = compress(image, Toderici(4, 32))
    pixels = decompress(data).pixels.astype(np.int64)
    monkeypatch.setattr(tiles_module, "GROUP_PIXELS", 32 * 32)
    assert list(parse(compress(image, Toderici(4, 32))).payloads) == list(parse(data).payloads)
    assert np.abs(Toderici.decode(parse(data), 0) - pixels).max() <= 1


def test_progress_counts_tiles_once_a_layer() -> None:
    image = building.waves((70, 61))
    seen: list[tuple[int, int]] = []
    data = compress(image, Toderici(3, 32), progress=lambda *step: seen.append(step))
    assert seen[-1] == (18, 18)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    seen.clear()
    decompress(data, progress=lambda *step: seen.append(step))
    assert seen[-1] == (18, 18)


@pytest.mark.parametrize("iterations", [0, -1, 33])
def test_iterations_that_no_stream_has(iterations: int) -> None:
    with pytest.raises(OptionError, match=f"iterations {iterations}; toderici takes 1 to 32"):
        Toderici(iterations)


@pytest.mark.parametrize("tile", [0, -16, 8, 100, 528])
def test_tiles_that_no_stream_has(tile: int) -> None:
    with pytest.raises(OptionError, match=f"tile {tile}; toderici takes multiples of 16 from 16"):
        Toderici(tile=tile)


def test_more_iterations_than_the_model_has() -> None:
    with pytest.raises(OptionError, match="iterations 13; the model has 12 only"):
        compress(building.waves((20, 20)), Toderici(13))


def test_without_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec_module, "CONFIGURATION", "none")
    with pytest.raises(ModelError, match=r"no model pack toderici-none\.xrcpack in "):
        compress(building.waves((20, 20)), Toderici())


def test_the_defaults() -> None:
    assert Toderici() == Toderici(iterations=8, tile=256, threads=0)
    assert replace(Toderici(), iterations=3) == Toderici(3)
