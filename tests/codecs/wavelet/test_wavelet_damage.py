"""Damaged streams end in a typed error or in the encoder's image, never in other pixels."""

from __future__ import annotations

import contextlib
import struct
from dataclasses import replace

import numpy as np
import pytest
from wavelet_building import noise, smooth

import xrc_editing as edit
from stream_damage import (
    flipped,
    flipped_chunks,
    flipped_payloads,
    payloads,
    resized_payloads,
    with_payloads,
)
from xraycodec.codecs.wavelet import Wavelet, geometry
from xraycodec.codecs.wavelet.level import MAX_REACH_BITS
from xraycodec.codecs.wavelet.parameters import Parameters
from xraycodec.container import build, parse
from xraycodec.errors import (
    CorruptError,
    FormatError,
    LimitError,
    ModelError,
    TruncatedError,
    XrayCodecError,
)
from xraycodec.image import XRay
from xraycodec.limits import Limits
from xraycodec.pipeline import compress, decompress

pytestmark = pytest.mark.usefixtures("tiny_model")

FLIPS = 60
CORNER = XRay(np.full((90, 70), 90, np.uint8), 8)
CORNER.pixels[:20, :20] = smooth(20, 20).pixels
IMAGES = {
    "one layer": (smooth(19, 23), 1),
    "four layers": (smooth(20, 21, 12, signed=True), 4),
    "frames": (XRay(np.stack([smooth(9, 6).pixels, 255 - smooth(9, 6).pixels]), 8), 4),
    "blocks": (CORNER, 1),
}


@pytest.fixture(params=IMAGES)
def sound(request: pytest.FixtureRequest) -> tuple[bytes, np.ndarray]:
    image, layers = IMAGES[request.param]
    if layers == 4:
        request.getfixturevalue("four_layers")
    data = compress(image, Wavelet(quality=70, threads=1))
    assert parse(data).header.layers == layers
    return data, decompress(data, threads=1).pixels


@pytest.fixture
def data(four_layers: None) -> bytes:
    return compress(IMAGES["one layer"][0], Wavelet(quality=70, threads=1))


def places(size: int, seed: int) -> list[int]:
    """All of a short payload; of a longer one its front and others drawn once and for all."""
    drawn = np.random.default_rng(seed).permutation(size)[:FLIPS]
    return sorted({*range(min(size, 16)), *drawn.tolist()})


def test_any_flipped_bit_is_found(sound: tuple[bytes, np.ndarray]) -> None:
    for place in range(len(sound[0])):
        with pytest.raises(FormatError):
            decompress(flipped(sound[0], place), threads=1)


def test_any_cut_is_found(sound: tuple[bytes, np.ndarray]) -> None:
    for size in range(len(sound[0])):
        with pytest.raises(FormatError):
            decompress(sound[0][:size], threads=1)


def test_flipped_bits_of_payloads_are_found_without_checksums(
    sound: tuple[bytes, np.ndarray],
) -> None:
    for changed in flipped_payloads(sound[0], places):
        with contextlib.suppress(FormatError):
            found = decompress(changed, threads=1)
            # A larger last low-pass value may vanish where pixels are clipped to their range.
            np.testing.assert_array_equal(found.pixels, sound[1])


def test_payloads_of_other_sizes_are_found_without_checksums(
    sound: tuple[bytes, np.ndarray],
) -> None:
    for changed in resized_payloads(sound[0]):
        with pytest.raises(FormatError):
            decompress(changed, threads=1)


@pytest.mark.parametrize("name", ["four layers", "frames"])
def test_payloads_in_another_order_are_found_without_checksums(
    name: str, four_layers: None
) -> None:
    data = compress(IMAGES[name][0], Wavelet(threads=1))
    whole = payloads(data)
    for step in range(1, len(whole)):
        with pytest.raises(FormatError):
            decompress(with_payloads(data, whole[step:] + whole[:step]), threads=1)


