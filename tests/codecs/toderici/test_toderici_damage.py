"""Streams that were damaged or made in malice end in a typed error or in an image."""

from __future__ import annotations

import random
import struct
import tracemalloc
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the tiny model is built with onnx")
import toderici_building as building
import xrc_editing as edit
from stream_damage import payloads, with_payloads
from xraycodec import (
    CorruptError,
    FormatError,
    Limits,
    PixelDriftWarning,
    Toderici,
    UnsupportedFormatError,
    XRay,
    XrayCodecError,
    compress,
    decompress,
    decompress_prefix,
    entropy,
)
from xraycodec.cli.info import as_text, describe
from xraycodec.codecs.toderici.model import named_model
from xraycodec.codecs.toderici.parameters import Parameters
from xraycodec.container import build, inspect, parse, read_header

pytestmark = pytest.mark.usefixtures("tiny_model")

IMAGE = building.waves((40, 70), 12)
LIMITS = Limits(max_pixels=1 << 22)
PLAN = Parameters(low=0, span=4095, inverted=False)


@pytest.fixture(scope="module")
def data(tiny_model: Path) -> bytes:
    return compress(IMAGE, Toderici(4, 32))


def refused(data: bytes, error: type[XrayCodecError], message: str) -> None:
    """Whole or as a prefix."""
    for read in (decompress, decompress_prefix):
        with pytest.raises(error, match=message) as caught:
            read(data)
        assert type(caught.value) is error


@pytest.mark.parametrize("tile", [0, 8, 24, 100, 528, 1 << 31])
def test_tiles_that_no_encoder_writes(data: bytes, tile: int) -> None:
    container = parse(data)
    header = replace(container.header, tile=tile)
    changed = build(header, container.parameters, [b""] * header.payload_count, bytes(32))
    refused(changed, CorruptError, f"sides of 16 to 512, multiples of 16; HEAD says {tile}$")


@pytest.mark.parametrize(
    ("fields", "said"), [({"flags": 2}, "exact and None"), ({"max_error": 3}, "not exact and 3")]
)
def test_promises_that_the_codec_cannot_keep(
    data: bytes, fields: dict[str, int], said: str
) -> None:
    refused(edit.with_head(data, **fields), CorruptError, f"bounds the error; HEAD says {said}")


def test_more_layers_than_the_model_has_iterations(data: bytes) -> None:
    container = parse(data)
    header = replace(container.header, layers=13)
    four = payloads(data) * 4
    changed = build(header, container.parameters, four[: header.payload_count], bytes(32))
    refused(changed, CorruptError, "13 layers; the model that HEAD names has 12 iterations")


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        (b"", CorruptError, "have 0 bytes, not 12"),
        (PLAN.to_bytes()[:-1], CorruptError, "have 11 bytes, not 12"),
        (PLAN.to_bytes() + b"\0", CorruptError, "have 13 bytes, not 12"),
        (b"\2" + PLAN.to_bytes()[1:], UnsupportedFormatError, "version 2; this reader knows 1"),
        (b"\0", UnsupportedFormatError, "version 0; this reader knows 1"),
        (b"\1\2" + PLAN.to_bytes()[2:], UnsupportedFormatError, "flags 0x02 and reserved"),
        (b"\1\0\1" + PLAN.to_bytes()[3:], UnsupportedFormatError, "reserved bytes 0x0001"),
        (struct.pack("<BBHiI", 1, 0, 0, 0, 0), CorruptError, r"map 0 \.\. 1 to 0 \+ 0"),
        (struct.pack("<BBHiI", 1, 0, 0, 0, 65536), CorruptError, "16 bits are the limit"),
        (struct.pack("<BBHiI", 1, 0, 0, 65536, 1), CorruptError, "16 bits are the limit"),
        (struct.pack("<BBHiI", 1, 0, 0, -32769, 1), CorruptError, "16 bits are the limit"),
        (struct.pack("<BBHiI", 1, 0, 0, 4096, 1), CorruptError, "12 bits stored hold 0 to 4095"),
        (struct.pack("<BBHiI", 1, 0, 0, -1, 1), CorruptError, "map 0 to -1"),
    ],
)
def test_parameters_that_no_encoder_writes(
    data: bytes, parameters: bytes, error: type[XrayCodecError], message: str
) -> None:
    refused(edit.with_payload(data, b"PARM", parameters), error, message)


