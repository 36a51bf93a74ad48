"""Damaged streams end in a typed error or in the exact image, never in other pixels."""

from __future__ import annotations

import contextlib
import struct
from dataclasses import replace

import numpy as np
import pytest
from lattice_building import smooth

import xrc_editing as edit
from stream_damage import (
    flipped,
    flipped_chunks,
    flipped_payloads,
    payloads,
    resized_payloads,
    with_payloads,
)
from xraycodec.codecs.lattice import Lattice
from xraycodec.codecs.lattice.parameters import read_parameters
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
from xraycodec.pipeline import compress, decompress

pytestmark = pytest.mark.usefixtures("tiny_model")

FEW = XRay((smooth(21, 18, 5).pixels.astype(np.int16) * 9 - 100), 10)
IMAGES = {
    "8 bits": (smooth(19, 23), 0),
    "near-lossless": (smooth(7, 70, 12), 2),
    "mapped, signed": (FEW, 0),
}


@pytest.fixture(scope="module", params=IMAGES)
def sound(request: pytest.FixtureRequest) -> tuple[bytes, np.ndarray]:
    image, max_error = IMAGES[request.param]
    data = compress(image, Lattice(max_error=max_error, tile=64, threads=1))
    return data, decompress(data, threads=1).pixels


@pytest.fixture(scope="module")
def data() -> bytes:
    return compress(IMAGES["8 bits"][0], Lattice(tile=64, threads=1))


def peak_of(data: bytes) -> int:
    return read_parameters(parse(data).parameters).peak


def test_any_flipped_bit_is_found(sound: tuple[bytes, np.ndarray]) -> None:
    for place in range(len(sound[0])):
        with pytest.raises(FormatError):
            decompress(flipped(sound[0], place), threads=1)


def test_any_cut_is_found(sound: tuple[bytes, np.ndarray]) -> None:
    for size in range(len(sound[0])):
        with pytest.raises(FormatError):
            decompress(sound[0][:size], threads=1)


def test_any_flipped_bit_of_a_payload_is_found_without_checksums(
    sound: tuple[bytes, np.ndarray],
) -> None:
    for changed in flipped_payloads(sound[0]):
        with pytest.raises(FormatError):
            decompress(changed, threads=1)


def test_payloads_of_other_sizes_are_found_without_checksums(
    sound: tuple[bytes, np.ndarray],
) -> None:
    for changed in resized_payloads(sound[0]):
        with pytest.raises(FormatError):
            decompress(changed, threads=1)


def test_payloads_in_another_order_are_found_without_checksums(
    sound: tuple[bytes, np.ndarray],
) -> None:
    whole = payloads(sound[0])
    with pytest.raises(FormatError):
        decompress(with_payloads(sound[0], whole[1:] + whole[:1]), threads=1)


@pytest.mark.parametrize("mode", [b"\0", b"\1"])
def test_noise_for_payloads(data: bytes, mode: bytes) -> None:
    rng = np.random.default_rng(mode[0])
    for _ in range(60):
        noise = [mode + rng.bytes(4 * int(rng.integers(0, 80))) for _ in payloads(data)]
        with pytest.raises(FormatError):
            decompress(with_payloads(data, noise), threads=1)


@pytest.mark.parametrize("chunk", [b"PARM", b"HEAD", b"HASH", b"INDX"])
def test_other_chunks_without_checksums(sound: tuple[bytes, np.ndarray], chunk: bytes) -> None:
    """Nothing authenticates them: what is not refused has to be the same pixels."""
    for changed in flipped_chunks(sound[0], chunk, range(0, 8, 1 if chunk == b"PARM" else 3)):
        with contextlib.suppress(FormatError, LimitError, ModelError):
            found = decompress(changed, threads=1)
            np.testing.assert_array_equal(found.pixels, sound[1])


