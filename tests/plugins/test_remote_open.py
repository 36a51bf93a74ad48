"""Opening files by path, URL and file object: the same image, and no more bytes than it takes."""

from __future__ import annotations

import io
import subprocess
import sys

import fsspec
import numpy as np
import pytest
from plugin_building import STORED, damaged, pixels, write_xrc
from range_server import serving

from xraycodec import (
    CorruptError,
    Lattice,
    LimitError,
    Limits,
    NotXrcError,
    OptionError,
    TruncatedError,
    XRay,
    compress,
    remote,
)

# Noise of eight bits, so that the file has several of the blocks that URLs are read in.
NOISE = XRay(np.random.default_rng(1).integers(0, 256, (640, 640), dtype=np.uint8), 8)


@pytest.fixture(scope="module")
def noise() -> bytes:
    return compress(NOISE, Lattice(profile="fast", tile=128))


@pytest.fixture
def image() -> XRay:
    return XRay(pixels((2, 40, 56)), 12, "MONOCHROME1")


@pytest.fixture
def path(tmp_path, image):
    return write_xrc(tmp_path / "chest.xrc", image)


class TestSources:
    @pytest.fixture(params=["path", "string", "file", "bytes", "file URL", "memory URL"])
    def source(self, request, path):
        if request.param == "memory URL":
            fsspec.filesystem("memory").pipe_file("/xrc/chest.xrc", path.read_bytes())
            yield "memory://xrc/chest.xrc"
            fsspec.filesystem("memory").rm("/xrc", recursive=True)
        elif request.param == "file":
            with path.open("rb") as file:
                file.seek(7)
                yield file
                assert not file.closed
        else:
            yield {
                "path": path,
                "string": str(path),
                "bytes": io.BytesIO(path.read_bytes()),
                "file URL": path.as_uri(),
            }[request.param]

    def test_each_gives_the_image_and_its_parts(self, source, image):
        with remote.open(source) as file:
            assert (file.header.frames, file.header.rows, file.header.columns) == (2, 40, 56)
            assert file.scales == (1, 2, 4, 8)
            half = file.read(scale=2)
            corner = file.read(region=(5, 6, 10, 20), threads=1)
            whole = file.read()
        np.testing.assert_array_equal(half.pixels, image.pixels[:, ::2, ::2])
        np.testing.assert_array_equal(corner.pixels, image.pixels[:, 5:15, 6:26])
        np.testing.assert_array_equal(whole.pixels, image.pixels)
        assert whole.photometric_interpretation == "MONOCHROME1"

    def test_other_codecs_have_no_scales(self, tmp_path, image):
        with remote.open(write_xrc(tmp_path / "stored.xrc", image, STORED)) as file:
            assert file.scales == (1,)
            np.testing.assert_array_equal(file.read().pixels, image.pixels)
            with pytest.raises(OptionError, match=r"stored.xrc: .*decodes whole images only"):
                file.read(scale=2)


class TestBytesRead:
    def test_of_a_server(self, noise):
        with serving(noise) as served:
            with remote.open(served.url) as file:
                assert sum(served.sent) <= remote.BLOCK_BYTES
                small = file.read(scale=8)
                assert sum(served.sent) <= 2 * remote.BLOCK_BYTES < len(noise) / 2
                before = sum(served.sent)
                whole = file.read()
            assert sum(served.sent) - before == len(noise)
        np.testing.assert_array_equal(small.pixels, NOISE.pixels[::8, ::8])
        np.testing.assert_array_equal(whole.pixels, NOISE.pixels)

    def test_a_server_without_ranges_gives_the_image_all_the_same(self, noise):
        with serving(noise, ranges=False) as served, remote.open(served.url) as file:
            np.testing.assert_array_equal(file.read(scale=4).pixels, NOISE.pixels[::4, ::4])

    def test_of_a_file(self, noise):
        read = []

        class Counting(io.BytesIO):
            def read(self, size=-1):
                data = super().read(size)
                read.append(len(data))
                return data

        with remote.open(Counting(noise)) as file:
            file.read(scale=8)
        assert sum(read) < len(noise) / 8  # the first layer, and twice the front


class TestRefusals:
    def test_what_is_no_xrc_file(self, tmp_path):
        (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        with pytest.raises(NotXrcError, match=r"x\.png: "):
            remote.open(tmp_path / "x.png")

    def test_what_is_not_there(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            remote.open(tmp_path / "x.xrc")
        with pytest.raises(FileNotFoundError):
            remote.open("memory://nowhere/x.xrc")

    def test_damage_is_named_by_file(self, path):
        path.write_bytes(damaged(path.read_bytes()))
        with remote.open(path) as file, pytest.raises(CorruptError, match=r"chest\.xrc: .*CRC-32"):
            file.read()

    def test_a_file_that_was_cut_off_still_gives_its_smaller_images(self, noise, tmp_path):
        path = tmp_path / "cut.xrc"
        path.write_bytes(noise[: len(noise) // 2])
        with remote.open(path) as file:
            np.testing.assert_array_equal(file.read(scale=4).pixels, NOISE.pixels[::4, ::4])
            with pytest.raises(TruncatedError, match=r"cut\.xrc: "):
                file.read()

    def test_limits(self, path):
        with pytest.raises(LimitError, match=r"chest\.xrc: "):
            remote.open(path, limits=Limits(max_pixels=100))

    @pytest.mark.parametrize("scale", [0, 3, 16])
    def test_other_scales(self, path, scale):
        with remote.open(path) as file, pytest.raises(OptionError, match=f"scale {scale}"):
            file.read(scale=scale)

    def test_regions_outside(self, path):
        with remote.open(path) as file, pytest.raises(OptionError, match="is not inside the image"):
            file.read(region=(0, 0, 41, 56))

    def test_storage_options_without_a_url(self, path):
        with pytest.raises(OptionError, match="storage options anon go with a URL"):
            remote.open(path, anon=True)

    def test_files_that_cannot_seek(self, path):
        class Pipe(io.BytesIO):
            def seekable(self):
                return False

        with pytest.raises(OptionError, match="cannot seek"):
            remote.open(Pipe(path.read_bytes()))

    def test_a_file_that_was_opened_here_is_closed_when_it_is_refused(self, path):
        path.write_bytes(b"nothing")
        with pytest.raises(NotXrcError):  # a file left open would warn, which is an error here
            remote.open(path)


def test_local_paths_need_no_fsspec(path):
    script = f"""
import sys
from xraycodec import remote
with remote.open({str(path)!r}) as file:
    file.read(scale=2)
assert "fsspec" not in sys.modules
sys.modules["fsspec"] = None
try:
    remote.open("s3://bucket/x.xrc")
except ImportError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "s3://bucket/x.xrc: URLs need the package fsspec" in done.stdout
