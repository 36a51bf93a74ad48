"""Damaged files with a completion end in a typed error or in the exact image."""

from __future__ import annotations

import contextlib
import struct
from dataclasses import replace

import numpy as np
import pytest
from wavelet_building import smooth

import xrc_editing as edit
from stream_damage import (
    flipped,
    flipped_chunks,
    flipped_payloads,
    payloads,
    resized_payloads,
    with_payloads,
)
from xraycodec.codecs.wavelet import Wavelet
from xraycodec.codecs.wavelet.geometry import LAYERS
from xraycodec.container import build, parse
from xraycodec.errors import (
    CorruptError,
    FormatError,
    LimitError,
    ModelError,
    UnsupportedFormatError,
    XrayCodecError,
)
from xraycodec.image import XRay
from xraycodec.pipeline import compress, decompress
from xraycodec.prefix import decompress_prefix

pytestmark = pytest.mark.usefixtures("tiny_model")

FRONT = 14
"""Bytes of PARM before those of the completion."""
IMAGES = {
    "8 bits": (smooth(9, 13), 0),
    "near-lossless, signed": (smooth(6, 14, 12, signed=True), 2),
}


def codec(max_error: int) -> Wavelet:
    return Wavelet(quality=30, max_error=max_error, profile="fast", threads=1)


@pytest.fixture(scope="module", params=IMAGES)
def sound(request: pytest.FixtureRequest, tiny_model: object) -> tuple[bytes, np.ndarray]:
    image, max_error = IMAGES[request.param]
    data = compress(image, codec(max_error))
    return data, decompress(data, threads=1).pixels


@pytest.fixture(scope="module")
def data(tiny_model: object) -> bytes:
    return compress(IMAGES["8 bits"][0], codec(0))


def with_parameters(data: bytes, parameters: bytes) -> bytes:
    return edit.with_payload(data, b"PARM", parameters)


def refused(data: bytes, error: type[XrayCodecError], match: str) -> None:
    with pytest.raises(error, match=match):
        decompress(data, threads=1)


def test_any_flipped_bit_is_found(sound: tuple[bytes, np.ndarray]) -> None:
    for place in range(0, len(sound[0]), 2):
        with pytest.raises(FormatError):
            decompress(flipped(sound[0], place), threads=1)


def test_any_cut_is_found(sound: tuple[bytes, np.ndarray]) -> None:
    for size in range(0, len(sound[0]), 3):
        with pytest.raises(FormatError):
            decompress(sound[0][:size], threads=1)
        with contextlib.suppress(FormatError):  # where it is not cut too early
            found = decompress_prefix(sound[0][:size], threads=1)
            assert found.image.pixels.shape == sound[1].shape


def test_any_flipped_bit_of_a_payload_is_found_or_harmless_without_checksums(
    sound: tuple[bytes, np.ndarray],
) -> None:
    harmless = 0
    for changed in flipped_payloads(sound[0]):
        # Differences beyond the range of the image are clipped, and a base may hardly change.
        with contextlib.suppress(FormatError):
            np.testing.assert_array_equal(decompress(changed, threads=1).pixels, sound[1])
            harmless += 1
    assert harmless < 4


def test_payloads_of_other_sizes_are_found_without_checksums(
    sound: tuple[bytes, np.ndarray],
) -> None:
    for changed in resized_payloads(sound[0]):
        with pytest.raises(FormatError):
            decompress(changed, threads=1)


@pytest.mark.parametrize("chunk", [b"PARM", b"HEAD"])
def test_other_chunks_without_checksums(sound: tuple[bytes, np.ndarray], chunk: bytes) -> None:
    """Nothing authenticates them: what is not refused has to be the same pixels."""
    for changed in flipped_chunks(sound[0], chunk, range(0, 8, 3)):
        with contextlib.suppress(FormatError, LimitError, ModelError):
            found = decompress(changed, threads=1)
            np.testing.assert_array_equal(found.pixels, sound[1])


