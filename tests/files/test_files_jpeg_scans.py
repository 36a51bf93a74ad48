"""JPEG scans: whole ones of every process pass, damaged ones that libjpeg decodes do not."""

from __future__ import annotations

import io
import random
import re

import imagecodecs
import numpy as np
import pytest
from files_building import compressed_dicom, random_pixels
from PIL import Image

from xraycodec.dicom.transcode import read
from xraycodec.errors import CorruptImageError, UnsupportedImageError
from xraycodec.files import decode
from xraycodec.files.jpeg_scans import check_scans

_SHAPES = [(1, 1), (8, 8), (13, 17), (64, 80), (1, 150), (150, 1)]


def _smooth(shape: tuple[int, int], bits: int) -> np.ndarray:
    """A radiograph of a kind: slopes, noise, and a background at the end of the range."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    wave = (np.sin(columns / 17) + np.cos(rows / 23)) / 2 + 0.3
    noise = np.random.default_rng(0).normal(0, 0.02, shape)
    return np.clip((wave + noise) * (1 << bits), 0, (1 << bits) - 1).astype(
        "u1" if bits <= 8 else "u2"
    )


def _pillow(pixels: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=90, **options)
    return stream.getvalue()


def _lossless(pixels: np.ndarray, bits: int, predictor: int = 1) -> bytes:
    return imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=predictor, bitspersample=bits)


_WRITERS = {
    "baseline": lambda shape: imagecodecs.jpeg8_encode(_smooth(shape, 8), level=90),
    "optimised tables": lambda shape: _pillow(_smooth(shape, 8), optimize=True),
    "restart markers": lambda shape: _pillow(_smooth(shape, 8), restart_marker_blocks=3),
    "progressive": lambda shape: _pillow(_smooth(shape, 8), progressive=True),
    "progressive with restart markers": lambda shape: _pillow(
        _smooth(shape, 8), progressive=True, restart_marker_blocks=2
    ),
    "extended": lambda shape: imagecodecs.jpeg8_encode(
        _smooth(shape, 12), level=90, bitspersample=12
    ),
    "lossless of 8 bits": lambda shape: _lossless(_smooth(shape, 8), 8),
    "lossless of 12 bits": lambda shape: _lossless(_smooth(shape, 12), 12, 6),
    "lossless of 16 bits": lambda shape: _lossless(_smooth(shape, 16), 16),
}
_WHOLE = {name: write((64, 80)) for name, write in _WRITERS.items()}


@pytest.mark.parametrize("name", _WRITERS)
@pytest.mark.parametrize("shape", _SHAPES)
def test_whole_scans(name, shape):
    data = _WRITERS[name](shape)
    assert check_scans(data) == data


@pytest.mark.parametrize("bits", range(2, 17))
@pytest.mark.parametrize("shape", [(1, 1), (13, 17)])
def test_whole_lossless_scans_of_noise(bits, shape):
    """Noise has differences of every size, 32768 among them, which has no bits of its own."""
    pixels = random_pixels(shape, bits)
    for predictor in range(1, 8):
        data = _lossless(pixels, bits, predictor)
        assert check_scans(data) == data


@pytest.mark.parametrize("quality", [1, 50, 100])
def test_whole_scans_of_noise(quality):
    for pixels in (random_pixels((33, 70), 8), random_pixels((33, 70), 12)):
        bits = 8 * pixels.dtype.itemsize * 3 // 4 if pixels.itemsize == 2 else 8
        data = imagecodecs.jpeg8_encode(pixels, level=quality, bitspersample=bits)
        assert check_scans(data) == data


def _scan_of(data: bytes) -> tuple[int, int]:
    """Where the first scan's entropy-coded data begin, and where the file's end marker is."""
    header = data.index(b"\xff\xda")
    return header + 2 + int.from_bytes(data[header + 2 : header + 4], "big"), len(data) - 2


@pytest.mark.parametrize("name", _WHOLE)
def test_cut_scans_with_an_end_marker(name):
    data = _WHOLE[name]
    begin, end = _scan_of(data)
    for stop in range(begin, end - 1, max(1, (end - begin) // 50)):
        with pytest.raises(CorruptImageError):
            decode(data[:stop] + b"\xff\xd9")


@pytest.mark.parametrize("name", _WHOLE)
def test_overwritten_scans(name):
    """Random bytes over half of a scan; fewer may by chance make as many codes."""
    data = _WHOLE[name]
    begin, end = _scan_of(data)
    source = random.Random(name)
    count = (end - begin) // 2
    for _ in range(20):
        damaged = bytearray(data)
        start = source.randrange(begin, end - count)
        damaged[start : start + count] = source.randbytes(count)
        with pytest.raises(CorruptImageError):
            decode(bytes(damaged))


@pytest.mark.parametrize("name", _WHOLE)
@pytest.mark.parametrize("extra", [b"\0", b"\x12\x34", b"\xff\x00"])
def test_bytes_before_the_end_marker(name, extra):
    data = _WHOLE[name]
    with pytest.raises(CorruptImageError, match="superfluous bytes"):
        decode(data[:-2] + extra + data[-2:])


@pytest.mark.parametrize("name", _WHOLE)
def test_bytes_after_the_end_marker_are_ignored(name):
    data = _WHOLE[name]
    assert np.array_equal(decode(data + b"\0more").pixels, decode(data).pixels)


def test_fill_bytes_before_markers():
    data = _WHOLE["restart markers"]
    filled = re.sub(rb"\xff([\xd0-\xd9])", b"\xff\xff\xff\\1", data[2:])
    assert len(filled) > len(data)
    assert np.array_equal(decode(data[:2] + filled).pixels, decode(data).pixels)


def test_restart_markers_out_of_sequence():
    data = _WHOLE["restart markers"]
    assert data.count(b"\xff\xd1") > 0
    for wrong, message in ((b"\xff\xd2", "restart marker is missing"), (b"", "superfluous bytes")):
        with pytest.raises(CorruptImageError, match=message):
            decode(data.replace(b"\xff\xd1", wrong, 1))


def test_missing_progressive_scans():
    """Each but the last scan may be the end of a download that was given an end marker."""
    data = _WHOLE["progressive"]
    headers = [found.start() for found in re.finditer(b"\xff\xda", data)]
    assert len(headers) > 3
    for position in headers[1:]:
        with pytest.raises(CorruptImageError, match="of the 64 coefficients"):
            decode(data[:position] + b"\xff\xd9")


def test_progressive_scans_out_of_order():
    data = _WHOLE["progressive"]
    header = data.rindex(b"\xff\xda")
    with pytest.raises(CorruptImageError, match="does not continue"):
        decode(data[:-2] + data[header:])


def test_a_second_scan_of_a_sequential_image():
    data = _WHOLE["baseline"]
    with pytest.raises(CorruptImageError, match="second scan"):
        decode(data[:-2] + data[data.index(b"\xff\xda") :])


def test_a_huffman_table_that_is_missing():
    data = _WHOLE["lossless of 8 bits"]
    start = data.index(b"\xff\xc4")
    length = int.from_bytes(data[start + 2 : start + 4], "big")
    with pytest.raises(CorruptImageError, match="table 00 is missing"):
        decode(data[:start] + data[start + 2 + length :])


def test_huffman_tables_that_make_no_sense():
    data = _WHOLE["lossless of 8 bits"]
    start = data.index(b"\xff\xc4") + 5
    for counts in (b"\x03", b"\x00\xff"):  # codes of 1 and 2 bits: more than there are
        with pytest.raises(CorruptImageError, match="Huffman table"):
            decode(data[:start] + counts + data[start + len(counts) :])


def test_arithmetic_coding_is_not_read():
    data = bytearray(_WHOLE["baseline"])
    data[data.index(b"\xff\xc0") + 1] = 0xC9
    with pytest.raises(UnsupportedImageError, match="Huffman coding"):
        decode(bytes(data))


def test_se_of_a_lossless_scan_is_ignored():
    data = bytearray(_WHOLE["lossless of 12 bits"])
    begin, _ = _scan_of(data)
    data[begin - 2] = 63
    expected = decode(_WHOLE["lossless of 12 bits"])
    assert np.array_equal(decode(bytes(data)).pixels, expected.pixels)


@pytest.mark.parametrize("reader", [decode, read])
def test_frames_of_dicom(reader):
    """`read` is what transcoding begins with."""
    pixels = _smooth((64, 80), 12)
    frame = _lossless(pixels, 12)
    begin, end = _scan_of(frame)
    cut = frame[: (begin + end) // 2] + b"\xff\xd9"
    data = compressed_dicom([frame, cut], np.stack([pixels] * 2), 12, "1.2.840.10008.1.2.4.70")
    with pytest.raises(CorruptImageError, match="frame 1: JPEG: the scan is damaged"):
        reader(data)


@pytest.mark.parametrize("tile", [None, (32, 48)])
def test_jpeg_in_tiff(tile):
    """In strips by Pillow, with tables of their own; in tiles by libtiff."""
    pixels = _smooth((64, 96), 8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "TIFF", compression="jpeg")
    data = stream.getvalue()
    if tile:
        data = imagecodecs.tiff_encode(pixels, tile=tile, compression="jpeg")
    assert decode(data).pixels.shape == pixels.shape
    header = data.rindex(b"\xff\xda")
    begin, end = header + 10, data.index(b"\xff\xd9", header)
    middle = (begin + end) // 2
    with pytest.raises(CorruptImageError, match="the scan is damaged"):
        decode(data[:middle] + b"\xff\xd9" + bytes(end - middle) + data[end + 2 :])