@pytest.mark.parametrize(
    "plan", [PLAN, Parameters(-32768, 65535, True), Parameters(65535, 1, True)]
)
def test_parameters_round_trip(plan: Parameters) -> None:
    assert Parameters.from_bytes(plan.to_bytes()) == plan


def test_pixels_stay_within_the_bits_stored_whatever_the_parameters_say(data: bytes) -> None:
    wide = Parameters(low=4000, span=65535, inverted=True).to_bytes()
    with pytest.warns(PixelDriftWarning):
        image = decompress(edit.with_payload(data, b"PARM", wide))
    assert image.pixels.min() >= 4000
    assert image.pixels.max() <= 4095


@pytest.mark.parametrize("value", [-1, 2, 1 << 20])
def test_values_that_are_no_bits(data: bytes, value: int) -> None:
    """An entropy-coded stream that is sound can hold any number, behind an escape."""
    tiles = payloads(data)
    model = named_model("compact")
    index = np.repeat(np.arange(model.bits), 4) * 4
    values = np.zeros(index.size, np.int32)
    values[17] = value
    tiles[0] = entropy.encode(values, index, model.tables)
    refused(with_payloads(data, tiles), CorruptError, "allowed are 0 and 1$")


@pytest.mark.parametrize("place", [0, 5, 23])
@pytest.mark.parametrize("payload", [b"", b"\0", bytes(40), b"\xff" * 4000])
def test_payloads_that_are_no_streams(data: bytes, place: int, payload: bytes) -> None:
    tiles = payloads(data)
    tiles[place] = payload
    with pytest.raises(FormatError, match="entropy-coded stream"):
        decompress(with_payloads(data, tiles))
    layer = place // 6
    if layer:  # those before it know nothing of it
        assert decompress_prefix(with_payloads(data, tiles), layers=layer).layers == layer


def test_bits_of_another_image_are_told(data: bytes) -> None:
    tiles = payloads(data)
    other = payloads(compress(building.waves((40, 70), 8), Toderici(4, 32)))
    assert other != tiles
    with pytest.warns(PixelDriftWarning, match="differ from the encoder's"):
        image = decompress(with_payloads(data, other))
    assert image.pixels.shape == IMAGE.pixels.shape


def _changed(data: bytes, rng: random.Random) -> bytes:
    """Change up to eight bytes of one chunk's content and mend its CRC-32."""
    chunks = edit.split(data)
    place = rng.choice([number for number, chunk in enumerate(chunks) if chunk[1]])
    payload = bytearray(chunks[place][1])
    for _ in range(rng.choice((1, 1, 2, 8))):
        payload[rng.randrange(len(payload))] = rng.randrange(256)
    chunks[place] = (chunks[place][0], bytes(payload))
    return edit.join(chunks)


def test_changes_with_right_checksums_end_in_a_typed_error_or_an_image(data: bytes) -> None:
    given = 0
    for case in range(150):
        changed = _changed(data, random.Random(case))
        assert as_text(describe(inspect(changed, LIMITS)))
        for prefix in (False, True):
            image = _read(changed, prefix=prefix)
            if image is not None:
                given += 1
                header = read_header(changed)
                assert image.frames.shape == (header.frames, header.rows, header.columns)
                assert image.pixels.dtype.itemsize == (1 if header.bits_stored <= 8 else 2)
    assert 0 < given < 300


def _read(data: bytes, *, prefix: bool) -> XRay | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PixelDriftWarning)
        try:
            if prefix:
                return decompress_prefix(data, limits=LIMITS, threads=1).image
            return decompress(data, limits=LIMITS, threads=1)
        except XrayCodecError:
            return None


def test_every_change_without_a_checksum_is_refused(data: bytes) -> None:
    for case in range(100):
        rng = random.Random(case)
        changed = bytearray(data)
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        assert _read(bytes(changed), prefix=False) is None


def test_memory_is_bounded_by_groups_and_not_by_the_frame() -> None:
    """Beyond the pixels themselves; the networks' own memory is not Python's to trace."""
    images = [XRay(np.zeros((side, 512), np.uint8), 8) for side in (512, 2048)]
    streams = [compress(image, Toderici(1, 128)) for image in images]
    peaks = []
    for image, stream in zip(images, streams, strict=True):
        tracemalloc.start()
        try:
            decompress(stream)
            peaks.append(tracemalloc.get_traced_memory()[1] - image.pixels.nbytes)
        finally:
            tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0] + (1 << 18)
