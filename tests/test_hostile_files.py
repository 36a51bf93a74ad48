"""Streams that were damaged by accident or made in malice end in a typed error or in the image.

Three kinds of change, from what the CRC-32 of the chunks sees to what it does not:

- *raw*: bytes change and no checksum follows. Every such stream must be refused.
- *payload*: the pixels' data, index or digest change and checksums are right, so that the damage
  reaches the codec. Such a stream must be refused or give the exact image.
- *fields*: ``HEAD``, ``PARM`` or ``META`` change and checksums are right. Nothing authenticates
  these (spec/format.md, section 9): the stream may say that it holds another image. What it gives
  must then be the image it declares, and if its values are not those that were encoded, this must
  be told: RAWZ refuses, RNNC warns of pixels that differ from their digest.
"""

from __future__ import annotations

import contextlib
import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

import xrc_editing as edit
from xraycodec import (
    CorruptError,
    Limits,
    NotXrcError,
    PixelDriftWarning,
    RnnConv,
    Stored,
    XRay,
    XrayCodecError,
)
from xraycodec.cli.info import as_text, describe
from xraycodec.codecs.rnn_conv.codec import encode_codes
from xraycodec.codecs.rnn_conv.model import model_for
from xraycodec.container import inspect, parse, read_header
from xraycodec.files import decode, encode
from xraycodec.pipeline import compress, decompress

CASES = 32
"""Changes of each kind to each sample: 4 samples x 8 kinds x 32 make 1,024."""

LIMITS = Limits(max_pixels=1 << 22, max_metadata_bytes=1 << 20)
Change = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True, eq=False)
class Sample:
    """A sound stream and the image that it decodes to."""

    data: bytes
    image: XRay

    @property
    def lossless(self) -> bool:
        return parse(self.data).header.exact


def _sample(codec: RnnConv | Stored, image: XRay) -> Sample:
    data = compress(image, codec)
    return Sample(data, decompress(data, threads=1))


