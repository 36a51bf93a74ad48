"""imageio v3 with the plug-in: images, frames, properties, writing, and what it refuses."""

from __future__ import annotations

import imageio.v3 as iio
import numpy as np
import pytest
from plugin_building import damaged, pixels, write_xrc

from xraycodec import CorruptError, OptionError, UnsupportedImageError, XRay, decompress
from xraycodec.plugins.imageio import XrcPlugin


@pytest.fixture
def path(tmp_path):
    return write_xrc(tmp_path / "x.xrc", XRay(pixels(), 12, "MONOCHROME1"))


@pytest.fixture
def cine(tmp_path):
    return write_xrc(tmp_path / "cine.xrc", XRay(pixels((3, 20, 30), 8), 8))


class TestReading:
    def test_a_path_bytes_and_a_file(self, path):
        array = pixels()
        for source in (path, str(path), path.read_bytes()):
            found = iio.imread(source)
            assert found.dtype == np.uint16
            np.testing.assert_array_equal(found, array)
        with path.open("rb") as file:
            np.testing.assert_array_equal(iio.imread(file, extension=".xrc"), array)

    def test_the_array_is_the_callers_to_change(self, path):
        with iio.imopen(path, "r") as file:
            file.read()[:] = 0
            np.testing.assert_array_equal(file.read(), pixels())

    def test_the_plugin_without_registration(self, path):
        np.testing.assert_array_equal(iio.imread(path, plugin=XrcPlugin), pixels())

    def test_scales(self, path):
        np.testing.assert_array_equal(iio.imread(path, scale=4), pixels()[::4, ::4])

    def test_frames(self, cine):
        array = pixels((3, 20, 30), 8)
        np.testing.assert_array_equal(iio.imread(cine), array)
        np.testing.assert_array_equal(iio.imread(cine, index=...), array)
        np.testing.assert_array_equal(iio.imread(cine, index=2), array[2])
        np.testing.assert_array_equal(list(iio.imiter(cine)), array)
        np.testing.assert_array_equal(list(iio.imiter(cine, scale=2)), array[:, ::2, ::2])

    def test_one_image_as_a_batch(self, path):
        assert iio.imread(path, index=...).shape == (1, 40, 56)

    def test_properties(self, path, cine):
        one, many = iio.improps(path), iio.improps(cine)
        assert (one.shape, one.dtype, one.n_images, one.is_batch) == ((40, 56), "u2", None, False)
        assert (many.shape, many.dtype, many.n_images) == ((3, 20, 30), "u1", 3)
        assert many.is_batch
        assert iio.improps(cine, index=1).shape == (20, 30)
        assert iio.improps(path, index=...).shape == (1, 40, 56)

    def test_metadata(self, path):
        assert iio.immeta(path) == {
            "codec": "lattice",
            "bits_stored": 12,
            "photometric_interpretation": "MONOCHROME1",
            "lossless": True,
            "max_error": 0,
            "frames": 1,
        }

    def test_properties_need_no_decoding(self, path):
        path.write_bytes(damaged(path.read_bytes()))
        assert iio.improps(path).shape == (40, 56)
        with pytest.raises(CorruptError):
            iio.imread(path)

    @pytest.mark.parametrize("index", [3, -1])
    def test_frames_that_are_not_there(self, cine, index):
        with pytest.raises(ValueError, match=f"no frame {index}; there are 0 to 2"):
            iio.imread(cine, index=index)

    def test_other_files(self, tmp_path):
        (tmp_path / "x.xrc").write_bytes(b"nothing that is known")
        with pytest.raises(OSError, match="can not handle the given uri"):
            iio.imread(tmp_path / "x.xrc", plugin="xraycodec")

    def test_files_of_other_kinds_are_left_to_others(self, tmp_path):
        data = iio.imwrite("<bytes>", pixels(bits=8), extension=".png")
        (tmp_path / "x.xrc").write_bytes(data)
        np.testing.assert_array_equal(iio.imread(tmp_path / "x.xrc"), pixels(bits=8))
        iio.imwrite(tmp_path / "x.png", pixels(bits=8))
        np.testing.assert_array_equal(iio.imread(tmp_path / "x.png"), pixels(bits=8))


class TestWriting:
    @pytest.mark.parametrize(("shape", "bits"), [((40, 56), 12), ((3, 20, 30), 8)])
    def test_round_trip(self, tmp_path, shape, bits):
        array = pixels(shape, bits)
        iio.imwrite(tmp_path / "x.xrc", array, profile="fast", bits_stored=bits)
        back = decompress((tmp_path / "x.xrc").read_bytes())
        assert back.bits_stored == bits
        np.testing.assert_array_equal(back.pixels, array)

    def test_lists_are_frames(self, tmp_path):
        array = pixels((3, 20, 30))
        iio.imwrite(tmp_path / "x.xrc", list(array))
        np.testing.assert_array_equal(iio.imread(tmp_path / "x.xrc"), array)

    def test_to_bytes(self):
        array = pixels()
        data = iio.imwrite("<bytes>", array, extension=".xrc", max_error=2)
        assert 0 < np.abs(decompress(data).pixels.astype(int) - array).max() <= 2

    @pytest.mark.parametrize(
        ("array", "settings", "error"),
        [
            (np.zeros((4, 4)), {}, UnsupportedImageError),
            (np.zeros((4, 4), "i8"), {}, UnsupportedImageError),
            (np.zeros(4, "u1"), {}, UnsupportedImageError),
            (np.zeros((9, 8, 3), "u1"), {}, UnsupportedImageError),
            ([np.zeros((9, 8, 3), "u1")], {}, UnsupportedImageError),
            (np.ma.masked_equal(np.zeros((9, 8), "u1"), 0), {}, UnsupportedImageError),
            (np.full((4, 4), 9, "u1"), {"bits_stored": 3}, UnsupportedImageError),
            (np.zeros((4, 4), "u1"), {"max_error": -1}, OptionError),
            (np.zeros((4, 4), "u1"), {"quality": 9}, TypeError),
            ([np.zeros((4, 4), "u1"), np.zeros((4, 5), "u1")], {}, ValueError),
        ],
    )
    def test_refusals(self, tmp_path, array, settings, error):
        with pytest.raises(error):
            iio.imwrite(tmp_path / "x.xrc", array, **settings)
        assert not (tmp_path / "x.xrc").exists()

    def test_a_list_of_narrow_images_is_no_colour_image(self, tmp_path):
        iio.imwrite(tmp_path / "x.xrc", [pixels((9, 3)), pixels((9, 3))])
        assert iio.imread(tmp_path / "x.xrc").shape == (2, 9, 3)

    def test_other_suffixes(self, tmp_path):
        with pytest.raises(OSError, match="can not handle"):
            iio.imwrite(tmp_path / "x.png", pixels(), plugin="xraycodec")
