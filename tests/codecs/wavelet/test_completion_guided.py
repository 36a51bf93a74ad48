"""Completions by a model that takes the base as a guide."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import numpy as np
import pytest
from wavelet_building import noise, smooth

sys.path.append(str(Path(__file__).parents[1] / "lattice"))
import lattice_building

from xraycodec.codecs.lattice import features, guided
from xraycodec.codecs.lattice.geometry import (
    EXTRAS,
    GUIDE_OFFSETS,
    PAD,
    PHASES,
    SETS,
    described_by,
    grid,
)
from xraycodec.codecs.lattice.model import (
    CODEC_ID,
    guided_model_by_digest,
    member_name,
    model_by_name,
)
from xraycodec.codecs.wavelet import Wavelet
from xraycodec.codecs.wavelet.completion_parameters import Kind
from xraycodec.codecs.wavelet.parameters import Parameters
from xraycodec.container import build, parse
from xraycodec.errors import FormatError, ModelError
from xraycodec.exact.pack import build_pack, named_pack
from xraycodec.image import XRay
from xraycodec.parts import decompress_part
from xraycodec.pipeline import compress, decompress

NAME = "tiny-guided"


@pytest.fixture(scope="module", autouse=True)
def guided_model(tiny_model: Path) -> None:
    to_onnx = pytest.importorskip("xraycodec.training.exact_export", reason="needs onnx").to_onnx
    rng = np.random.default_rng(4)
    members = {
        member_name(number, index): to_onnx(
            lattice_building.phase_graph(rng, described_by(phase, guided=True) - EXTRAS)
        )
        for number in range(SETS)
        for index, phase in enumerate(PHASES)
    }
    coefficients = [
        [[c - 20 * (k < 4) for k, c in enumerate(own)] + [60, 20, 0, 5, 0, 0, -5] + 2 * [0]
         for own in phases]
        for phases in lattice_building.COEFFICIENTS
    ]  # fmt: skip
    facts = lattice_building.properties(coefficients=coefficients, guided=True)
    (tiny_model / f"{NAME}.xrcpack").write_bytes(build_pack(NAME, CODEC_ID, facts, members))
    lattice_building.forget_models()


def codec(max_error: int = 0, **more: float) -> Wavelet:
    return Wavelet(max_error=max_error, completion_model=NAME, threads=1, **more)  # type: ignore[arg-type]


def check(image: XRay, chosen: Wavelet | None = None) -> bytes:
    chosen = chosen or codec()
    assert chosen.max_error is not None
    data = compress(image, chosen)
    found = decompress(data, threads=1)
    assert np.abs(found.frames.astype(np.int64) - image.frames).max() <= chosen.max_error
    completion = Parameters.from_bytes(bytes(parse(data).parameters)).completion
    assert completion is not None
    assert completion.kind is Kind.GUIDED
    return data


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 2), (33, 31), (6, 1025)])
@pytest.mark.parametrize("max_error", [0, 1, 4])
def test_sizes(shape: tuple[int, int], max_error: int) -> None:
    check(smooth(*shape, 12), codec(max_error))


@pytest.mark.parametrize("bits", [1, 7, 8, 11, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_depths(bits: int, signed: bool) -> None:
    for quality in (0, 60):
        check(smooth(17, 21, bits, signed=signed), codec(quality=quality))


@pytest.mark.parametrize("quality", [0, 90])
def test_noise(quality: float) -> None:
    check(noise(30, 41, 16), codec(quality=quality))
    check(noise(30, 41, 16), codec(40, quality=quality))


def test_values_that_do_not_occur() -> None:
    few = XRay(smooth(80, 90, 4).pixels.astype(np.uint16) * 811 + 7, 16)
    completion = Parameters.from_bytes(bytes(parse(check(few)).parameters)).completion
    assert completion is not None
    assert completion.levels.values is not None


def test_coefficients_of_its_own() -> None:
    completion = Parameters.from_bytes(bytes(parse(check(smooth(190, 180))).parameters)).completion
    assert completion is not None
    assert completion.levels.coefficients is not None
    sizes = [len(values) for values in completion.levels.coefficients[0]]
    assert sizes == [phase.neighbours + len(GUIDE_OFFSETS) for phase in PHASES]


def test_frames_and_regions() -> None:
    frames = np.stack([smooth(20, 530, 12).pixels // k for k in (1, 3)])
    data = check(XRay(frames, 12))
    part = decompress_part(data, region=(3, 505, 12, 20), threads=1)
    np.testing.assert_array_equal(part.image.pixels, frames[:, 3:15, 505:525])


def test_any_flipped_bit_of_a_payload_is_found_or_harmless() -> None:
    image = smooth(9, 13)
    container = parse(check(image))
    whole = [bytes(payload) for payload in container.payloads]
    for number, payload in enumerate(whole):
        for place in range(len(payload)):
            flipped = bytearray(payload)
            flipped[place] ^= 1 << place * 5 % 8
            changed = [*whole[:number], bytes(flipped), *whole[number + 1 :]]
            broken = build(container.header, container.parameters, changed, container.pixel_hash)
            with contextlib.suppress(FormatError):  # else next to nothing has changed of the base
                np.testing.assert_array_equal(decompress(broken, threads=1).pixels, image.pixels)


def test_models_with_and_without_a_guide_are_not_mixed_up() -> None:
    with pytest.raises(ModelError, match=r"takes a guide; the stream has none"):
        model_by_name(NAME, 1)
    with pytest.raises(ModelError, match=r"takes no guide; the stream has one"):
        guided_model_by_digest(named_pack("lattice-fast").digest, 1)
    data = bytearray(bytes(parse(check(smooth(9, 9))).parameters))
    data[14] = Kind.DIFFERENCE
    container = parse(check(smooth(9, 9)))
    mixed = build(container.header, bytes(data), container.payloads, container.pixel_hash)
    with pytest.raises(ModelError, match=r"takes a guide; the stream has none"):
        decompress(mixed, threads=1)


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("index", range(len(PHASES)))
def test_features_are_those_of_the_spec(level: int, index: int) -> None:
    phase = PHASES[index]
    rng = np.random.default_rng(level)
    image = rng.integers(0, 200, (37, 46)).astype(np.int32)
    guide = np.clip(image + rng.integers(-9, 10, image.shape), 0, 255).astype(np.int32)
    own = image[:: 1 << level, :: 1 << level]
    plane, sampled = features.pad(own), features.pad(guide[:: 1 << level, :: 1 << level])
    height, width = grid(*own.shape)
    count = described_by(phase, guided=True)
    coefficients = rng.integers(-20, 21, phase.neighbours + len(GUIDE_OFFSETS))
    coefficients[0] += 128 - coefficients.sum()
    x = np.empty((count, height, width), np.uint8)
    predictions, scales = np.empty((height, width), np.int32), np.empty((height, width), np.uint8)
    guided.describe_guided(
        plane, guide, sampled, level, phase.row, phase.column, phase.offsets, GUIDE_OFFSETS,
        coefficients, 3, 255, x, predictions, scales,
    )  # fmt: skip
    for i, j in [(0, 0), (height - 1, width - 1), (height // 2, width // 3)]:
        row, column = phase.row + 2 * i, phase.column + 2 * j
        y = [int(plane[PAD + row + a, PAD + column + b]) for a, b in phase.offsets]
        b_near = [int(sampled[PAD + row + a, PAD + column + b]) for a, b in phase.offsets]
        b_here = int(sampled[PAD + row, PAD + column])
        around = [
            int(guide[min(max((row << level) + a, 0), 36), min(max((column << level) + b, 0), 45)])
            for a, b in GUIDE_OFFSETS
        ]
        total = sum(int(c) * v for c, v in zip(coefficients, y + around, strict=True))
        prediction = min(max(2 * total, 0), 256 * 255)
        e = [256 * v - prediction for v in y]
        d = [256 * (v - b) - (prediction - 256 * b_here) for v, b in zip(y, b_near, strict=True)]
        g = [256 * v - prediction for v in around]
        activity = max(min(sum(map(abs, e[:12])), sum(map(abs, d[:12]))), 768 * 3)
        top = activity.bit_length() - 1
        scale = 4 * top + (activity >> (top - 2)) - 4
        inverse = (3072 << 32) // ((9 + 2 * (scale % 4)) << (scale // 4))
        expected = [
            128 + min(max((v * inverse + (1 << 31)) >> 32, -128), 127) for v in (*e, *d, *g)
        ]
        least = (768 * 3).bit_length() - 1
        floor = 4 * least + ((768 * 3) >> (least - 2)) - 4
        expected += [
            min(6 * (scale - floor), 255),
            min((prediction * inverse + (1 << 31)) >> 32, 255),
            min(((256 * 255 - prediction) * inverse + (1 << 31)) >> 32, 255),
        ]
        assert (int(predictions[i, j]), int(scales[i, j])) == (prediction, scale)
        assert x[:, i, j].tolist() == expected