def test_noise_for_payloads(sound: tuple[bytes, np.ndarray]) -> None:
    rng = np.random.default_rng(1)
    whole = payloads(sound[0])
    for _ in range(40):
        front = bytes(rng.integers(0, MAX_REACH_BITS + 2, 3).astype(np.uint8))
        found = [
            bytes(16) * (number < len(whole) // 4)
            + front[: int(rng.integers(0, 4))]
            + rng.bytes(4 * int(rng.integers(0, 40)))
            for number in range(len(whole))
        ]
        with pytest.raises(FormatError):
            decompress(with_payloads(sound[0], found), threads=1)


@pytest.mark.parametrize("chunk", [b"PARM", b"HEAD", b"HASH", b"INDX"])
def test_other_chunks_without_checksums(sound: tuple[bytes, np.ndarray], chunk: bytes) -> None:
    """Nothing authenticates them: what is not refused has to be the same pixels."""
    for changed in flipped_chunks(sound[0], chunk, range(0, 8, 1 if chunk == b"PARM" else 3)):
        with contextlib.suppress(FormatError, LimitError, ModelError):
            found = decompress(changed, threads=1)
            np.testing.assert_array_equal(found.pixels, sound[1])


class TestPayloadRules:
    """One test for each rule of spec/wavelet.md, section 6.2, and of spec/mixture.md, 6.1."""

    def check(
        self, data: bytes, layer: int, payload: bytes, error: type[XrayCodecError], match: str
    ) -> None:
        changed = payloads(data)
        changed[layer] = payload
        with pytest.raises(error, match=match):
            decompress(with_payloads(data, changed), threads=1)

    def test_1_the_plane_ends_too_early(self, data: bytes) -> None:
        self.check(data, 0, payloads(data)[0][:7], TruncatedError, "frame 0 has 7 of 16 bytes")

    def test_1_the_reaches_end_too_early(self, data: bytes) -> None:
        match = "layer 0 has 0 bytes for 1 levels"
        self.check(data, 0, payloads(data)[0][:16], TruncatedError, match)
        self.check(data, 2, b"", TruncatedError, "layer 2 has 0 bytes for 1 levels")

    def test_1_the_sizes_end_too_early(
        self, monkeypatch: pytest.MonkeyPatch, four_layers: None
    ) -> None:
        monkeypatch.setattr(geometry, "_STRIP_CELLS", 12)
        data = compress(smooth(19, 23), Wavelet(quality=70, threads=1))
        payload = payloads(data)[3]
        match = "layer 3 ends in its table of 3 streams"
        self.check(data, 3, payload[:8], TruncatedError, match)
        large = payload[:1] + struct.pack("<I", 2**32 - 1) + payload[5:]
        self.check(data, 3, large, TruncatedError, "layer 3 has .* bytes for 4294.* of streams")

    @pytest.mark.parametrize("value", [2**18, -(2**18), 2**31 - 1, -(2**31)])
    def test_2_a_value_of_the_plane(self, data: bytes, value: int) -> None:
        payload = payloads(data)[0]
        changed = payload[:4] + struct.pack("<i", value) + payload[8:]
        self.check(data, 0, changed, CorruptError, "last low-pass band out of range")

    @pytest.mark.parametrize("bits", [MAX_REACH_BITS + 1, 31, 255])
    @pytest.mark.parametrize(("layer", "place"), [(0, 16), (1, 0), (3, 0)])
    def test_2_a_reach(self, data: bytes, layer: int, place: int, bits: int) -> None:
        payload = bytearray(payloads(data)[layer])
        payload[place] = bits
        match = f"layer {layer} has coefficients of {bits} bits; allowed are {MAX_REACH_BITS}"
        self.check(data, layer, bytes(payload), CorruptError, match)

    @pytest.mark.usefixtures("four_layers")
    def test_2_a_level_in_blocks(self) -> None:
        data = compress(CORNER, Wavelet(quality=70, threads=1))
        payload = payloads(data)[3]
        assert payload[0] > 128
        match = "layer 3 has flags of blocks without coefficients"
        self.check(data, 3, b"\x80" + payload[1:], CorruptError, match)
        match = "layer 3 has coefficients of 147 bits; allowed are 18"
        self.check(data, 3, b"\x93" + payload[1:], CorruptError, match)
        self.check(data, 3, payload[:9], FormatError, "layer 3 ends too early")
        parameters = bytearray(edit.payload_of(data, b"PARM"))
        parameters[1] &= ~8  # the flag of blocks
        plain = edit.with_payload(data, b"PARM", bytes(parameters))
        with pytest.raises(CorruptError, match=r"layer . has coefficients of .* bits; allowed"):
            decompress(plain, threads=1)

    @pytest.mark.parametrize(("shape", "layers"), [((2, 2), (1, 2, 3)), ((7, 5), (1,))])
    def test_3_a_payload_of_a_layer_without_levels(
        self, shape: tuple[int, int], layers: tuple[int, ...], four_layers: None
    ) -> None:
        data = compress(smooth(*shape), Wavelet(threads=1))
        for layer in layers:
            assert not payloads(data)[layer]
            match = f"layer {layer} has no levels, but 1 bytes"
            self.check(data, layer, b"\0", CorruptError, match)

    def test_3_bytes_where_no_coefficient_is_coded(self, data: bytes) -> None:
        self.check(data, 1, b"\0\0", CorruptError, "layer 1 does not end where its last")
        flat = compress(XRay(np.full((2, 2), 3, np.uint8), 8), Wavelet(threads=1))
        self.check(flat, 0, payloads(flat)[0] + b"\0", CorruptError, "layer 0 does not end where")

    @pytest.mark.parametrize("size", [0, 4, 7, 9, 13])
    def test_4_size_of_a_stream(self, data: bytes, size: int) -> None:
        payload = payloads(data)[2][: 1 + size]
        self.check(data, 2, payload, CorruptError, f"has a stream of {size} bytes; allowed are 8")

    def test_4_start_state(self, data: bytes) -> None:
        payload = bytearray(payloads(data)[2])
        payload[5:9] = bytes(4)
        self.check(data, 2, bytes(payload), CorruptError, "layer 2 begins with state .*, under 2")

    def test_4_words_run_out(self, data: bytes) -> None:
        self.check(data, 2, payloads(data)[2][:-4], TruncatedError, "layer 2 ends too early")

    def test_4_words_are_left(self, data: bytes) -> None:
        match = "layer 2 does not end where its last coefficient does"
        self.check(data, 2, payloads(data)[2] + bytes(4), CorruptError, match)

    def test_4_another_end(self, data: bytes) -> None:
        words = bytearray(payloads(data)[2])
        words[-4] ^= 1
        self.check(data, 2, bytes(words), FormatError, "layer 2 (does not end|ends too early)")


class TestHeaderRules:
    @pytest.mark.parametrize("layers", [2, 3, 5, 7, 9])
    def test_layers(self, data: bytes, layers: int) -> None:
        container = parse(data)
        header = replace(container.header, layers=layers)
        other = build(header, container.parameters, [b""] * layers, container.pixel_hash)
        with pytest.raises(CorruptError, match=f"WAVE has 4 layers, or 1 .* HEAD says {layers}"):
            decompress(other, threads=1)

    def test_one_layer_of_an_image_with_strips(self) -> None:
        container = parse(compress(smooth(9, 9), Wavelet(threads=1)))
        header = replace(container.header, rows=1025, columns=1024)
        other = build(header, container.parameters, container.payloads, container.pixel_hash)
        match = "frames of 1025 x 1024 pixels have 4 layers; HEAD says 1"
        with pytest.raises(CorruptError, match=match):
            decompress(other, threads=1)

    def test_tile(self, data: bytes) -> None:
        container = parse(data)
        header = replace(container.header, tile=64)
        other = build(header, container.parameters, container.payloads, container.pixel_hash)
        with pytest.raises(CorruptError, match="one tile each; HEAD says tiles of 64"):
            decompress(other, threads=1)

    @pytest.mark.parametrize("fields", [{"flags": 0}, {"max_error": 5}])
    def test_guarantees(self, data: bytes, fields: dict[str, int]) -> None:
        with pytest.raises(CorruptError, match="WAVE is exact and promises no maximum error"):
            decompress(edit.with_head(data, **fields), threads=1)

    @pytest.mark.parametrize(("lowest", "highest"), [(-1, 255), (0, 256), (-(2**31), 2**31 - 1)])
    def test_values_beyond_the_bits_stored(self, data: bytes, lowest: int, highest: int) -> None:
        parameters = Parameters(1 << 24, lowest, highest).to_bytes()
        match = "WAVE (values are .* 8 bits stored allow|step is)"
        with pytest.raises(CorruptError, match=match):
            decompress(edit.with_payload(data, b"PARM", parameters), threads=1)

    def test_a_size_that_payloads_do_not_have(self) -> None:
        """A claim of 2^26 pixels is met with an error, not with as much work or memory."""
        data = compress(noise(40, 40, 8), Wavelet(quality=90, threads=1))
        container = parse(data)
        header = replace(container.header, rows=1 << 13, columns=1 << 13, layers=4)
        four = [*payloads(data), b"", b"", b""]
        other = build(header, container.parameters, four, container.pixel_hash)
        with pytest.raises(LimitError, match="max_expansion"):
            decompress(other, threads=1)
        with pytest.raises(FormatError):
            decompress(other, limits=Limits(free_pixels=1 << 26), threads=1)
