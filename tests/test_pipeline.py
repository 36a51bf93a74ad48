"""An image to bytes and back, whatever the codec."""

from __future__ import annotations

import dataclasses
import itertools
import warnings

import numpy as np
import pytest

import xrc_editing as edit
from xraycodec import (
    CorruptError,
    Lattice,
    LimitError,
    Limits,
    ModelError,
    NotXrcError,
    OptionError,
    PixelDriftWarning,
    RnnConv,
    Stored,
    TruncatedError,
    UnsupportedFormatError,
    UnsupportedImageError,
    XRay,
)
from xraycodec.codecs.base import Codec
from xraycodec.container import parse
from xraycodec.files import decode, encode
from xraycodec.pipeline import compress, decompress, verify

CODECS = (RnnConv(8, 128, threads=1), Stored(tile=32), Lattice(tile=64, threads=1))


def _gradient(shape: tuple[int, ...] = (40, 48)) -> np.ndarray:
    rows, columns = np.mgrid[: shape[-2], : shape[-1]]
    frames = [30 * rows + 50 * columns + 100 * frame for frame in range(shape[0])]
    return np.array(frames if len(shape) == 3 else frames[0], np.uint16)


IMAGE = XRay(_gradient(), 12)


@pytest.fixture(scope="module", params=CODECS, ids=lambda codec: codec.codec_id)
def data(request: pytest.FixtureRequest) -> bytes:
    return compress(IMAGE, request.param)


@pytest.fixture(scope="module")
def lossy() -> bytes:
    return compress(IMAGE, CODECS[0])


@pytest.fixture(scope="module")
def lossless() -> bytes:
    return compress(IMAGE, CODECS[1])


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.codec_id)
@pytest.mark.parametrize("shape", [(1, 1), (17, 33), (2, 16, 15)])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_what_is_no_pixel_comes_back_from_every_codec(codec, shape, signed, photometric) -> None:
    pixels = _gradient(shape).astype(np.int16 if signed else np.uint16)
    dicom = decode(encode(XRay(pixels, 13), "dicom")).dicom
    result = decompress(compress(XRay(pixels, 13, photometric, dicom), codec))
    assert result.pixels.shape == shape
    assert result.pixels.dtype == pixels.dtype
    assert result.bits_stored == 13
    assert result.photometric_interpretation == photometric
    assert result.dicom == dicom


def test_one_frame_comes_back_without_an_axis_of_frames(data: bytes) -> None:
    assert decompress(data).pixels.shape == (40, 48)


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.codec_id)
@pytest.mark.parametrize("kind", ["uint8", "int8", "uint16", "int16"])
def test_an_array_is_an_image_of_all_its_bits(codec: Codec, kind: str) -> None:
    result = decompress(compress((_gradient() % 127).astype(kind), codec))
    assert result.bits_stored == 8 * np.dtype(kind).itemsize
    assert result.pixels.dtype == kind


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4), np.int64),
        np.zeros((4, 4), ">u2"),
        np.zeros((4, 4, 3, 1), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((0, 4), np.uint8),
    ],
    ids=["floats", "64 bits", "big-endian", "four axes", "one axis", "empty"],
)
def test_arrays_that_are_no_radiograph(pixels: np.ndarray) -> None:
    with pytest.raises(UnsupportedImageError):
        compress(pixels, Stored())


def test_lattice_without_loss_is_the_default() -> None:
    header = parse(compress(_gradient((16, 16)))).header
    assert (header.codec, header.tile, header.max_error) == ("LTTC", Lattice().tile, 0)


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.codec_id)
def test_the_same_image_gives_the_same_bytes(codec: Codec) -> None:
    assert compress(IMAGE, codec) == compress(IMAGE, codec)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_bytes_can_be_decompressed(lossless: bytes, kind: type) -> None:
    np.testing.assert_array_equal(decompress(kind(lossless)).pixels, IMAGE.pixels)


def test_verify_tells_what_a_stream_promises(lossy: bytes, lossless: bytes) -> None:
    found = verify(lossless)
    assert (found.identical, found.exact, found.max_error) == (True, True, 0)
    found = verify(lossy, threads=1)
    assert (found.identical, found.exact, found.max_error) == (True, False, None)


@pytest.mark.parametrize("max_error", [0, 1, 5])
def test_verify_proves_the_bound_on_the_original(max_error: int) -> None:
    data = compress(IMAGE, Lattice(max_error, tile=64))
    found = verify(data, original=IMAGE)
    assert (found.identical, found.exact, found.max_error) == (True, True, max_error)
    error = np.abs(decompress(data).pixels.astype(int) - IMAGE.pixels).max()
    assert found.largest_error == error <= max_error
    assert verify(data).largest_error is None
    pixels = IMAGE.pixels.copy()
    pixels[-1, -1] -= max_error + error + 1
    with pytest.raises(CorruptError, match=rf"from the original; the file promises {max_error} at"):
        verify(data, original=dataclasses.replace(IMAGE, pixels=pixels))


