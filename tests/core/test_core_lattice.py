"""Tiles in the native core are those of the walk in Python, to the byte."""

from __future__ import annotations

import numpy as np
import pytest

from xraycodec.codecs.lattice.coder import CODED, PLAIN, Decoder, Encoder
from xraycodec.codecs.lattice.geometry import PAD
from xraycodec.codecs.lattice.model import Model, model_by_name
from xraycodec.codecs.lattice.walk import Setting, tile_planes, walk
from xraycodec.core.lattice import TileCoder
from xraycodec.errors import FormatError, LimitError

SHAPES = [(1, 1), (1, 9), (9, 1), (2, 2), (3, 5), (8, 8), (17, 33), (64, 41)]
LEVELS = [(1, 1), (255, 1), (255, 5), (4095, 1), (65535, 1), (65535, 131071), (300, 7)]


@pytest.fixture(params=["lattice-best", "lattice-fast"])
def model(request: pytest.FixtureRequest) -> Model:
    return model_by_name(request.param, 1)


def image(shape: tuple[int, int], peak: int, seed: int) -> np.ndarray:
    """Smooth with noise and a few wild pixels, every level from 0 to the peak allowed."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices(shape)
    wave = 0.5 + 0.4 * np.sin(rows / 7 + seed) * np.cos(columns / 5)
    noise = rng.normal(0, rng.choice([0.001, 0.02, 0.5]), shape)
    levels = np.rint((wave + noise) * peak).clip(0, peak)
    wild = rng.random(shape) < 0.02
    levels[wild] = rng.choice([0, peak], wild.sum())
    return levels.astype(np.int32)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("peak", "step"), LEVELS, ids=str)
def test_the_same_payloads_and_levels(
    model: Model, shape: tuple[int, int], peak: int, step: int
) -> None:
    tile = image(shape, peak, seed=peak + step)
    setting = Setting(model, model.coefficients, step, peak)
    encoder = Encoder(tile_planes(tile), setting)
    known = walk(shape, setting, encoder)[PAD:-PAD, PAD:-PAD]
    native = model.native
    assert native is not None
    coder = TileCoder(native, model.coefficients, step, peak)
    payloads, found = coder.encode(tile)
    assert payloads == encoder.payloads()
    np.testing.assert_array_equal(found, known)
    assert np.abs(found.astype(int) - tile).max() <= step // 2
    for last in range(4):
        part = coder.decode(payloads[: 4 - last], shape, last, "tile")
        np.testing.assert_array_equal(part, known[:: 1 << last, :: 1 << last])


def test_noise_is_stored_as_plain_bits(model: Model) -> None:
    tile = np.random.default_rng(0).integers(0, 256, (40, 40)).astype(np.int32)
    native = model.native
    assert native is not None
    coder = TileCoder(native, model.coefficients, 3, 255)
    payloads, found = coder.encode(tile)
    assert {payload[0] for payload in payloads} <= {CODED, PLAIN}
    assert np.abs(found.astype(int) - tile).max() <= 1
    np.testing.assert_array_equal(coder.decode(payloads, (40, 40), 0, "tile"), found)


def test_damage_is_found_where_the_walk_in_python_finds_it() -> None:
    """Any byte changed: both give the same kind of error, or the same levels."""
    model = model_by_name("lattice-fast", 1)
    tile = image((19, 23), 255, 1)
    setting = Setting(model, model.coefficients, 1, 255)
    native = model.native
    assert native is not None
    coder = TileCoder(native, model.coefficients, 1, 255)
    payloads, _ = coder.encode(tile)
    rng = np.random.default_rng(0)
    for layer, payload in enumerate(payloads):
        for place in range(0, len(payload), 3):
            changed = list(payloads)
            damaged = bytearray(payload)
            damaged[place] ^= int(rng.integers(1, 256))
            changed[layer] = bytes(damaged)
            outcomes = []
            for decode in (_decode_native, _decode_in_python):
                try:
                    outcomes.append(decode(coder, setting, changed, tile.shape).tolist())
                except FormatError as error:
                    outcomes.append(str(error))
            assert outcomes[0] == outcomes[1]


def _decode_native(
    coder: TileCoder, setting: Setting, payloads: list[bytes], shape: tuple[int, int]
) -> np.ndarray:
    return coder.decode(payloads, shape, 0, "LTTC tile 0")


def _decode_in_python(
    coder: TileCoder, setting: Setting, payloads: list[bytes], shape: tuple[int, int]
) -> np.ndarray:
    decoder = Decoder(payloads, setting, 0)
    plane = walk(shape, setting, decoder)
    decoder.end()
    return plane[PAD:-PAD, PAD:-PAD]


def test_models_that_do_not_fit_are_refused() -> None:
    """Sizes are checked in the core as well: nothing is written beyond what they allow."""
    native = model_by_name("lattice-fast", 1).native
    assert native is not None
    native._model.channels[0] += 8
    try:
        with pytest.raises(LimitError, match="beyond the core's limits"):
            native.scratch(64, 64)
    finally:
        native._model.channels[0] -= 8
    assert len(native.scratch(64, 64))
