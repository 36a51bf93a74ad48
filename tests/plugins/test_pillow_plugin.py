"""Pillow with the plug-in: modes, frames, drafts, saving, and what it refuses."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageSequence, UnidentifiedImageError
from plugin_building import FAST, STORED, damaged, pixels, write_xrc

import xraycodec.plugins.pillow  # noqa: F401 - registers
from xraycodec import Lattice, OptionError, XRay, compress, decompress, remote
from xraycodec.errors import XrayCodecError


def opened(image: XRay, codec=FAST) -> Image.Image:
    return Image.open(io.BytesIO(compress(image, codec)))


class TestOpen:
    @pytest.mark.parametrize(
        ("bits", "signed", "mode"),
        [
            (8, False, "L"),
            (5, False, "L"),
            (12, False, "I;16"),
            (16, False, "I;16"),
            (8, True, "I"),
            (12, True, "I"),
            (16, True, "I"),
        ],
    )
    def test_modes(self, bits, signed, mode):
        array = pixels((40, 56), bits, signed=signed)
        with opened(XRay(array, bits)) as image:
            assert (image.mode, image.size, image.format) == (mode, (56, 40), "XRC")
            np.testing.assert_array_equal(np.asarray(image), array)
            assert image.getpixel((3, 2)) == array[2, 3]

    def test_by_name_and_what_is_told(self, tmp_path):
        path = write_xrc(tmp_path / "x.xrc", XRay(pixels(), 12, "MONOCHROME1"), Lattice(2, "fast"))
        with Image.open(path) as image:
            assert image.info["bits_stored"] == 12
            assert image.info["photometric_interpretation"] == "MONOCHROME1"
            assert image.info["max_error"] == 2
            assert image.n_frames == 1
            assert not image.is_animated
            image.load()
        path.unlink()  # nothing of it is mapped or open

    def test_nothing_is_decoded_before_it_is_needed(self, monkeypatch):
        def refuse(*_, **__):
            raise AssertionError("decoded")

        monkeypatch.setattr(remote.XrcFile, "read", refuse)
        image = opened(XRay(pixels(), 12))
        assert image.size == (56, 40)
        with pytest.raises(AssertionError, match="decoded"):
            image.load()

    def test_frames(self):
        array = pixels((3, 20, 30))
        with opened(XRay(array, 12)) as image:
            assert image.n_frames == 3
            assert image.is_animated
            for number in (2, 0, 1, 1):
                image.seek(number)
                assert image.tell() == number
                np.testing.assert_array_equal(np.asarray(image), array[number])
            found = [np.asarray(frame) for frame in ImageSequence.Iterator(image)]
            np.testing.assert_array_equal(found, array)
            with pytest.raises(EOFError):
                image.seek(3)

    def test_conversions_pickles_and_copies(self):
        array = pixels(bits=8)
        image = opened(XRay(array, 8))
        np.testing.assert_array_equal(np.asarray(pickle.loads(pickle.dumps(image))), array)
        np.testing.assert_array_equal(np.asarray(image.convert("RGB"))[..., 1], array)
        np.testing.assert_array_equal(np.asarray(image.crop((3, 2, 9, 8))), array[2:8, 3:9])


class TestDraft:
    @pytest.mark.parametrize(
        ("size", "scale"), [((56, 40), 1), ((28, 20), 2), ((20, 20), 2), ((14, 10), 4), ((1, 1), 8)]
    )
    def test_decodes_the_smallest_scale_that_is_large_enough(self, size, scale):
        array = pixels((41, 57))
        image = opened(XRay(array, 12))
        mode, box = image.draft(None, size)
        assert mode == "I;16"
        assert box == (0, 0, 57 / scale, 41 / scale)
        assert image.size == (-(-57 // scale), -(-41 // scale))
        np.testing.assert_array_equal(np.asarray(image), array[::scale, ::scale])

    def test_reads_no_more_than_that(self, tmp_path):
        array = pixels((200, 200), 8)
        data = write_xrc(tmp_path / "x.xrc", XRay(array, 8)).read_bytes()
        image = Image.open(io.BytesIO(data[: len(data) // 2]))
        image.draft(None, (25, 25))
        np.testing.assert_array_equal(np.asarray(image), array[::8, ::8])

    def test_other_codecs_stay_whole(self):
        array = pixels()
        image = opened(XRay(array, 12), STORED)
        image.draft(None, (7, 5))
        np.testing.assert_array_equal(np.asarray(image), array)

    def test_of_frames_and_only_before_the_first_is_loaded(self):
        array = pixels((2, 40, 56))
        image = opened(XRay(array, 12))
        image.draft(None, (14, 10))
        image.seek(1)
        np.testing.assert_array_equal(np.asarray(image), array[1, ::4, ::4])
        assert image.draft(None, (1, 1)) is None
        image.seek(0)
        np.testing.assert_array_equal(np.asarray(image), array[0, ::4, ::4])

    def test_thumbnails_use_it(self):
        image = opened(XRay(pixels((160, 160), 8), 8))
        image.thumbnail((20, 20))
        assert image.size == (20, 20)


class TestSave:
    @pytest.mark.parametrize(
        ("bits", "signed"), [(8, False), (12, False), (16, False), (12, True), (16, True)]
    )
    def test_round_trip(self, tmp_path, bits, signed):
        array = pixels((40, 56), bits, signed=signed)
        image = Image.fromarray(array.astype(np.int32) if signed else array)
        image.save(tmp_path / "x.xrc")
        back = decompress((tmp_path / "x.xrc").read_bytes())
        assert back.pixels.dtype == array.dtype
        np.testing.assert_array_equal(back.pixels, array)

    def test_settings(self, tmp_path):
        array = pixels()
        Image.fromarray(array).save(
            tmp_path / "x.xrc",
            max_error=3,
            profile="fast",
            bits_stored=13,
            photometric_interpretation="MONOCHROME1",
        )
        back = decompress((tmp_path / "x.xrc").read_bytes())
        assert (back.bits_stored, back.photometric_interpretation) == (13, "MONOCHROME1")
        assert 0 < np.abs(back.pixels.astype(int) - array).max() <= 3

    def test_frames(self, tmp_path):
        array = pixels((3, 20, 30), 8)
        first, *rest = map(Image.fromarray, array)
        first.save(tmp_path / "x.xrc", save_all=True, append_images=rest)
        with Image.open(tmp_path / "x.xrc") as image:
            image.save(tmp_path / "y.xrc", save_all=True)
        for name in ("x.xrc", "y.xrc"):
            back = decompress((tmp_path / name).read_bytes())
            np.testing.assert_array_equal(back.pixels, array)

    @pytest.mark.parametrize("mode", ["RGB", "F", "1", "LA", "P"])
    def test_other_modes(self, tmp_path, mode):
        with pytest.raises(OSError, match=f"cannot write mode {mode} as XRC"):
            Image.new(mode, (4, 4)).save(tmp_path / "x.xrc")
        assert not (tmp_path / "x.xrc").exists()

    def test_values_beyond_16_bits(self, tmp_path):
        with pytest.raises(OSError, match="values 0 to 40000 of mode I"):
            Image.fromarray(np.array([[0, 40000]], np.int32)).save(tmp_path / "x.xrc")
        assert not (tmp_path / "x.xrc").exists()

    def test_frames_of_several_sizes(self, tmp_path):
        other = [Image.new("L", (5, 4))]
        with pytest.raises(OSError, match="several sizes"):
            Image.new("L", (4, 4)).save(tmp_path / "x.xrc", save_all=True, append_images=other)

    @pytest.mark.parametrize("settings", [{"max_error": -1}, {"tile": 3}, {"profile": "x"}])
    def test_settings_out_of_bounds(self, tmp_path, settings):
        with pytest.raises(OptionError):
            Image.new("L", (4, 4)).save(tmp_path / "x.xrc", **settings)
        assert not (tmp_path / "x.xrc").exists()


class TestRefusals:
    def test_more_pixels_than_pillow_lets_pass(self, monkeypatch):
        data = compress(XRay(pixels(), 12), FAST)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40 * 56 // 2 - 1)
        with pytest.raises(Image.DecompressionBombError):
            Image.open(io.BytesIO(data))
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40 * 56 - 1)
        with pytest.warns(Image.DecompressionBombWarning):
            Image.open(io.BytesIO(data))
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
        Image.open(io.BytesIO(data)).load()

    def test_frames_count_together(self, monkeypatch):
        data = compress(XRay(pixels((5, 10, 10)), 12), FAST)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
        with pytest.raises(Image.DecompressionBombError, match="500"):
            Image.open(io.BytesIO(data))

    def test_damage(self):
        image = Image.open(io.BytesIO(damaged(compress(XRay(pixels(), 12), FAST))))
        with pytest.raises(OSError, match="CRC-32") as caught:
            image.load()
        assert isinstance(caught.value.__cause__, XrayCodecError)

    def test_damaged_fronts(self):
        data = bytearray(compress(XRay(pixels(), 12), FAST))
        data[20] ^= 1
        with pytest.raises(OSError, match="CRC-32"):
            Image.open(io.BytesIO(data))

    def test_files_of_other_kinds_are_left_to_others(self):
        with pytest.raises(UnidentifiedImageError):
            Image.open(io.BytesIO(b"nothing that is known"))
        png = io.BytesIO()
        Image.new("L", (4, 4)).save(png, "png")
        assert Image.open(png).format == "PNG"


def test_in_a_process_that_imports_nothing_else(tmp_path):
    array = pixels()
    write_xrc(tmp_path / "x.xrc", XRay(array, 12))
    np.save(tmp_path / "x.npy", array)
    script = """
import xraycodec.plugins.pillow, numpy as np
from PIL import Image
assert (np.asarray(Image.open("x.xrc")) == np.load("x.npy")).all()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=600
    )
    assert (done.returncode, done.stderr) == (0, "")
