"""pydicom with the plug-in: the same pixels as from native files, whichever way they came."""

from __future__ import annotations

import importlib
import io
import logging
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import get_decoder, iter_pixels, pixel_array
from pydicom.uid import UID, ExplicitVRLittleEndian

sys.path.insert(0, str(Path(__file__).parents[1] / "files"))

from files_building import EXPLICIT_BIG, data_set, native_dicom, random_pixels, to_file

import xraycodec.plugins.pydicom as plugin
from xraycodec.codecs.lattice import Lattice
from xraycodec.codecs.stored import Stored
from xraycodec.container import read_header
from xraycodec.dicom import encapsulation
from xraycodec.dicom.encapsulation import unwrap, wrap
from xraycodec.errors import XrayCodecError
from xraycodec.plugins.pydicom import XRC_UID

TEST_FILES = sorted((Path(pydicom.__file__).parent / "data" / "test_files").glob("*.dcm"))


def read(data: bytes) -> pydicom.FileDataset:
    return pydicom.dcmread(io.BytesIO(data))


def saved(ds: Dataset) -> bytes:
    stream = io.BytesIO()
    ds.save_as(stream)
    return stream.getvalue()


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b)


@pytest.fixture(autouse=True)
def _silent(caplog):
    """pydicom logs what a plug-in raises, and raises its own."""
    caplog.set_level(logging.CRITICAL, "pydicom")


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.stem)
def test_files_that_pydicom_ships(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            wrapped = wrap(path.read_bytes(), Stored())
            expected = pydicom.dcmread(path, force=True).pixel_array
            expected = expected.astype(expected.dtype.newbyteorder("="))
        except (XrayCodecError, AttributeError, RuntimeError, NotImplementedError):
            return  # nothing to compare with: no gray image, or pydicom has no decoder for it here
        ds = read(wrapped)
        assert same(ds.pixel_array, expected)
        ds.decompress()
        assert same(ds.pixel_array, expected)
        assert same(read(unwrap(wrapped)).pixel_array, expected)
        source = pydicom.dcmread(path, force=True)
        if not source.file_meta.TransferSyntaxUID.is_compressed:
            if source.file_meta.TransferSyntaxUID == EXPLICIT_BIG:
                return  # pydicom hands over Pixel Data of either order without saying which
            source.compress(XRC_UID, codec=Stored())
            again = read(saved(source))
            assert same(again.pixel_array, expected)
            again.decompress()
            assert same(again.pixel_array, expected)


@pytest.mark.parametrize(
    ("bits_stored", "allocated", "signed"),
    [
        *((8, 8, False), (8, 8, True), (5, 8, True), (12, 16, False)),
        *((12, 16, True), (16, 16, True), (8, 16, False), (6, 16, True)),
    ],
)
@pytest.mark.parametrize("shape", [(5, 7), (3, 5, 7)])
@pytest.mark.parametrize("extended", [False, True])
def test_compress_save_read_decompress(bits_stored, allocated, signed, shape, extended):
    cells = random_pixels(shape, bits_stored, signed=signed)
    cells = cells.astype(f"{'i' if signed else 'u'}{allocated // 8}")
    native = native_dicom(cells, bits_stored)
    ds = read(native)
    ds.compress(XRC_UID, codec=Stored(), encapsulate_ext=extended, generate_instance_uid=False)
    assert same(ds.pixel_array, cells)
    again = read(saved(ds))
    assert again.file_meta.TransferSyntaxUID == XRC_UID
    assert ("ExtendedOffsetTable" in again) == extended
    assert same(again.pixel_array, cells)
    assert same(read(unwrap(saved(ds))).pixel_array, cells)
    if len(shape) == 3:
        assert same(pixel_array(again, index=2), cells[2])
        assert all(same(a, b) for a, b in zip(iter_pixels(again), cells, strict=True))
        assert same(pixel_array(io.BytesIO(saved(ds)), index=1), cells[1])
    again.decompress(generate_instance_uid=False)
    assert again.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert again.PixelData == read(native).PixelData
    assert ("OB" if allocated == 8 else "OW") == again["PixelData"].VR
    assert same(read(saved(again)).pixel_array, cells)


def test_the_default_codec_is_lattice():
    cells = (np.add.outer(np.arange(40), np.arange(52)) * 20).astype(np.uint16)
    ds = read(native_dicom(cells, 12))
    ds.compress(XRC_UID)
    assert read_header(ds.PixelData[20:]).codec == "LTTC"  # behind the offset table and a tag
    assert same(read(saved(ds)).pixel_array, cells)


def test_an_array_takes_the_place_of_pixel_data():
    cells = random_pixels((5, 7), 12)
    for bits, pixels in ((12, cells), (6, (cells >> 6).astype(np.uint16))):
        ds = read(native_dicom(cells, bits))
        ds.compress(XRC_UID, pixels, codec=Stored())
        assert same(read(saved(ds)).pixel_array, pixels)


def test_a_data_set_made_from_nothing():
    cells = random_pixels((5, 7), 12)
    ds = data_set(cells, 12)
    ds.file_meta = FileMetaDataset()
    ds.compress(XRC_UID, cells, codec=Stored())
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    assert same(read(stream.getvalue()).pixel_array, cells)


def test_a_uid_that_is_only_a_string_does():
    cells = random_pixels((5, 7), 12)
    ds = read(native_dicom(cells, 12))
    ds.compress(str(XRC_UID), codec=Stored())
    ds.decompress()
    assert same(ds.pixel_array, cells)
    assert UID(encapsulation.XRC_UID).is_encapsulated
    assert not UID(encapsulation.XRC_UID).is_implicit_VR


def test_other_private_uids_stay_what_they_were():
    other = UID("2.25.4711")
    assert not other.is_transfer_syntax
    other.set_private_encoding(True, True)
    assert other.is_implicit_VR
    with pytest.raises(ValueError, match="not a transfer syntax"):
        UID("2.25.4712").is_compressed  # noqa: B018


class TestSpareBits:
    def test_what_pydicom_gives_for_the_native_file(self):
        cells = np.random.default_rng(5).integers(0, 1 << 16, (2, 5, 7)).astype(np.uint16)
        for signed in (False, True):
            view = cells.view(np.int16) if signed else cells
            for high_bit in (11, 15):
                native = native_dicom(view, 12, HighBit=high_bit)
                ds = read(wrap(native, Stored()))
                assert same(ds.pixel_array, read(native).pixel_array)
                options = {"correct_unused_bits": False}
                assert same(pixel_array(ds, **options), pixel_array(read(native), **options))

    def test_they_survive_compress_and_decompress(self):
        cells = np.random.default_rng(5).integers(0, 1 << 16, (2, 5, 7)).astype(np.uint16)
        ds = read(native_dicom(cells, 12))
        ds.compress(XRC_UID, codec=Stored())
        ds = read(saved(ds))
        ds.decompress(correct_unused_bits=False)
        assert ds.PixelData == cells.tobytes()

    def test_high_bytes_that_pydicom_drops_are_noticed(self):
        cells = random_pixels((2, 5, 7), 8).astype(np.uint16)
        cells[1, 2, 3] |= 0x0100
        ds = read(native_dicom(cells, 8))
        with pytest.raises(RuntimeError, match="beside the 8 stored"):
            ds.compress(XRC_UID, codec=Stored())


class TestRefusals:
    def test_lossy_codecs(self):
        ds = read(native_dicom(random_pixels((5, 7), 12), 12))
        with pytest.raises(RuntimeError, match="the codec is lossy"):
            ds.compress(XRC_UID, codec=Lattice(max_error=1, profile="fast", threads=1))
        assert ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian

    def test_colour(self):
        ds = data_set(random_pixels((5, 7), 8), 8, PhotometricInterpretation="RGB")
        ds.SamplesPerPixel, ds.PlanarConfiguration = 3, 0
        ds.add_new("PixelData", "OB", bytes(106))
        ds = read(to_file(ds, "1.2.840.10008.1.2.1"))
        with pytest.raises(RuntimeError, match="Samples per Pixel is 3"):
            ds.compress(XRC_UID, codec=Stored())

    def test_palettes(self):
        ds = read(
            native_dicom(random_pixels((5, 7), 8), 8, PhotometricInterpretation="PALETTE COLOR")
        )
        with pytest.raises(RuntimeError, match="PALETTE COLOR"):
            ds.compress(XRC_UID, codec=Stored())

    def test_damaged_streams(self):
        data = bytearray(wrap(native_dicom(random_pixels((5, 7), 12), 12), Stored()))
        data[data.index(b"DATA") + 12] ^= 1
        with pytest.raises(RuntimeError, match=r"xraycodec: .*CRC-32"):
            read(bytes(data)).pixel_array  # noqa: B018

    def test_frames_of_another_size(self):
        ds = read(wrap(native_dicom(random_pixels((5, 7), 12), 12), Stored()))
        ds.Rows = 6
        with pytest.raises(RuntimeError, match="says 1 of 6 x 7"):
            ds.pixel_array  # noqa: B018


class TestRegistration:
    def test_importing_again_changes_nothing(self):
        before = get_decoder(XRC_UID)
        importlib.reload(plugin)
        assert get_decoder(XRC_UID) is before
        assert before.available_plugins == ("xraycodec",)

    def test_another_pydicom_is_refused(self, monkeypatch):
        monkeypatch.delattr("pydicom.pixels.encoders.base._PIXEL_DATA_ENCODERS")
        with pytest.raises(ImportError, match=f"this is {pydicom.__version__}: .*ENCODERS"):
            importlib.reload(plugin)

    def test_uids_of_another_kind_are_refused_and_left_alone(self, monkeypatch):
        monkeypatch.delattr(UID, "_PRIVATE_TS_ENCODING")
        monkeypatch.setattr(UID, "is_encapsulated", False)
        with pytest.raises(ImportError, match="UIDs take their encoding"):
            importlib.reload(plugin)
        assert not hasattr(UID, "_PRIVATE_TS_ENCODING")

    def test_in_a_process_that_imports_nothing_else(self, tmp_path):
        cells = random_pixels((2, 5, 7), 12)
        (tmp_path / "wrapped.dcm").write_bytes(wrap(native_dicom(cells, 12), Stored()))
        np.save(tmp_path / "cells.npy", cells)
        script = """
import xraycodec.plugins.pydicom
import numpy as np
from pydicom import dcmread
ds = dcmread("wrapped.dcm")
assert (ds.pixel_array == np.load("cells.npy")).all()
ds.decompress()
ds.save_as("native.dcm")
"""
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", script],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert same(pydicom.dcmread(tmp_path / "native.dcm").pixel_array, cells)

    def test_without_the_plug_in_the_data_set_is_still_read(self, tmp_path):
        path = tmp_path / "wrapped.dcm"
        path.write_bytes(wrap(native_dicom(random_pixels((5, 7), 12), 12), Stored()))
        script = f"""
import pydicom
ds = pydicom.dcmread({str(path)!r})
assert ds.SOPInstanceUID == "1.2.3.4"
try:
    ds.pixel_array
except NotImplementedError as error:
    print(error)
"""
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=600, check=True
        )
        assert str(XRC_UID) in done.stdout
