"""What the functions of the package take for an image, a file, a codec, and refuse."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xraycodec import (
    Lattice,
    NotXrcError,
    OptionError,
    RnnConv,
    Stored,
    Toderici,
    UnsupportedImageError,
    Wavelet,
    XRay,
    compress,
    decompress,
    decompress_part,
    decompress_prefix,
    inspect,
    read,
    verify,
    write,
)
from xraycodec.codecs.base import Codec

CODECS = (RnnConv(8, 128), Stored(tile=32), Lattice(tile=64), Wavelet(), Toderici(1, 32))


def _gradient(shape: tuple[int, ...] = (40, 48)) -> np.ndarray:
    rows, columns = np.mgrid[: shape[-2], : shape[-1]]
    return np.broadcast_to(30 * rows + 50 * columns, shape).astype(np.uint16)


IMAGE = XRay(_gradient(), 12)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_last_axis_of_channels_is_not_taken_for_columns(
    tmp_path: Path, channels: int, order: str
) -> None:
    colour = np.zeros((40, 48, channels), np.uint8, order)
    data = compress(np.zeros((40, 48), np.uint8), Stored())
    for use in (
        lambda: compress(colour, Stored()),
        lambda: verify(data, original=colour),
        lambda: write(colour, tmp_path / "x.tif"),
    ):
        with pytest.raises(UnsupportedImageError, match=rf"\(40, 48, {channels}\).*channels.*XRay"):
            use()
    assert not list(tmp_path.iterdir())
    frames = XRay(colour, 8)
    found = decompress(compress(frames, Stored()))
    assert found.pixels.shape == (40, 48, channels)
    assert verify(compress(frames, Stored()), original=frames).largest_error == 0


@pytest.mark.parametrize(
    "arrange",
    [
        np.asfortranarray,
        lambda pixels: np.repeat(pixels, 2, axis=1)[:, ::2],
        lambda pixels: np.ascontiguousarray(pixels[::-1, ::-1])[::-1, ::-1],
        lambda pixels: np.ascontiguousarray(pixels.T).T,
        lambda pixels: pixels.view(np.memmap),
        lambda pixels: np.frombuffer(pixels.tobytes(), pixels.dtype).reshape(pixels.shape),
    ],
    ids=["Fortran", "steps", "backwards", "transposed", "subclass", "read-only"],
)
@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.codec_id)
def test_pixels_in_any_place_in_memory(codec: Codec, arrange) -> None:
    pixels = _gradient()
    arranged = arrange(pixels)
    assert compress(arranged, codec) == compress(pixels, codec)
    assert verify(compress(pixels, codec), original=arranged).largest_error is not None
    frames = _gradient((2, 16, 15))
    assert compress(np.asfortranarray(frames), codec) == compress(frames, codec)


class _DataSet:
    pixel_array = None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("x.png", r"not the name of a file: pass xraycodec\.read\(path\)"),
        (Path("x.png"), r"not the name of a file: pass xraycodec\.read\(path\)"),
        (b"\x89PNG", r"not the bytes of a file: pass xraycodec\.read\(io"),
        (io.BytesIO(), r"not an open file: pass xraycodec\.read\(file\)"),
        (_DataSet(), r"not a pydicom data set: pass xraycodec\.read\(path\)"),
        ([[1, 2], [3, 4]], "not an object of type list; allowed are XRay and NumPy arrays"),
        (np.uint8(3), "not an object of type uint8"),
        (np.ma.masked_equal(_gradient(), 0), "masked array"),
    ],
    ids=["str", "path", "bytes", "file", "data set", "list", "scalar", "masked"],
)
def test_what_is_given_in_place_of_an_image(tmp_path: Path, given: Any, message: str) -> None:
    data = compress(IMAGE, Stored())
    for use in (
        lambda: compress(given),
        lambda: verify(data, original=given),
        lambda: XRay(given, 8),
        lambda: write(given, tmp_path / "x.png"),
    ):
        with pytest.raises(UnsupportedImageError, match=message):
            use()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("function", [decompress, verify, inspect])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("x.xrc", "not its name; pathlib"),
        (Path("x.xrc"), "not its name; pathlib"),
        (io.BytesIO(), "not an open file; file.read"),
        (None, "not an object of type NoneType"),
        (IMAGE, "not an object of type XRay"),
    ],
    ids=["str", "path", "file", "nothing", "image"],
)
def test_what_is_given_in_place_of_bytes(function, given: Any, message: str) -> None:
    with pytest.raises(NotXrcError, match=f"the bytes of an .xrc file are expected, {message}"):
        function(given)


@pytest.mark.parametrize("function", [decompress_part, decompress_prefix])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("x.xrc", "not its name"),
        (io.StringIO("x"), "open as text; allowed are files open with mode 'rb'"),
        (IMAGE, "not an object of type XRay"),
    ],
    ids=["str", "text", "image"],
)
def test_what_is_given_in_place_of_a_file(function, given: Any, message: str) -> None:
    with pytest.raises(NotXrcError, match=message):
        function(given)


@pytest.mark.parametrize("given", [b"P5", 7, None], ids=["bytes", "number", "nothing"])
def test_what_cannot_be_read(given: Any) -> None:
    with pytest.raises(UnsupportedImageError, match="a path or a binary file is expected"):
        read(given)


def test_a_text_file_cannot_be_read() -> None:
    with pytest.raises(UnsupportedImageError, match="open with mode 'rb'"):
        read(io.StringIO("P2 1 1 1 1"))  # type: ignore[arg-type]


def test_an_xrc_file_is_no_image_file() -> None:
    with pytest.raises(UnsupportedImageError, match=r"\.xrc file already.*xraycodec\.decompress"):
        read(io.BytesIO(compress(IMAGE, Stored())))


def test_arrays_are_written_as_images_of_all_their_bits(tmp_path: Path) -> None:
    write(_gradient(), tmp_path / "x.png")
    back = read(tmp_path / "x.png")
    assert back.bits_stored == 16
    np.testing.assert_array_equal(back.pixels, _gradient())


@pytest.mark.parametrize("codec", ["lattice", Lattice, 3])
def test_what_is_given_in_place_of_a_codec(codec: Any) -> None:
    with pytest.raises(OptionError, match=r"allowed is an object such as xraycodec\.Lattice\(\)"):
        compress(IMAGE, codec)


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.codec_id)
def test_threads_are_given_to_compress_too(codec: Codec) -> None:
    assert compress(IMAGE, codec, threads=2) == compress(IMAGE, codec)


@pytest.mark.parametrize(
    ("threads", "message"),
    [(-1, "-1 threads; 0 uses every core"), (1.5, r"threads are 1\.5; allowed is an integer")],
)
def test_threads_that_cannot_be(threads: Any, message: str) -> None:
    data = compress(IMAGE, threads=1)
    for use in (
        lambda: compress(IMAGE, threads=threads),
        lambda: compress(IMAGE, Stored(), threads=threads),
        lambda: decompress(data, threads=threads),
        lambda: verify(data, threads=threads),
        lambda: decompress_part(data, threads=threads),
        lambda: decompress_prefix(data, threads=threads),
        lambda: RnnConv(threads=threads),
        lambda: Toderici(threads=threads),
        lambda: Wavelet(threads=threads),
        lambda: Lattice(threads=threads),
    ):
        with pytest.raises(OptionError, match=message):
            use()


def test_an_image_is_an_array_of_its_pixels() -> None:
    assert np.shares_memory(np.asarray(IMAGE), IMAGE.pixels)
    np.testing.assert_array_equal(np.asarray(IMAGE), IMAGE.pixels)
    assert np.asarray(IMAGE).dtype == np.uint16
    assert np.asarray(IMAGE, np.float32).dtype == np.float32
    assert not np.shares_memory(np.array(IMAGE), IMAGE.pixels)
    assert np.stack([IMAGE, IMAGE]).shape == (2, 40, 48)
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        assert np.shares_memory(np.array(IMAGE, copy=False), IMAGE.pixels)
        with pytest.raises(ValueError, match="Unable to avoid copy"):
            np.array(IMAGE, np.float32, copy=False)


@pytest.mark.parametrize("bits", ["12", 12.0, None])
def test_bits_stored_of_another_type(bits: Any) -> None:
    with pytest.raises(UnsupportedImageError, match="allowed is an integer"):
        XRay(_gradient(), bits)
    assert type(XRay(_gradient(), np.int64(12)).bits_stored) is int
