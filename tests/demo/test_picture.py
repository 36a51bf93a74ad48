from __future__ import annotations

import io
import math

import numpy as np
import pytest
from PIL import Image

from xraycodec.demo import picture
from xraycodec.demo.picture import side_by_side
from xraycodec.errors import OptionError
from xraycodec.image import XRay


def gradient(rows, columns, bits=12, dtype=np.uint16, low=0):
    ramp = np.linspace(0, (1 << bits) - 1, columns) * np.linspace(0.5, 1, rows)[:, None]
    return (np.rint(ramp) + low).astype(dtype)


def opened(file):
    image = Image.open(io.BytesIO(file))
    image.load()
    assert image.format == "PNG"
    assert image.mode == "RGB"
    return image


def page_width(cell):
    return 3 * cell + 2 * picture.GAP_PX + 2 * picture.MARGIN_PX


def test_size_of_the_page():
    x = gradient(200, 200)
    image = opened(side_by_side(XRay(x, 12), XRay(x, 12), "one line"))
    assert image.width == page_width(picture.CELL_PX)  # 400 pixels, twice enlarged, in a cell
    assert image.height > 400
    x = gradient(1000, 600)
    image = opened(side_by_side(XRay(x, 12), XRay(x, 12), "one line"))
    assert image.width == page_width(600)
    assert 1000 + 512 < image.height < 1000 + 512 + 250


def test_large_images_are_reduced():
    x = gradient(2100, 3000)
    image = opened(side_by_side(XRay(x, 12), XRay(x, 12), ""))
    assert image.width == page_width(1024)
    assert image.height < 717 + 512 + 250


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 900), (900, 1), (2, 3), (257, 5), (5, 3000), (255, 257), (31, 1200)]
)
def test_any_shape(shape):
    x = np.random.default_rng(0).integers(0, 4096, shape, dtype=np.uint16)
    y = np.random.default_rng(1).integers(0, 4096, shape, dtype=np.uint16)
    opened(side_by_side(XRay(x, 12), XRay(y, 12), "caption"))


@pytest.mark.parametrize(
    ("dtype", "bits"), [("u1", 1), ("u1", 8), ("i1", 8), ("i2", 10), ("i2", 16), ("u2", 16)]
)
def test_any_pixel_type(dtype, bits):
    low = -(1 << (bits - 1)) if dtype.startswith("i") else 0
    x = gradient(64, 64, bits, dtype, low)
    opened(side_by_side(XRay(x, bits), XRay(x[::-1].copy(), bits), "caption"))


def test_signed_pixels_look_like_unsigned_ones():
    x, y = gradient(64, 64), gradient(64, 64)[:, ::-1]
    signed = [XRay(v.astype(np.int16) - 2048, 12) for v in (x, y)]
    unsigned = [XRay(v, 12) for v in (x, y.copy())]
    assert side_by_side(*signed, "c") == side_by_side(*unsigned, "c")


def test_monochrome1_is_shown_inverted():
    x = gradient(300, 300)
    y = np.clip(x.astype(int) + 40, 0, 4095).astype(np.uint16)
    direct = side_by_side(XRay(x, 12), XRay(y, 12), "c")
    stored = [XRay(4095 - v, 12, "MONOCHROME1") for v in (x, y)]
    a, b = (np.asarray(opened(file), int) for file in (direct, side_by_side(*stored, "c")))
    assert a.shape == b.shape
    # Equal but for pixels that fall on the middle between two grey values.
    assert np.mean(np.abs(a - b) > 1) < 1e-3


def test_the_first_of_several_frames_is_drawn():
    x = gradient(40, 50)
    frames = np.stack([x, x[::-1], x[:, ::-1]])
    assert side_by_side(XRay(frames, 12), XRay(frames, 12), "c") == side_by_side(
        XRay(x, 12), XRay(x, 12), "c"
    )


def test_zero_difference_is_mid_grey_and_the_gain_is_applied():
    x = gradient(512, 512, bits=8, dtype=np.uint8)
    x[:, :10], x[:, -10:] = 0, 255  # the window is then the whole range
    y = x.copy()
    y[256:, 100:400] += 3
    file = side_by_side(XRay(x, 8), XRay(y, 8), "c", difference_gain=8)
    image = np.asarray(opened(file))[..., 0]
    left = picture.MARGIN_PX + 2 * (512 + picture.GAP_PX)
    difference = image[:, left : left + 512]
    values, counts = np.unique(difference, return_counts=True)
    common = set(values[np.argsort(counts)[-3:]])
    assert 128 in common
    assert 128 + 24 in common or 128 + 25 in common


@pytest.mark.parametrize("error", [1, 3, 20, 200, 2000])
def test_the_gain_is_a_power_of_two_that_fits(error):
    difference = np.full((50, 50), error, np.float32)
    gain = picture._fitting_gain(difference, slope=255 / 4095)
    assert math.log2(gain).is_integer()
    shown = gain * error * 255 / 4095
    assert gain == 1 or 63 < shown <= 127 or gain == picture.MAX_GAIN


def test_the_gain_of_rare_and_of_no_errors():
    difference = np.zeros((200, 200), np.float32)
    assert picture._fitting_gain(difference, 1.0) == 1
    difference[7, 9] = -2
    assert picture._fitting_gain(difference, 1.0) == 32


def test_the_detail_is_taken_where_the_structure_is():
    x = np.full((1000, 1200), 1000, np.uint16)
    rng = np.random.default_rng(0)
    x[500:700, 640:800] += np.kron(rng.integers(0, 500, (25, 20)), np.ones((8, 8))).astype("u2")
    rows, columns = picture._busiest_part(x, 256, 512)
    assert (rows.stop - rows.start, columns.stop - columns.start) == (256, 512)
    assert rows.start <= 504
    assert rows.stop >= 696
    assert columns.start <= 644
    assert columns.stop >= 796


@pytest.mark.parametrize(
    "caption", ["", "a\nb\nc", "12 \N{MULTIPLICATION SIGN} 3 \N{EM DASH} \u9aa8", "wide " * 200]
)
def test_any_caption(caption):
    x = gradient(30, 30)
    image = opened(side_by_side(XRay(x, 12), XRay(x, 12), caption))
    assert image.width == page_width(30 * (512 // 30))


@pytest.mark.parametrize("gain", [0, -1, math.nan, math.inf])
def test_the_gain_must_be_positive(gain):
    x = XRay(gradient(4, 4), 12)
    with pytest.raises(OptionError, match="gain"):
        side_by_side(x, x, "c", difference_gain=gain)


def test_images_must_be_comparable():
    x = XRay(gradient(4, 4), 12)
    with pytest.raises(ValueError, match="shape"):
        side_by_side(x, XRay(gradient(4, 5), 12), "c")
    with pytest.raises(ValueError, match="MONOCHROME1"):
        side_by_side(x, XRay(gradient(4, 4), 12, "MONOCHROME1"), "c")
