"""The private transfer syntax: wrapped, unwrapped, refused."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import subprocess
import sys
import uuid
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate as encapsulate_fragments
from pydicom.encaps import generate_frames, parse_basic_offsets
from pydicom.filewriter import dcmwrite

sys.path.insert(0, str(Path(__file__).parents[1] / "files"))
sys.path.insert(0, str(Path(__file__).parents[1] / "cli"))

from cli_running import run
from files_building import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    compressed_dicom,
    data_set,
    encode_frame,
    native_dicom,
    random_pixels,
    to_file,
)

from xraycodec.codecs.lattice import Lattice
from xraycodec.codecs.rnn_conv import RnnConv
from xraycodec.codecs.stored import Stored
from xraycodec.container import read_header
from xraycodec.dicom import frames
from xraycodec.dicom.encapsulation import (
    XRC_UID,
    encapsulate,
    expand,
    is_wrapped,
    unwrap,
    verify,
    wrap,
)
from xraycodec.errors import (
    CorruptError,
    CorruptImageError,
    FormatError,
    LimitError,
    OptionError,
    TruncatedError,
    UnsupportedImageError,
    XrayCodecError,
)
from xraycodec.files import decode as read_image
from xraycodec.files import encode
from xraycodec.files.dicom import decode
from xraycodec.files.dicom_cells import PixelLayout
from xraycodec.files.dicom_writer import to_data_set
from xraycodec.files.dicom_writer import to_file as write_file
from xraycodec.limits import Limits
from xraycodec.pipeline import compress

SPEC = Path(__file__).parents[2] / "spec" / "dicom.md"
TEST_FILES = sorted((Path(pydicom.__file__).parent / "data" / "test_files").glob("*.dcm"))
JPEGLS = "1.2.840.10008.1.2.4.80"
FAST = Lattice(profile="fast", threads=1)


def read(data: bytes) -> pydicom.FileDataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(io.BytesIO(data), force=True)


def as_written(data: bytes) -> bytes:
    """A file as the decoder and the writer of this package give it back without any codec."""
    return encode(decode(data), "dicom")


def streams_of(wrapped: bytes) -> list[bytes]:
    ds = read(wrapped)
    return list(generate_frames(ds.PixelData, number_of_frames=int(ds.get("NumberOfFrames", 1))))


def with_pixels(wrapped: bytes, streams: list[bytes], **elements: object) -> bytes:
    """The same object around other streams, or with other elements."""
    ds = read(wrapped)
    ds.PixelData = encapsulate_fragments(streams)
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return write_file(ds, XRC_UID)


def layout(bits_stored: int, *, allocated: int = 16, high_bit: int | None = None, signed=False):
    high_bit = bits_stored - 1 if high_bit is None else high_bit
    return PixelLayout(1, 5, 7, allocated, bits_stored, high_bit, signed)


@pytest.fixture
def native() -> bytes:
    return native_dicom(random_pixels((5, 7), 12), 12)


@pytest.fixture
def wrapped(native: bytes) -> bytes:
    return wrap(native, Stored())


def test_the_uid_is_the_uuid_of_the_specification():
    text = SPEC.read_text()
    (number,) = re.findall(r"UUID `([0-9a-f-]{36})`", text)
    assert f"2.25.{uuid.UUID(number).int}" == XRC_UID
    assert f"`{XRC_UID}`" in text
    assert pydicom.uid.UID(XRC_UID).is_valid


class TestRoundTrip:
    @pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.stem)
    def test_files_that_pydicom_ships(self, path):
        data = path.read_bytes()
        try:
            expected = as_written(data)
        except XrayCodecError as error:
            with pytest.raises(type(error)):
                wrap(data, Stored())
            return
        wrapped = wrap(data, Stored())
        verify(wrapped, data)
        found, source = read(unwrap(wrapped)), read(expected)
        assert set(found.keys()) == set(source.keys())
        for element in source:
            if element.keyword == "PixelData":
                assert (
                    found.PixelData[: len(source.PixelData)]
                    == source.PixelData[: len(found.PixelData)]
                )
            else:
                assert found[element.tag] == element
        assert read(wrapped).file_meta.TransferSyntaxUID == XRC_UID
        assert found.file_meta.TransferSyntaxUID == EXPLICIT_LITTLE

    @pytest.mark.parametrize(
        "syntax", [EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED, JPEGLS]
    )
    def test_from_any_transfer_syntax(self, syntax):
        cells = random_pixels((2, 5, 7), 12)
        if syntax == JPEGLS:
            coded = [encode_frame("jpegls", frame, 12) for frame in cells]
            data = compressed_dicom(coded, cells, 12, syntax)
        else:
            data = native_dicom(cells, 12, syntax)
        assert np.array_equal(read(unwrap(wrap(data, Stored()))).pixel_array, cells)

    @pytest.mark.parametrize(
        ("bits_stored", "signed"), [(1, False), (8, False), (8, True), (12, True), (16, False)]
    )
    @pytest.mark.parametrize("shape", [(1, 1), (3, 5), (1, 3, 5), (3, 3, 5)])
    def test_every_kind_of_pixel(self, bits_stored, signed, shape):
        cells = random_pixels(shape, bits_stored, signed=signed)
        data = native_dicom(cells, bits_stored, PhotometricInterpretation="MONOCHROME1")
        wrapped = wrap(data, Stored())
        assert unwrap(wrapped) == as_written(data)
        assert all(read_header(s).bits_stored == bits_stored for s in streams_of(wrapped))

    def test_with_the_default_codec(self):
        cells = (np.add.outer(np.arange(40), np.arange(52)) * 20).astype(np.uint16)
        data = native_dicom(cells, 12)
        wrapped = wrap(data)
        assert unwrap(wrapped, threads=1) == as_written(data)
        (stream,) = streams_of(wrapped)
        assert read_header(stream).codec == "LTTC"

    def test_identity_file_meta_and_preamble_stay(self):
        ds = data_set(random_pixels((5, 7), 12), 12)
        ds.add_new("PixelData", "OW", random_pixels((5, 7), 12).tobytes())
        block = ds.private_block(0x0009, "SOMEONE", create=True)
        block.add_new(0x01, "LO", "kept")
        ds.ReferencedImageSequence = [Dataset()]
        data = bytearray(to_file(ds, EXPLICIT_LITTLE))
        data[:4] = b"II*\0"
        wrapped = read(wrap(bytes(data), Stored()))
        assert wrapped.SOPInstanceUID == wrapped.file_meta.MediaStorageSOPInstanceUID == "1.2.3.4"
        assert wrapped.private_block(0x0009, "SOMEONE")[0x01].value == "kept"
        assert "LossyImageCompression" not in wrapped
        assert wrapped.preamble == bytes(data[:128])
        unwrapped = read(unwrap(wrap(bytes(data), Stored())))
        assert unwrapped.preamble == bytes(data[:128])
        assert unwrapped == read(bytes(data))

    def test_progress_counts_frames(self):
        seen: list[tuple[int, int]] = []
        data = native_dicom(random_pixels((3, 5, 7), 8), 8)
        wrapped = wrap(data, Stored(), progress=lambda *steps: seen.append(steps))
        unwrap(wrapped, progress=lambda *steps: seen.append(steps))
        assert seen == [(1, 3), (2, 3), (3, 3)] * 2


class TestSpareBits:
    """Bits of a cell around those stored."""

    @pytest.mark.parametrize("signed", [False, True])
    @pytest.mark.parametrize("high_bit", [11, 13, 15])
    def test_overlays_and_junk_survive(self, signed, high_bit):
        cells = np.random.default_rng(5).integers(0, 1 << 16, (2, 5, 7)).astype(np.uint16)
        cells = cells.view(np.int16) if signed else cells
        data = native_dicom(cells, 12, HighBit=high_bit)
        wrapped = wrap(data, Stored())
        assert read(unwrap(wrapped)).PixelData == cells.tobytes()
        assert [read_header(s).bits_stored for s in streams_of(wrapped)] == [16, 16]

    def test_each_frame_takes_the_smaller_form(self):
        cells = random_pixels((2, 5, 7), 12)
        cells[1, 0, 0] |= 0x8000
        wrapped = wrap(native_dicom(cells, 12), Stored())
        assert read(unwrap(wrapped)).PixelData == cells.tobytes()
        assert [read_header(s).bits_stored for s in streams_of(wrapped)] == [12, 16]

    def test_values_below_a_cell_that_is_wider_than_needed(self):
        cells = random_pixels((5, 7), 6).astype(np.uint16)
        wrapped = wrap(native_dicom(cells, 6), Stored())
        assert read(unwrap(wrapped)).PixelData == cells.tobytes()
        assert read_header(streams_of(wrapped)[0]).bits_stored == 6

    def test_signed_values_with_zeros_above(self):
        cells = random_pixels((5, 7), 12, signed=True) & 0x0FFF
        wrapped = wrap(native_dicom(cells, 12), Stored())
        assert read(unwrap(wrapped)).PixelData == cells.tobytes()

    def test_a_lossy_codec_does_not_take_them(self):
        cells = random_pixels((5, 7), 12)
        cells[0, 0] |= 0x8000
        dataset = to_data_set(decode(native_dicom(cells, 12)))
        before = str(dataset)
        with pytest.raises(UnsupportedImageError, match="beside the 12 stored"):
            encapsulate(dataset, Lattice(max_error=1, profile="fast", threads=1))
        assert str(dataset) == before


class TestReading:
    """Wrapped files are DICOM files to every reader of this package."""

    @pytest.mark.parametrize("spare", [0, 0x8000])
    def test_as_the_original(self, spare):
        cells = random_pixels((2, 5, 7), 12)
        cells[1, 2, 3] |= spare
        data = native_dicom(cells, 12)
        found, expected = (decode(each) for each in (wrap(data, Stored()), data))
        assert np.array_equal(found.pixels, expected.pixels)
        assert found.dicom == expected.dicom
        assert found.spare_bits == expected.spare_bits

    def test_where_nothing_imported_the_decoder(self, tmp_path, wrapped):
        (tmp_path / "w.dcm").write_bytes(wrapped)
        code = (
            "import sys; from xraycodec import read; from xraycodec.files import decode;"
            " assert 'xraycodec.dicom.encapsulation' not in sys.modules;"
            " print(read(sys.argv[1]).pixels.shape)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path / "w.dcm"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "(5, 7)\n"

    def test_damage_names_file_and_frame(self, wrapped):
        (stream,) = streams_of(wrapped)
        damaged = bytearray(stream)
        damaged[stream.index(b"DATA") + 12] ^= 1
        with pytest.raises(FormatError, match=r"^w\.dcm: frame 0: "):
            read_image(with_pixels(wrapped, [bytes(damaged)]), "w.dcm")
        with pytest.raises(LimitError, match="35"):
            decode(wrapped, Limits(max_pixels=34))

    def test_other_unknown_transfer_syntaxes_are_refused(self, wrapped):
        other = wrapped.replace(XRC_UID.encode(), XRC_UID[:-1].encode() + b"2")
        with pytest.raises(UnsupportedImageError, match=r"transfer syntax .*2 is not supported"):
            decode(other)

    def test_loss_that_the_data_set_does_not_tell(self):
        cells = (np.add.outer(np.arange(40), np.arange(52)) * 20).astype(np.uint16)
        data = native_dicom(cells, 12)
        lossy = compress(cells, Lattice(max_error=9, profile="fast", threads=1))
        ds = read(with_pixels(wrap(data, Stored()), [lossy], BitsStored=16, HighBit=15))
        assert "LossyImageCompression" not in ds
        told = read(encode(decode(write_file(ds, XRC_UID)), "dicom"))
        assert told.LossyImageCompression == "01"
        assert told.LossyImageCompressionMethod == "XRC_LATTICE"


class TestOffsetTables:
    def test_basic(self):
        cells = random_pixels((3, 5, 7), 12)
        ds = read(wrap(native_dicom(cells, 12), Stored()))
        assert len(parse_basic_offsets(ds.PixelData)) == 3
        assert "ExtendedOffsetTable" not in ds
        assert ds["PixelData"].VR == "OB"
        assert ds["PixelData"].is_undefined_length

    def test_extended(self):
        cells = random_pixels((3, 5, 7), 12)
        data = native_dicom(cells, 12)
        wrapped = wrap(data, Stored(), extended=True)
        ds = read(wrapped)
        assert parse_basic_offsets(ds.PixelData) == []
        assert len(ds.ExtendedOffsetTable) == len(ds.ExtendedOffsetTableLengths) == 3 * 8
        assert unwrap(wrapped) == as_written(data)

    @pytest.mark.parametrize("has_table", [True, False])
    @pytest.mark.parametrize("fragments", [1, 3])
    def test_what_others_may_make_of_them(self, has_table, fragments):
        """Fragments and tables are re-arranged on the way through some archives."""
        if fragments > 1 and not has_table:
            pytest.skip("the standard cannot tell frames apart there")
        data = native_dicom(random_pixels((3, 5, 7), 12), 12)
        ds = read(wrap(data, Stored()))
        streams = streams_of(wrap(data, Stored()))
        ds.PixelData = encapsulate_fragments(
            streams, fragments_per_frame=fragments, has_bot=has_table
        )
        assert unwrap(write_file(ds, XRC_UID)) == as_written(data)

    def test_wrong_tables_do_not_matter(self):
        data = native_dicom(random_pixels((3, 5, 7), 12), 12)
        wrapped = wrap(data, Stored())
        table = b"".join(
            o.to_bytes(4, "little") for o in parse_basic_offsets(read(wrapped).PixelData)
        )
        assert unwrap(wrapped.replace(table, bytes(12))) == as_written(data)


class TestLossy:
    def test_lattice_with_an_error(self):
        cells = (np.add.outer(np.arange(40), np.arange(52)) * 20).astype(np.uint16)
        data = native_dicom(cells, 12, ImageType=["ORIGINAL", "PRIMARY"])
        wrapped = wrap(data, Lattice(max_error=3, profile="fast", threads=1))
        verify(wrapped, data)
        for ds in (read(wrapped), read(unwrap(wrapped))):
            assert ds.LossyImageCompression == "01"
            assert ds.LossyImageCompressionMethod == "XRC_LATTICE"
            assert ds.ImageType[0] == "DERIVED"
            assert ds.SOPInstanceUID == ds.file_meta.MediaStorageSOPInstanceUID != "1.2.3.4"
            assert ds.SourceImageSequence[0].ReferencedSOPInstanceUID == "1.2.3.4"
        (stream,) = streams_of(wrapped)
        stated = float(read(wrapped).LossyImageCompressionRatio)
        assert stated == pytest.approx(cells.size * 1.5 / len(stream), rel=0.05)
        error = read(unwrap(wrapped)).pixel_array.astype(int) - cells
        assert 0 < np.abs(error).max() <= 3

    def test_rnn_conv(self):
        cells = (np.add.outer(np.arange(48), np.arange(48)) * 2).astype(np.uint8)
        data = native_dicom(cells, 8)
        wrapped = wrap(data, RnnConv(threads=1))
        verify(wrapped, data)
        assert read(unwrap(wrapped)).LossyImageCompressionMethod == "XRC_RNN_CONV"

    @pytest.mark.parametrize(("policy", "kept"), [("keep", True), ("new", False)])
    def test_uid_policies(self, native, policy, kept):
        lossless = read(wrap(native, Stored(), uid_policy=policy))
        lossy = read(wrap(native, Lattice(max_error=9, threads=1), uid_policy=policy))
        assert (lossless.SOPInstanceUID == "1.2.3.4") == kept
        assert (lossy.SOPInstanceUID == "1.2.3.4") == kept
        assert "LossyImageCompression" not in lossless
        assert lossy.LossyImageCompression == "01"

    def test_verify_with_another_instance(self, native):
        wrapped = wrap(native, Stored(), uid_policy="new")
        verify(wrapped, native, same_instance=False)
        with pytest.raises(CorruptError, match="data set"):
            verify(wrapped, native)

    def test_a_second_step_is_added(self, native):
        once = unwrap(wrap(native, Lattice(max_error=9, threads=1)))
        twice = read(wrap(once, Lattice(max_error=20, threads=1)))
        assert twice.LossyImageCompressionMethod == ["XRC_LATTICE"] * 2
        assert read(wrap(once, Stored())).LossyImageCompression == "01"


class TestRefusals:
    def test_wrapping_twice(self, wrapped):
        assert is_wrapped(wrapped)
        with pytest.raises(OptionError, match="already"):
            wrap(wrapped, Stored())

    def test_unwrapping_what_is_not_wrapped(self, native):
        assert not is_wrapped(native)
        with pytest.raises(UnsupportedImageError, match=r"syntax is 1\.2\.840\.10008\.1\.2\.1;"):
            unwrap(native)
        with pytest.raises(UnsupportedImageError, match="not given"):
            unwrap(native[132 + native[132:].index(b"\x08\x00") :])

    def test_colour(self):
        ds = data_set(random_pixels((5, 7), 8), 8, PhotometricInterpretation="PALETTE COLOR")
        ds.add_new("PixelData", "OB", bytes(36))
        with pytest.raises(UnsupportedImageError, match="PALETTE COLOR"):
            encapsulate(ds, Stored())

    def test_a_limit_of_pixels(self, native, wrapped):
        with pytest.raises(LimitError, match="35"):
            wrap(native, Stored(), limits=Limits(max_pixels=34))
        with pytest.raises(LimitError, match="35"):
            unwrap(wrapped, limits=Limits(max_pixels=34))

    @pytest.mark.parametrize(
        ("elements", "message"),
        [
            ({"Rows": 6}, "1 frame.s. of 5 rows x 7 columns; the data set says 1 of 6 x 7"),
            ({"Columns": 4000, "Rows": 8000}, "says 1 of 8000 x 4000"),
            ({"PixelRepresentation": 1}, "unsigned; Pixel Representation is 1"),
            ({"BitsStored": 13, "HighBit": 12}, "12 bits a pixel; the data set stores 13"),
            ({"HighBit": 12}, "stores 12 up to bit 12 in 16"),
        ],
    )
    def test_streams_of_another_frame(self, wrapped, elements, message):
        with pytest.raises(CorruptError, match=f"frame 0: .*{message}"):
            unwrap(with_pixels(wrapped, streams_of(wrapped), **elements))

    def test_other_numbers_of_frames(self, wrapped):
        with pytest.raises(CorruptImageError, match="holds 2 frames; the data set says 3"):
            unwrap(with_pixels(wrapped, streams_of(wrapped) * 2, NumberOfFrames=3))

    def test_streams_with_more_than_pixels(self, wrapped):
        image = decode(native_dicom(random_pixels((5, 7), 12), 12))
        with pytest.raises(CorruptError, match="data set or spare bits"):
            unwrap(with_pixels(wrapped, [compress(image, Stored())]))

    def test_streams_of_several_frames(self, wrapped):
        stream = compress(random_pixels((2, 5, 7), 16), Stored())
        with pytest.raises(CorruptError, match="2 frame"):
            unwrap(with_pixels(wrapped, [stream]))

    def test_bytes_after_a_stream(self):
        cells = random_pixels((5, 7), 12)
        stream = frames.encode_frame(cells, layout(12), codec=Stored())
        assert np.array_equal(frames.decode_frame(stream + b"\0", layout(12)), cells)
        for tail in (b"\1", b"\0\0"):
            with pytest.raises(CorruptError, match="follow"):
                frames.decode_frame(stream + tail, layout(12))
        with pytest.raises(TruncatedError):
            frames.decode_frame(stream[:-1], layout(12))

    def test_native_pixels_under_the_uid(self, native):
        ds = read(native)
        with pytest.raises(CorruptImageError, match="native"):
            expand(ds)

    def test_every_cut_and_many_damages(self, wrapped):
        for end in range(0, len(wrapped), 7):
            with pytest.raises(XrayCodecError):
                unwrap(wrapped[:end])
        numbers = np.random.default_rng(3)
        for place in numbers.integers(132, len(wrapped), 150):
            damaged = bytearray(wrapped)
            damaged[place] ^= 1 << numbers.integers(8)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                with contextlib.suppress(XrayCodecError):
                    unwrap(bytes(damaged))

    def test_damage_to_a_stream_names_the_frame(self):
        data = native_dicom(random_pixels((2, 5, 7), 12), 12)
        wrapped = wrap(data, Stored())
        streams = streams_of(wrapped)
        second = bytearray(streams[1])
        second[second.index(b"DATA") + 12] ^= 1
        with pytest.raises(FormatError, match="frame 1: "):
            unwrap(with_pixels(wrapped, [streams[0], bytes(second)]))

    def test_verify_finds_other_pixels_and_other_data_sets(self, native, wrapped):
        verify(wrapped, native)
        with pytest.raises(CorruptError, match="differs by"):
            verify(wrapped, native_dicom(random_pixels((5, 7), 12, seed=1), 12))
        with pytest.raises(CorruptError, match="data set"):
            verify(wrapped, native_dicom(random_pixels((5, 7), 12), 12, PatientID="2"))
        with pytest.raises(CorruptError, match="bits_stored"):
            verify(wrapped, native_dicom(random_pixels((5, 7), 12), 13))


class TestCommand:
    @pytest.fixture
    def study(self, tmp_path: Path, native: bytes) -> Path:
        folder = tmp_path / "study"
        (folder / "series").mkdir(parents=True)
        (folder / "series" / "a.dcm").write_bytes(native)
        (folder / "b").write_bytes(native_dicom(random_pixels((2, 5, 7), 8), 8))
        (folder / "readme.txt").write_text("no image")
        return folder

    def test_a_file_there_and_back(self, tmp_path, native):
        (tmp_path / "a.dcm").write_bytes(native)
        done = run("dicom", "wrap", tmp_path / "a.dcm", tmp_path / "w.dcm", "--codec", "stored")
        assert (done.code, done.err) == (0, "")
        assert is_wrapped((tmp_path / "w.dcm").read_bytes())
        assert run("dicom", "unwrap", tmp_path / "w.dcm", tmp_path / "u.dcm").code == 0
        assert (tmp_path / "u.dcm").read_bytes() == as_written(native)
        assert run("dicom", "unwrap", tmp_path / "w.dcm", tmp_path / "u.dcm").code == 1
        assert run("dicom", "unwrap", "-f", tmp_path / "w.dcm", tmp_path / "u.dcm").code == 0
        assert run("dicom", "unwrap", tmp_path / "a.dcm", tmp_path / "v.dcm").code == 1

    def test_wrapped_files_are_compressed(self, tmp_path, native, wrapped):
        (tmp_path / "w.dcm").write_bytes(wrapped)
        assert run("compress", "--codec", "stored", tmp_path / "w.dcm").code == 0
        done = run("decompress", tmp_path / "w.dcm.xrc", "-o", tmp_path / "back.dcm")
        assert done.code == 0
        assert (tmp_path / "back.dcm").read_bytes() == as_written(native)

    def test_standard_streams(self, native):
        done = run("dicom", "wrap", "--codec", "stored", "-", "-", stdin=native)
        assert done.code == 0
        assert run("dicom", "unwrap", "-", "-", stdin=done.data).data == as_written(native)

    def test_folders(self, tmp_path, study):
        done = run(
            "dicom", "wrap", "-r", "--json", "--codec", "stored", study, tmp_path / "wrapped"
        )
        assert done.code == 0
        assert len(done.json_lines) == 2
        assert run("dicom", "unwrap", "-r", tmp_path / "wrapped", tmp_path / "back").code == 0
        for name in ("b", "series/a.dcm"):
            expected = as_written((study / name).read_bytes())
            assert (tmp_path / "back" / name).read_bytes() == expected
        assert not (tmp_path / "back" / "readme.txt").exists()

    def test_settings(self, tmp_path, native):
        (tmp_path / "a.dcm").write_bytes(native)
        arguments = ("dicom", "wrap", tmp_path / "a.dcm", tmp_path / "w.dcm")
        assert run(*arguments, "--codec", "stored", "--max-error", 1).code == 2
        done = run(
            *(*arguments, "--max-error", 2, "--profile", "fast", "--extended-offset-table"),
            *("--uid-policy", "keep", "--threads", 1),
        )
        assert done.code == 0
        ds = read((tmp_path / "w.dcm").read_bytes())
        assert ds.SOPInstanceUID == "1.2.3.4"
        assert ds.LossyImageCompression == "01"
        assert "ExtendedOffsetTable" in ds

    def test_a_new_instance(self, tmp_path, native):
        (tmp_path / "a.dcm").write_bytes(native)
        arguments = ("--codec", "stored", "--uid-policy", "new")
        assert run("dicom", "wrap", *arguments, tmp_path / "a.dcm", tmp_path / "w.dcm").code == 0
        assert read((tmp_path / "w.dcm").read_bytes()).SOPInstanceUID != "1.2.3.4"

    @pytest.mark.skipif(shutil.which("dcmdump") is None, reason="DCMTK's dcmdump is not installed")
    def test_dcmdump_reads_both_forms(self, tmp_path, native):
        cells = random_pixels((3, 5, 7), 12)
        (tmp_path / "a.dcm").write_bytes(native_dicom(cells, 12))
        run("dicom", "wrap", "--codec", "stored", tmp_path / "a.dcm", tmp_path / "w.dcm")
        run("dicom", "unwrap", tmp_path / "w.dcm", tmp_path / "u.dcm")
        wrapped, unwrapped = (
            subprocess.run(
                ["dcmdump", "+L", tmp_path / name],
                capture_output=True,
                check=True,
                text=True,
                errors="replace",
            )
            for name in ("w.dcm", "u.dcm")
        )
        assert wrapped.stderr == unwrapped.stderr == ""
        assert XRC_UID in wrapped.stdout
        assert "PixelSequence #=4" in wrapped.stdout
        assert "LittleEndianExplicit" in unwrapped.stdout
        assert f"# {cells.nbytes}, 1 PixelData" in " ".join(unwrapped.stdout.split())


def test_an_object_without_identity_stays_so():
    ds = data_set(random_pixels((5, 7), 12), 12)
    ds.add_new("PixelData", "OW", random_pixels((5, 7), 12).tobytes())
    del ds.SOPInstanceUID, ds.SOPClassUID
    stream = io.BytesIO()
    dcmwrite(stream, ds, implicit_vr=False, little_endian=True)
    wrapped = wrap(stream.getvalue(), Stored())
    verify(wrapped, stream.getvalue())
    assert "SOPInstanceUID" not in read(unwrap(wrapped))