class TestPayloadRules:
    """One test for each rule of spec/lattice.md, section 6.2, and of spec/mixture.md, 6.1."""

    LAYER = 2

    def check(self, data: bytes, payload: bytes, error: type[XrayCodecError], match: str) -> None:
        changed = payloads(data)
        changed[self.LAYER] = payload
        with pytest.raises(error, match=match):
            decompress(with_payloads(data, changed), threads=1)

    def test_1_no_payload_for_pixels(self, data: bytes) -> None:
        self.check(data, b"", TruncatedError, "tile 0, layer 2 has pixels, but no payload")

    def test_1_a_payload_for_no_pixels(self) -> None:
        one = compress(XRay(np.array([[3]], np.uint8), 8), Lattice(threads=1))
        for layer in range(4):
            changed = [b"\0" if number == layer else b"" for number in range(4)]
            with pytest.raises(CorruptError, match=f"layer {layer} has no pixels, but a payload"):
                decompress(with_payloads(one, changed), threads=1)

    @pytest.mark.parametrize("mode", [2, 128, 255])
    def test_2_mode(self, data: bytes, mode: int) -> None:
        payload = bytes([mode]) + payloads(data)[self.LAYER][1:]
        self.check(data, payload, CorruptError, f"layer 2 begins with byte {mode}; allowed are 0")

    @pytest.mark.parametrize("size", [0, 4, 7, 9, 13])
    def test_3_size_of_a_stream(self, data: bytes, size: int) -> None:
        payload = payloads(data)[self.LAYER][: 1 + size]
        self.check(data, payload, CorruptError, f"has a stream of {size} bytes; allowed are 8, 12")

    def test_3_start_state(self, data: bytes) -> None:
        payload = bytearray(payloads(data)[self.LAYER])
        payload[5:9] = bytes(4)
        self.check(data, bytes(payload), CorruptError, "layer 2 begins with state .* under 2")

    def test_3_words_run_out(self, data: bytes) -> None:
        payload = payloads(data)[self.LAYER][:-4]
        self.check(data, payload, TruncatedError, "layer 2 ends too early")

    def test_3_words_are_left(self, data: bytes) -> None:
        payload = payloads(data)[self.LAYER] + bytes(4)
        self.check(data, payload, CorruptError, "layer 2 does not end where its last pixel does")

    def test_3_another_end(self, data: bytes) -> None:
        words = bytearray(payloads(data)[self.LAYER])
        words[-4] ^= 1
        self.check(data, bytes(words), FormatError, "layer 2 (does not end|ends too early)")

    def plain(self, data: bytes, last: int = 0, more: int = 0) -> bytes:
        """A layer of pixels of 0 and a last one, in as many bytes as they take, and some more."""
        header = parse(data).header
        sizes = [np.zeros((header.rows, header.columns))[::n, ::n].size for n in (2, 4)]
        bits = (sizes[0] - sizes[1]) * peak_of(data).bit_length()
        size = -(-bits // 8) + more
        return b"\1" + (last << max(8 * size - bits, 0)).to_bytes(size, "big")

    def test_4_plain_pixels_end_too_early(self, data: bytes) -> None:
        self.check(data, self.plain(data, more=-1), TruncatedError, "layer 2 ends too early")

    def test_4_bytes_after_plain_pixels(self, data: bytes) -> None:
        self.check(data, self.plain(data, more=1), CorruptError, "has 80 bytes for 90 pixels of 7")

    def test_4_a_plain_pixel_above_peak(self, data: bytes) -> None:
        peak = peak_of(data)
        match = f"has level {peak + 1}; the highest is {peak}"
        self.check(data, self.plain(data, peak + 1), CorruptError, match)
        self.check(data, self.plain(data, peak), FormatError, "layer 3|differ from the hash")

    @pytest.mark.parametrize("bit", [1, 2])
    def test_4_bits_after_plain_pixels(self, data: bytes, bit: int) -> None:
        payload = self.plain(data)
        changed = payload[:-1] + bytes([payload[-1] | bit])
        self.check(data, changed, CorruptError, "layer 2 has a bit set after its last pixel")


class TestHeaderRules:
    def test_layers(self, data: bytes) -> None:
        with pytest.raises(CorruptError):
            decompress(edit.with_head(data, layers=2), threads=1)
        container = parse(data)
        header = replace(container.header, layers=5)
        more = build(header, container.parameters, [*payloads(data), b""], container.pixel_hash)
        with pytest.raises(CorruptError, match="LTTC has 4 layers; HEAD says 5"):
            decompress(more, threads=1)

    @pytest.mark.parametrize("tile", [0, 8, 56, 68, 4104, 1 << 20])
    def test_tile(self, data: bytes, tile: int) -> None:
        container = parse(data)
        header = replace(container.header, tile=tile)
        count = header.payload_count
        other = build(header, container.parameters, [b""] * count, container.pixel_hash)
        with pytest.raises(CorruptError, match=f"64 to 4096, multiples of 8; HEAD says {tile}"):
            decompress(other, threads=1)

    @pytest.mark.parametrize("fields", [{"flags": 0, "max_error": 5}, {"max_error": 2**32 - 1}])
    def test_guarantees(self, data: bytes, fields: dict[str, int]) -> None:
        with pytest.raises(CorruptError, match="LTTC is exact with a maximum error"):
            decompress(edit.with_head(data, **fields), threads=1)

    def test_levels_beyond_the_bits_stored(self, data: bytes) -> None:
        for lowest, peak in ((-1, 255), (1, 255), (0, 256), (-(2**31), 0), (2**31 - 1, 65535)):
            parameters = struct.pack("<BBHi", 1, 0, peak, lowest)
            with pytest.raises(CorruptError, match=r"LTTC levels stand for .* 8 bits stored allow"):
                decompress(edit.with_payload(data, b"PARM", parameters), threads=1)

    def test_a_map_with_a_maximum_error(self) -> None:
        data = compress(FEW, Lattice(threads=1))
        with pytest.raises(CorruptError, match="maps levels only without loss"):
            decompress(edit.with_head(data, max_error=1), threads=1)