def _chest(shape: tuple[int, ...], bits_stored: int, *, signed: bool = False) -> np.ndarray:
    """Something smooth with a little noise, over most of the range."""
    rows, columns = np.mgrid[: shape[-2], : shape[-1]]
    smooth = np.sin(rows / 9) * np.cos(columns / 11)
    noise = np.random.default_rng(7).normal(0, 0.01, shape)
    peak = (1 << bits_stored) - 1
    pixels = ((smooth + noise) * 0.4 + 0.5).clip(0, 1) * peak
    kind = f"{'int' if signed else 'uint'}{8 if bits_stored <= 8 else 16}"
    return (pixels - (peak + 1) // 2 * signed).astype(kind)


SAMPLES = (
    "rnn-conv, 12 bits, MONOCHROME1",
    "rnn-conv, two tiles",
    "stored, signed",
    "stored, two frames",
)


@pytest.fixture(scope="module")
def samples() -> dict[str, Sample]:
    rnn_conv, stored = RnnConv(8, 128, threads=1), Stored(tile=16)
    deep = _chest((48, 40), 12)
    dicom = decode(encode(XRay(deep, 12), "dicom")).dicom
    images = (
        (rnn_conv, XRay(deep, 12, "MONOCHROME1", dicom)),
        (rnn_conv, XRay(_chest((24, 140), 8), 8, dicom=dicom)),
        (stored, XRay(_chest((48, 40), 12, signed=True), 12, dicom=dicom)),
        (stored, XRay(_chest((2, 24, 40), 8), 8, dicom=dicom)),
    )
    return {name: _sample(*pair) for name, pair in zip(SAMPLES, images, strict=True)}


def _change_run(data: bytes, rng: random.Random) -> bytes:
    """Flip, remove, insert, repeat, clear or shuffle a run of bytes, or cut the rest off."""
    start = rng.randrange(len(data)) if data else 0
    stop = min(len(data), start + rng.choice((1, 1, 2, 4, 30)))
    before, run, after = data[:start], data[start:stop], data[stop:]
    if not run:
        return rng.randbytes(rng.randint(1, 8))
    match rng.randrange(8):
        case 0:
            return before + bytes((run[0] ^ 1 << rng.randrange(8),)) + run[1:] + after
        case 1:
            return before + rng.randbytes(len(run)) + after
        case 2:
            return before + after
        case 3:
            return before + rng.randbytes(rng.randint(1, 9)) + run + after
        case 4:
            return before + run + run + after
        case 5:
            return before + bytes(len(run)) + after
        case 6:
            return before + bytes(rng.sample(run, len(run))) + after
        case _:
            return before


def _same_size(data: bytes, rng: random.Random) -> bytes:
    """Change up to eight bytes in place."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(changed)


def _change_data(data: bytes, rng: random.Random) -> bytes:
    return edit.join([(t, _same_size(p, rng) if t == b"DATA" else p) for t, p in edit.split(data)])


def _change_tile(data: bytes, rng: random.Random) -> bytes:
    """Change the bytes of one tile, or exchange two, with an index that fits."""
    tiles = [bytes(tile) for tile in parse(data).payloads]
    number, other = rng.randrange(len(tiles)), rng.randrange(len(tiles))
    if number != other and rng.random() < 0.3:
        tiles[number], tiles[other] = tiles[other], tiles[number]
    else:
        tiles[number] = _change_run(tiles[number], rng)
    return edit.with_tiles(data, tiles)


def _change_payload(chunk_type: bytes) -> Change:
    def change(data: bytes, rng: random.Random) -> bytes:
        return edit.join(
            [(t, _change_run(p, rng) if t == chunk_type else p) for t, p in edit.split(data)]
        )

    return change


def _change_head(data: bytes, rng: random.Random) -> bytes:
    """Give one or two fields of HEAD likely or unlikely values, or change any byte."""
    if rng.random() < 0.1:
        return _change_payload(b"HEAD")(data, rng)
    numbers = (0, 1, 2, 3, 8, 16, 24, 40, 41, 48, 128, 160, 256, 1 << 12, 1 << 16, (1 << 32) - 1)
    fields: dict[str, int | bytes] = {}
    for name in rng.sample(sorted(edit.HEAD_OFFSETS), rng.choice((1, 1, 2))):
        layout = edit.HEAD_OFFSETS[name][1]
        if layout == "B":
            fields[name] = rng.choice((0, 1, 2, 3, 7, 8, 11, 12, 13, 16, rng.randrange(256)))
        elif layout == "I":
            fields[name] = rng.choice(numbers)
        elif name == "codec":
            fields[name] = rng.choice((b"RNNC", b"RAWZ", b"RNN\0", b"rnnc"))
        else:
            fields[name] = rng.choice((bytes(32), rng.randbytes(32)))
    return edit.with_head(data, **fields)


def _decompress(data: bytes) -> tuple[XRay | None, bool]:
    """The image, or ``None`` for a typed error, and whether its pixels were called different."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            image = decompress(data, limits=LIMITS, threads=1)
        except XrayCodecError:
            return None, False
    assert {warning.category for warning in seen} <= {PixelDriftWarning}
    return image, bool(seen)


def _check_inspection(data: bytes) -> None:
    """Whatever the stream, ``xrc info`` has something to say about it."""
    try:
        assert as_text(describe(inspect(data, LIMITS)))
    except NotXrcError:
        return


def _check_raw(data: bytes, sample: Sample) -> None:
    image, _ = _decompress(data)
    assert image is None or data == sample.data


def _check_payload(data: bytes, sample: Sample) -> None:
    image, told = _decompress(data)
    if image is None:
        return
    assert _same_facts(image, sample.image)
    assert image.dicom == sample.image.dicom
    np.testing.assert_array_equal(image.pixels, sample.image.pixels)
    changed_digest = edit.payload_of(data, b"HASH") != edit.payload_of(sample.data, b"HASH")
    assert told == changed_digest


def _check_head(data: bytes, sample: Sample) -> None:
    image, told = _decompress(data)
    if image is None:
        return
    header = read_header(data)
    assert image.frames.shape == (header.frames, header.rows, header.columns)
    assert image.bits_stored == header.bits_stored
    assert image.signed == header.signed
    assert image.photometric_interpretation == header.photometric_interpretation
    assert image.dicom == sample.image.dicom
    same_values = image.pixels.tobytes() == sample.image.pixels.tobytes()
    assert same_values or (told and not sample.lossless)


def _check_parameters(data: bytes, sample: Sample) -> None:
    image, told = _decompress(data)
    if image is None:
        return
    assert _same_facts(image, sample.image)
    assert image.dicom == sample.image.dicom
    same_values = np.array_equal(image.pixels, sample.image.pixels)
    assert same_values or (told and not sample.lossless)


def _check_metadata(data: bytes, sample: Sample) -> None:
    image, told = _decompress(data)
    if image is None:
        return
    assert not told
    assert _same_facts(image, sample.image)
    np.testing.assert_array_equal(image.pixels, sample.image.pixels)
    with contextlib.suppress(XrayCodecError):
        encode(image, "dicom")


def _same_facts(a: XRay, b: XRay) -> bool:
    return (a.pixels.shape, a.pixels.dtype, a.bits_stored, a.photometric_interpretation) == (
        *(b.pixels.shape, b.pixels.dtype, b.bits_stored),
        b.photometric_interpretation,
    )


KINDS: dict[str, tuple[Change, Callable[[bytes, Sample], None]]] = {
    "raw": (_change_run, _check_raw),
    "data": (_change_data, _check_payload),
    "tile": (_change_tile, _check_payload),
    "index": (_change_payload(b"INDX"), _check_payload),
    "digest": (_change_payload(b"HASH"), _check_payload),
    "head": (_change_head, _check_head),
    "parameters": (_change_payload(b"PARM"), _check_parameters),
    "metadata": (_change_payload(b"META"), _check_metadata),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SAMPLES)
def test_a_changed_stream_is_refused_or_gives_what_it_declares(
    samples: dict[str, Sample], name: str, kind: str
) -> None:
    sample, (change, check) = samples[name], KINDS[kind]
    for case in range(CASES):
        rng = random.Random(f"{name} {kind} {case}")
        data = change(sample.data, rng)
        try:
            _check_inspection(data)
            check(data, sample)
        except BaseException as error:
            error.add_note(f"case {case} of {name!r}, {kind!r}: {data.hex()}")
            raise


@pytest.mark.parametrize("name", SAMPLES)
def test_changed_data_with_right_checksums_reaches_the_codec(
    samples: dict[str, Sample], name: str
) -> None:
    """Else the cases above would say little about codecs."""
    for change in (_change_data, _change_tile):
        for case in range(CASES):
            parse(change(samples[name].data, random.Random(case)), LIMITS)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_cut_is_refused(samples: dict[str, Sample], name: str) -> None:
    data = samples[name].data
    for length in range(0, len(data), max(1, len(data) // 100)):
        _check_inspection(data[:length])
        assert _decompress(data[:length]) == (None, False)


@pytest.mark.parametrize("code", [-128, 128, 1 << 20])
def test_codes_that_have_no_latent(samples: dict[str, Sample], code: int) -> None:
    """An entropy-coded stream that is sound can hold any number, behind an escape."""
    sample = samples["rnn-conv, 12 bits, MONOCHROME1"]
    container = parse(sample.data)
    model = model_for(container.header.model, 1)
    codes = np.zeros((edit.payload_of(sample.data, b"PARM")[1], 3, 3), np.int32)
    codes[5, 1, 2] = code
    with pytest.raises(CorruptError, match="allowed are -127 to 127"):
        decompress(edit.with_tiles(sample.data, [encode_codes(model, codes)]), threads=1)


# What the format leaves to the CRC-32 alone, spelled out: a change here is a change of the format.


def test_a_forged_photometric_interpretation_of_stored_pixels_is_believed(
    samples: dict[str, Sample],
) -> None:
    sample = samples["stored, signed"]
    other = 3 - edit.payload_of(sample.data, b"HEAD")[4]
    image, told = _decompress(edit.with_head(sample.data, photometric=other))
    assert image is not None
    assert not told
    assert image.photometric_interpretation != sample.image.photometric_interpretation
    np.testing.assert_array_equal(image.pixels, sample.image.pixels)


def test_stored_pixels_laid_out_anew_are_believed(samples: dict[str, Sample]) -> None:
    """The digest is of the pixels in their order, not of the rows that they form."""
    image = XRay(_chest((48, 40), 12), 12)
    data = edit.with_head(compress(image, Stored(tile=0)), rows=40, columns=48)
    result, told = _decompress(data)
    assert result is not None
    assert not told
    np.testing.assert_array_equal(result.pixels, image.pixels.reshape(40, 48))


@pytest.mark.parametrize("flags", [0, 1])
def test_a_forged_range_of_rnn_conv_is_refused(samples: dict[str, Sample], flags: int) -> None:
    """The digest of PARM covers how codes map to pixels, not the codes alone."""
    sample = samples["rnn-conv, two tiles"]
    parameters = bytearray(edit.payload_of(sample.data, b"PARM"))
    parameters[2], parameters[8] = flags, 200
    with pytest.raises(CorruptError, match="differ from those that were encoded"):
        decompress(edit.with_payload(sample.data, b"PARM", bytes(parameters)), threads=1)


def test_a_data_set_that_was_taken_out_is_not_missed(samples: dict[str, Sample]) -> None:
    sample = samples["stored, signed"]
    chunks = [chunk for chunk in edit.split(sample.data) if chunk[0] != b"META"]
    image, told = _decompress(edit.join(chunks))
    assert image is not None
    assert not told
    assert image.dicom is None
    np.testing.assert_array_equal(image.pixels, sample.image.pixels)