def test_verify_of_what_promises_nothing_still_measures(lossy: bytes) -> None:
    error = np.abs(decompress(lossy).pixels.astype(int) - IMAGE.pixels).max()
    assert verify(lossy, original=IMAGE).largest_error == error > 0


@pytest.mark.parametrize(
    "change",
    [
        {"pixels": IMAGE.pixels[:-1]},
        {"pixels": np.stack([IMAGE.pixels] * 2)},
        {"pixels": IMAGE.pixels.astype(np.int16), "bits_stored": 13},
        {"bits_stored": 13},
        {"photometric_interpretation": "MONOCHROME1"},
        {"dicom": b"something"},
    ],
    ids=lambda change: " ".join(change),
)
def test_verify_finds_another_image(lossless: bytes, lossy: bytes, change: dict) -> None:
    for data in (lossless, lossy):
        with pytest.raises(CorruptError, match="the decoded image is not the original: other "):
            verify(data, original=dataclasses.replace(IMAGE, **change))


def test_an_array_can_be_the_original_too() -> None:
    pixels = _gradient().astype(np.uint8)
    assert verify(compress(pixels), original=pixels).largest_error == 0
    # Wider pixels than their bits need come back narrower, with equal values.
    wide = XRay(pixels.astype(np.uint16), 8)
    assert verify(compress(wide), original=wide).largest_error == 0


def test_progress_rises_to_its_total(data: bytes) -> None:
    for run in (
        lambda progress: decompress(data, progress=progress),
        lambda progress: verify(data, progress=progress),
        lambda progress: compress(IMAGE, CODECS[0], progress=progress),
        lambda progress: compress(IMAGE, CODECS[1], progress=progress),
        lambda progress: compress(IMAGE, CODECS[2], progress=progress),
    ):
        seen: list[tuple[int, int]] = []
        run(lambda done, total, seen=seen: seen.append((done, total)))
        assert {total for _, total in seen} == {seen[-1][0]}
        assert all(a[0] < b[0] for a, b in itertools.pairwise(seen))


def _with_another_digest(data: bytes) -> bytes:
    payload = bytearray(edit.payload_of(data, b"HASH"))
    payload[-1] ^= 1
    return edit.with_payload(data, b"HASH", bytes(payload))


def test_pixels_that_differ_by_rounding_are_told_and_given(lossy: bytes) -> None:
    """As on a machine whose floating point rounds in another order than the encoder's."""
    drifted = _with_another_digest(lossy)
    with pytest.warns(PixelDriftWarning, match=r"differ from the encoder's.*spec/rnn-conv\.md"):
        result = decompress(drifted, threads=1)
    np.testing.assert_array_equal(result.pixels, decompress(lossy, threads=1).pixels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not verify(drifted, threads=1).identical


def test_exact_pixels_that_differ_are_damage(lossless: bytes) -> None:
    for read in (decompress, verify):
        with pytest.raises(CorruptError, match="differ from the hash"):
            read(_with_another_digest(lossless))


def test_rnn_conv_promises_neither_exact_pixels_nor_a_bound(lossy: bytes) -> None:
    for fields in ({"flags": 2}, {"max_error": 7}, {"flags": 2, "max_error": 0}):
        with pytest.raises(CorruptError, match="RNNC neither is exact nor bounds the error"):
            decompress(edit.with_head(lossy, **fields))


def test_a_model_that_is_not_at_hand_is_named(lossy: bytes) -> None:
    for read in (decompress, verify):
        with pytest.raises(ModelError, match=f"no model pack {'ab' * 32} in .*XRAYCODEC_MODELS"):
            read(edit.with_head(lossy, model=b"\xab" * 32))


def test_a_codec_of_a_later_version(data: bytes) -> None:
    for read in (decompress, verify):
        with pytest.raises(
            UnsupportedFormatError, match=r"needs codec 'WXYZ'.*RNNC, WAVE, TODE, RAWZ"
        ):
            read(edit.with_head(data, codec=b"WXYZ"))


def test_limits_are_the_callers(data: bytes) -> None:
    for read in (decompress, verify):
        with pytest.raises(LimitError, match="1920 pixels; the limit is 1919"):
            read(data, limits=Limits(max_pixels=1919))


def test_bytes_that_are_no_stream_or_a_part_of_one(data: bytes) -> None:
    for read in (decompress, verify):
        for damaged in (b"", b"\x89PNG\r\n\x1a\n", data[1:]):
            with pytest.raises(NotXrcError):
                read(damaged)
        with pytest.raises(TruncatedError, match=r"(tiles|layers) are intact"):
            read(data[:-1])
        with pytest.raises(CorruptError, match="1 bytes follow"):
            read(data + b"\0")


@pytest.mark.parametrize(
    "settings", [{"ratio": 1.9}, {"ratio": 257}, {"ratio": float("nan")}, {"tile": 64}]
)
def test_what_rnn_conv_cannot_do(settings: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        RnnConv(**settings)
