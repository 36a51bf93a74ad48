"""What a file is, by content or suffix, and the limit on its pixels."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from files_building import (
    DEFLATED,
    compressed_dicom,
    encode_frame,
    native_dicom,
    random_pixels,
    same,
)

from xraycodec import files
from xraycodec.errors import (
    CorruptImageError,
    LimitError,
    OptionError,
    UnsupportedImageError,
)
from xraycodec.files import decode, encode, format_of_suffix, read, sniff, write
from xraycodec.image import XRay
from xraycodec.limits import Limits

PIXELS = random_pixels((13, 17), 12)


BYTES = random_pixels((13, 17), 8)


def test_importing_loads_no_heavy_packages():
    code = (
        "import sys, xraycodec.files;"
        "print([m for m in ('pydicom', 'imagecodecs', 'numba', 'onnxruntime') if m in sys.modules])"
    )
    source = Path(files.__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(source)}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert run.stdout.strip() == "[]"


def test_exported_names():
    assert sorted(files.__all__) == [
        *("check_head", "decode", "encode", "format_of_suffix", "read", "sniff", "write"),
        "write_atomically",
    ]


class TestSniff:
    @pytest.mark.parametrize(
        ("head", "expected"),
        [
            (bytes(128) + b"DICM", "dicom"),
            (b"\x02\x00\x00\x00UL\x04\x00", "dicom"),
            (b"\x08\x00\x05\x00CS\x0a\x00", "dicom"),
            (b"\x00\x08\x00\x05CS\x00\x0a", "dicom"),
            (b"\x08\x00\x00\x00\x04\x00\x00\x00", "dicom"),
            (b"\x08\x00\x16\x00\x1a\x00\x00\x00", "dicom"),
            (b"\x08\x00\x16\x00\xff\xff\xff\xff", None),
            (b"\x08\x00", None),
            (b"\x89PNG\r\n\x1a\n", "png"),
            (b"\x89PNG\n", None),
            (b"II*\x00", "tiff"),
            (b"MM\x00*", "tiff"),
            (b"II+\x00", "tiff"),
            (b"MM\x00+", "tiff"),
            (b"P2 1", "pgm"),
            (b"P5\n1", "pgm"),
            (b"P5#c", "pgm"),
            (b"P6\n1", None),
            (b"P51", None),
            (b"\x93NUMPY", "npy"),
            (b"\xff\x0a", "jpegxl"),
            (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "jpegxl"),
            (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "jpeg2000"),
            (b"\xff\x4f\xff\x51", "jpeg2000"),
            (b"\xff\xd8\xff\xf7\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00", "jpegls"),
            (b"\xff\xd8\xff\xe0\0\4ab\xff\xf7\0\x0b\x08\0\1\0\1\1\1\x11\0", "jpegls"),
            (b"\xff\xd8\xff\xc0\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00", "jpeg"),
            (b"\xff\xd8\xff", "jpeg"),
            (b"", None),
            (b"GIF89a", None),
        ],
    )
    def test_signatures(self, head, expected):
        assert sniff(head) == expected

    def test_encoders_make_what_sniff_finds(self):
        image = XRay(PIXELS, 12)
        for kind in ("dicom", "png", "tiff", "pgm", "npy", "jpegxl"):
            assert sniff(encode(image, kind)) == kind
        assert sniff(imagecodecs.jpegls_encode(PIXELS)) == "jpegls"
        assert sniff(imagecodecs.jpeg2k_encode(PIXELS, level=0)) == "jpeg2000"
        assert sniff(imagecodecs.jpeg8_encode(BYTES)) == "jpeg"


class TestReadAndWrite:
    def test_the_content_decides_on_the_way_in(self, tmp_path):
        path = tmp_path / "image.dcm"
        path.write_bytes(encode(XRay(PIXELS, 12), "png"))
        assert same(read(path), XRay(PIXELS, 12))
        assert same(read(str(path)), XRay(PIXELS, 12))
        with path.open("rb") as stream:
            assert same(read(stream), XRay(PIXELS, 12))
        assert same(read(io.BytesIO(path.read_bytes())), XRay(PIXELS, 12))

    @pytest.mark.parametrize(
        ("suffix", "expected"),
        [
            (".dcm", "dicom"),
            (".DICOM", "dicom"),
            (".png", "png"),
            (".tif", "tiff"),
            (".TIFF", "tiff"),
            (".pgm", "pgm"),
            (".npy", "npy"),
            (".jxl", "jpegxl"),
        ],
    )
    def test_the_suffix_decides_on_the_way_out(self, tmp_path, suffix, expected):
        path = tmp_path / f"image{suffix}"
        write(XRay(BYTES, 8), path)
        assert format_of_suffix(path) == expected
        assert sniff(path.read_bytes()) == expected
        assert same(read(path), XRay(BYTES, 8))

    def test_a_named_format_overrules_the_suffix(self, tmp_path):
        write(XRay(BYTES, 8), tmp_path / "image.png", "tiff")
        assert sniff((tmp_path / "image.png").read_bytes()) == "tiff"

    @pytest.mark.parametrize("name", ["image", "image.gif", "image.png.gz"])
    def test_unknown_suffix(self, tmp_path, name):
        with pytest.raises(OptionError, match=r"no output format has the suffix.*\.dcm"):
            write(XRay(BYTES, 8), tmp_path / name)

    def test_unknown_format(self):
        with pytest.raises(OptionError, match="'gif' is not known"):
            encode(XRay(BYTES, 8), "gif")

    def test_no_overwriting_unless_asked(self, tmp_path):
        path = tmp_path / "image.png"
        write(XRay(BYTES, 8), path)
        with pytest.raises(OptionError, match="exists; -f overwrites it"):
            write(XRay(BYTES, 8), path)
        write(XRay(BYTES[:3], 8), path, overwrite=True)
        assert read(path).pixels.shape == (3, 17)

    def test_unknown_content(self):
        with pytest.raises(UnsupportedImageError, match=r"scan\.gif: no known image format"):
            decode(b"GIF89a", "scan.gif")

    def test_empty(self):
        with pytest.raises(CorruptImageError, match="input: the file is empty"):
            decode(b"")

    def test_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "none.png")

    def test_nih_radiographs(self, data_dir):
        manifest = (data_dir / "nih-cxr8" / "manifest.csv").read_text().splitlines()
        for line in manifest[1:4]:
            split, name, _, rows, columns, digest = line.split(",")
            image = read(data_dir / "nih-cxr8" / split / name)
            assert image.pixels.shape == (int(rows), int(columns))
            assert image.bits_stored == 8
            assert hashlib.sha256(image.pixels.tobytes()).hexdigest() == digest


SIZED = {
    "dicom": lambda: encode(XRay(PIXELS, 12), "dicom"),
    "dicom jpegls": lambda: compressed_dicom(
        [encode_frame("jpegls", PIXELS, 12)], PIXELS, 12, "1.2.840.10008.1.2.4.80"
    ),
    "png": lambda: encode(XRay(PIXELS, 12), "png"),
    "tiff": lambda: encode(XRay(PIXELS, 12), "tiff"),
    "pgm": lambda: encode(XRay(PIXELS, 12), "pgm"),
    "npy": lambda: encode(XRay(PIXELS, 12), "npy"),
    "jpegxl": lambda: encode(XRay(PIXELS, 12), "jpegxl"),
    "jpegxl container": lambda: imagecodecs.jpegxl_encode(PIXELS, lossless=True, usecontainer=True),
    "jpeg2000": lambda: encode_frame("jpeg2000", PIXELS, 12),
    "jp2": lambda: imagecodecs.jpeg2k_encode(PIXELS, level=0, codecformat="jp2"),
    "jpegls": lambda: imagecodecs.jpegls_encode(PIXELS),
    "jpeg": lambda: imagecodecs.jpeg8_encode(BYTES),
}


@pytest.mark.parametrize("case", SIZED)
def test_pixel_limit(case):
    data = SIZED[case]()
    assert decode(data, limits=Limits(max_pixels=13 * 17)).pixels.shape == (13, 17)
    with pytest.raises(LimitError, match=f"scan: .*the limit is {13 * 17 - 1}"):
        decode(data, "scan", limits=Limits(max_pixels=13 * 17 - 1))


@pytest.mark.parametrize("kind", ["dicom", "tiff", "npy", "jpegxl"])
def test_pixel_limit_over_all_frames(kind):
    data = encode(XRay(random_pixels((3, 8, 8), 8), 8), kind)
    assert len(decode(data, limits=Limits(max_pixels=192)).frames) == 3
    with pytest.raises(LimitError, match="the limit is 191"):
        decode(data, limits=Limits(max_pixels=191))


def test_pixel_limit_of_a_dark_animation():
    """The frame count of JPEG XL is found by probing; the probe must not mistake black."""
    for value in (0, 0x5A, 0xA5):
        data = encode(XRay(np.full((3, 8, 8), value, np.uint8), 8), "jpegxl")
        assert len(decode(data, limits=Limits(max_pixels=192)).frames) == 3
        with pytest.raises(LimitError):
            decode(data, limits=Limits(max_pixels=128))


def test_frames_have_a_limit_of_their_own():
    data = encode(XRay(random_pixels((3, 8, 8), 8), 8), "dicom")
    assert len(decode(data, limits=Limits(max_frame_pixels=64)).frames) == 3
    with pytest.raises(LimitError, match=r"frames of 8 x 8 = 64 pixels; the limit is 63"):
        decode(data, limits=Limits(max_frame_pixels=63))


def test_deflated_data_sets_inflate_no_further_than_their_size_asks_for():
    data = native_dicom(np.zeros((64, 64), np.uint16), 12, DEFLATED)
    assert decode(data, limits=Limits(max_metadata_bytes=1000)).pixels.shape == (64, 64)
    with pytest.raises(LimitError, match="more than the 100 bytes that its image size"):
        decode(data, limits=Limits(max_metadata_bytes=100))
    with pytest.raises(LimitError, match="claims 1 x 64 x 64"):
        decode(data, limits=Limits(max_metadata_bytes=1000, max_pixels=1000))