class TestRules:
    """One test for each rule of spec/wavelet-completion.md."""

    @pytest.mark.parametrize("tile", [0, 8, 56, 68, 4104, 1 << 20])
    def test_tile(self, data: bytes, tile: int) -> None:
        container = parse(data)
        header = replace(container.header, tile=tile)
        other = build(
            header, container.parameters, [b""] * header.payload_count, container.pixel_hash
        )
        refused(other, CorruptError, f"64 to 4096, multiples of 8; HEAD says {tile}")

    @pytest.mark.parametrize("fields", [{"flags": 0, "max_error": 5}, {"max_error": 2**32 - 1}])
    def test_guarantees(self, data: bytes, fields: dict[str, int]) -> None:
        refused(edit.with_head(data, **fields), CorruptError, "are exact with a maximum error")

    def test_layers_and_parameters_that_disagree(self, data: bytes) -> None:
        parameters = bytes(parse(data).parameters)
        plain = parameters[:1] + b"\0" + parameters[2:FRONT]
        refused(with_parameters(data, plain), CorruptError, "lack a completion; HEAD says 8")
        base = compress(IMAGES["8 bits"][0], Wavelet(quality=30, threads=1))
        refused(with_parameters(base, parameters), CorruptError, "have a completion; HEAD says 1")

    @pytest.mark.parametrize("layers", [3, 5, 7, 9, 12])
    def test_other_numbers_of_layers(self, data: bytes, layers: int) -> None:
        container = parse(data)
        header = replace(container.header, layers=layers)
        other = build(header, container.parameters, [b""] * layers, container.pixel_hash)
        refused(
            other, CorruptError, f"WAVE has 4 layers, .* or 8 with a completion; HEAD says {layers}"
        )

    @pytest.mark.parametrize("size", [0, 1, 32])
    def test_parameters_that_end_early(self, data: bytes, size: int) -> None:
        parameters = bytes(parse(data).parameters)[: FRONT + size]
        refused(
            with_parameters(data, parameters),
            CorruptError,
            f"{size} bytes of a completion; at least 33 belong",
        )

    def test_bytes_without_a_flag(self, data: bytes) -> None:
        parameters = bytes(parse(data).parameters)
        changed = parameters[:1] + b"\0" + parameters[2:]
        refused(with_parameters(data, changed), CorruptError, "bytes too many")

    def test_kind(self, data: bytes) -> None:
        parameters = bytearray(parse(data).parameters)
        parameters[FRONT] = 9
        refused(with_parameters(data, bytes(parameters)), UnsupportedFormatError, "kind 9; known")

    def test_model(self, data: bytes) -> None:
        parameters = bytearray(parse(data).parameters)
        parameters[FRONT + 1 : FRONT + 33] = bytes(range(32))
        refused(with_parameters(data, bytes(parameters)), ModelError, "no model pack 000102")
        base = decompress_prefix(with_parameters(data, bytes(parameters)), layers=4, threads=1)
        assert base.layers == 4  # which does not need it

    @pytest.mark.parametrize(
        ("lowest", "peak"), [(-256, 10), (250, 10), (-255, 511), (2**31 - 1, 1), (-(2**31), 1)]
    )
    def test_levels_beyond_the_bits_stored(self, data: bytes, lowest: int, peak: int) -> None:
        front = bytes(parse(data).parameters)[: FRONT + 33]
        changed = front + struct.pack("<BBHi", 1, 0, peak, lowest)
        refused(with_parameters(data, changed), CorruptError, "bits stored allow -255 to 255")
        image = bytearray(changed)
        image[FRONT] = 0
        refused(with_parameters(data, bytes(image)), CorruptError, "bits stored allow 0 to 255")

    def test_a_map_with_a_maximum_error(self) -> None:
        few = XRay(smooth(80, 90, 4).pixels.astype(np.uint16) * 811 + 7, 16)
        data = compress(few, Wavelet(step=65535, max_error=0, profile="fast", threads=1))
        refused(edit.with_head(data, max_error=1), CorruptError, "maps levels only without loss")

    def test_a_base_that_lies_elsewhere(self) -> None:
        data = compress(smooth(514, 5), codec(0))
        changed = payloads(data)
        for layer in range(LAYERS):
            moved = list(changed)
            moved[2 * layer + 1] = moved[2 * layer]
            refused(
                with_payloads(data, moved),
                CorruptError,
                f"layer {layer} has a payload of .* tile 1",
            )
