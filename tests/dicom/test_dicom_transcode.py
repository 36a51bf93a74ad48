"""Transcoding, read back by this package, by pydicom, by DCMTK and by GDCM."""

from __future__ import annotations

import dataclasses
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import parse_basic_offsets

sys.path.insert(0, str(Path(__file__).parents[1] / "files"))

from files_building import EXPLICIT_LITTLE, data_set, native_dicom, random_pixels, same, to_file

from xraycodec.cli.transcode import _SYNTAXES
from xraycodec.codecs.stored import Stored
from xraycodec.dicom import transcode as module
from xraycodec.dicom.encapsulation import XRC_UID
from xraycodec.dicom.syntaxes import SYNTAXES, check_request
from xraycodec.dicom.transcode import Transcoded, read, transcode
from xraycodec.errors import CorruptError, OptionError
from xraycodec.files import decode
from xraycodec.image import Loss, XRay
from xraycodec.pipeline import compress

MULTI_FRAME = "1.2.840.10008.5.1.4.1.1.7.3"
STANDARD = [syntax for syntax in SYNTAXES if syntax != "xrc"]
COMPRESSED = ["rle", "jpeg-ls", "jpeg2000", "htj2k", "jpegxl"]
LOSSY = [
    ("jpeg-ls", {"max_error": 3}, "1.2.840.10008.1.2.4.81", "ISO_14495_1"),
    ("jpeg2000", {"ratio": 6.0}, "1.2.840.10008.1.2.4.91", "ISO_15444_1"),
    ("htj2k", {"ratio": 6.0}, "1.2.840.10008.1.2.4.203", "ISO_15444_15"),
    ("jpegxl", {"ratio": 6.0}, "1.2.840.10008.1.2.4.112", "ISO_18181_1"),
    ("xrc", {"max_error": 3}, XRC_UID, "XRC_LATTICE"),
]


def smooth(bits: int, *, signed: bool = False, shape: tuple[int, int] = (40, 37)) -> np.ndarray:
    """Something like a radiograph, which reaches both ends of its range."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    wave = np.sin(columns / 9) + np.cos(rows / 6) + rows / 40
    noise = np.random.default_rng(bits).normal(0, 0.02, shape)
    unit = np.clip((wave + noise - wave.min()) / np.ptp(wave), 0, 1)
    unit[0, 0], unit[0, 1] = 0, 1
    low = -(1 << (bits - 1)) if signed else 0
    pixels = np.round(unit * ((1 << bits) - 1)) + low
    return pixels.astype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")


def with_overlay() -> tuple[bytes, np.ndarray]:
    """A file of 12 bits stored with an overlay in bit 13, and the overlay."""
    overlay = np.random.default_rng(0).integers(0, 2, (40, 37)).astype(np.uint16)
    cells = smooth(12) | overlay << 13
    ds = data_set(cells, 12)
    for element, vr, value in (
        *((0x10, "US", 40), (0x11, "US", 37), (0x40, "CS", "G"), (0x50, "SS", [1, 1])),
        *((0x100, "US", 16), (0x102, "US", 13)),
    ):
        ds.add_new((0x6000, element), vr, value)
    ds.add_new("PixelData", "OW", cells.tobytes())
    return to_file(ds, EXPLICIT_LITTLE), overlay


def dataset_of(done: Transcoded) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(done.data))


def test_command_line_names_every_syntax() -> None:
    assert set(_SYNTAXES) == set(SYNTAXES)


@pytest.mark.parametrize("syntax", STANDARD)
def test_every_depth_and_sign_comes_back(syntax: str) -> None:
    for bits in range(1, 17):
        for signed in (False, True):
            pixels = random_pixels((9, 8), bits, signed=signed, seed=bits)
            image = read(native_dicom(pixels, bits))
            if signed and syntax == "jpegxl":
                with pytest.raises(OptionError, match="cannot hold signed pixels"):
                    transcode(image, syntax)
                continue
            done = transcode(image, syntax)
            assert (done.lossless, done.largest_error) == (True, 0)
            assert done.transfer_syntax == SYNTAXES[syntax].lossless
            assert same(decode(done.data), image)


@pytest.mark.parametrize("syntax", [*STANDARD, "xrc"])
def test_chain_through_every_syntax_keeps_all(syntax: str) -> None:
    """Frames, MONOCHROME1, private and nested elements, character set, identity."""
    frames = np.stack([smooth(12), smooth(12)[::-1], smooth(12)[:, ::-1]])
    ds = data_set(frames, 12, PhotometricInterpretation="MONOCHROME1", SOPClassUID=MULTI_FRAME)
    ds.add_new((0x0011, 0x0010), "LO", "XRAYCODEC TEST")
    ds.add_new((0x0011, 0x1001), "OB", b"\1\2\3\4")
    item = data_set(frames, 12)
    ds.ReferencedImageSequence = [item]
    ds.add_new("PixelData", "OW", frames.tobytes())
    source = read(to_file(ds, EXPLICIT_LITTLE))
    there = transcode(source, syntax)
    back = transcode(read(there.data), "explicit")
    assert same(read(back.data), source)
    found = dataset_of(back)
    for element in ds:
        if element.tag == 0x00111001 and syntax == "implicit":
            continue  # nobody knows its VR there
        assert found[element.tag] == element
    assert found.keys() == ds.keys()
    assert dataset_of(there).file_meta.TransferSyntaxUID == there.transfer_syntax
    if SYNTAXES[syntax].lossless.startswith("1.2.840.10008.1.2.4") or syntax == "rle":
        assert len(parse_basic_offsets(dataset_of(there).PixelData)) == 3


@pytest.mark.parametrize(
    "name", ["JPEG2000.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm"]
)
def test_real_files_in_implicit_vr(name: str) -> None:
    """Private elements of makers whose dictionaries disagree with the file, other byte orders."""
    source = read(Path(str(get_testdata_file(name))).read_bytes())
    assert same(read(transcode(source, "implicit").data), source)


@pytest.mark.parametrize("syntax", COMPRESSED)
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (3, 3)])
def test_smallest_and_thinnest_images(syntax: str, shape: tuple[int, int]) -> None:
    image = read(native_dicom(random_pixels(shape, 12), 12))
    assert same(decode(transcode(image, syntax).data), image)


@pytest.mark.parametrize("syntax", STANDARD)
def test_cells_wider_than_the_bits_stored(syntax: str) -> None:
    """8 bits stored in 16, and High Bit above the bits stored."""
    for cells, bits, high_bit in ((smooth(8).astype(np.uint16), 8, 7), (smooth(12) << 4, 12, 15)):
        source = read(native_dicom(cells, bits, HighBit=high_bit))
        done = transcode(source, syntax)
        assert np.array_equal(decode(done.data).pixels, source.pixels)
        kept = SYNTAXES[syntax].carries_cells
        assert dataset_of(done).HighBit == (high_bit if kept else bits - 1)
        assert dataset_of(done).BitsAllocated == 16


@pytest.mark.parametrize("syntax", ["explicit", "rle", "xrc"])
def test_overlays_in_cells_stay_where_cells_are_carried(syntax: str) -> None:
    data, overlay = with_overlay()
    done = transcode(read(data), syntax)
    assert done.overlays_moved == 0
    ds = dataset_of(transcode(read(done.data), "explicit"))
    assert np.array_equal(np.frombuffer(ds.PixelData, "<u2").reshape(40, 37) >> 13, overlay)
    assert (0x6000, 0x3000) not in ds


@pytest.mark.parametrize(
    ("syntax", "loss"),
    [("jpeg-ls", {}), ("jpeg2000", {}), ("jpeg-ls", {"max_error": 2}), ("xrc", {"max_error": 2})],
)
def test_overlays_in_cells_move_where_they_are_not(syntax: str, loss: dict[str, int]) -> None:
    data, overlay = with_overlay()
    done = transcode(read(data), syntax, **loss)
    assert done.overlays_moved == 1
    ds = dataset_of(done)
    assert (ds[0x6000, 0x100].value, ds[0x6000, 0x102].value) == (1, 0)
    assert np.array_equal(ds.overlay_array(0x6000), overlay)


def with_overlays(
    cells: np.ndarray, *overlays: dict[int, tuple[str, object]], **facts: object
) -> bytes:
    """A file of 12 bits stored with the groups 6000, 6002, ... of these elements."""
    ds = data_set(cells, 12, **facts)
    for number, elements in enumerate(overlays):
        for element, (vr, value) in elements.items():
            ds.add_new((0x6000 + 2 * number, element), vr, value)
    ds.add_new("PixelData", "OW", cells.tobytes())
    return to_file(ds, EXPLICIT_LITTLE)


IN_CELLS = {
    0x10: ("US", 40),
    0x11: ("US", 37),
    0x40: ("CS", "G"),
    0x50: ("SS", [1, 1]),
    0x100: ("US", 16),
    0x102: ("US", 13),
}
NO_PLANE = {
    "in the bits stored": {0x102: ("US", 0)},
    "highest bit stored": {0x102: ("US", 11)},
    "outside of the cell": {0x102: ("US", 16)},
    "far outside": {0x102: ("US", 65535)},
    "no position": {0x102: ("US", None)},
    "two positions": {0x102: ("US", [13, 14])},
    "position of no number": {0x102: ("LO", "bit 13")},
    "one bit allocated": {0x100: ("US", 1)},
    "no bits allocated": {0x100: ("US", 0)},
    "other rows": {0x10: ("US", 41)},
    "no rows": {0x10: ("US", 0)},
    "other columns": {0x11: ("US", 36)},
    "columns missing": {0x11: ("US", None)},
}


@pytest.mark.parametrize("case", NO_PLANE)
@pytest.mark.parametrize("syntax", ["jpeg-ls", "jpeg2000"])
def test_what_is_no_overlay_in_the_cells_stays_as_it_is(case: str, syntax: str) -> None:
    cells = smooth(12) | np.random.default_rng(1).integers(0, 16, (40, 37), np.uint16) << 12
    image = read(with_overlays(cells, IN_CELLS | NO_PLANE[case], IN_CELLS))
    done = transcode(image, syntax)
    assert done.overlays_moved == 1
    ds = dataset_of(done)
    assert (0x6000, 0x3000) not in ds
    expected = data_set(cells, 12)
    for element, (vr, value) in (IN_CELLS | NO_PLANE[case]).items():
        expected.add_new((0x6000, element), vr, value)
        assert ds[0x6000, element] == expected[0x6000, element]
    assert np.array_equal(ds.overlay_array(0x6002), cells >> 13 & 1)


@pytest.mark.parametrize("frames", [1, 3])
def test_overlays_around_bits_that_do_not_begin_at_0(frames: int) -> None:
    """Several groups, below and above the bits stored; every frame has its plane of each."""
    shape = (frames, 40, 37) if frames > 1 else (40, 37)
    junk = np.random.default_rng(2).integers(0, 1 << 16, shape, np.uint16)
    planes = [{**IN_CELLS, 0x102: ("US", bit)} for bit in (0, 2, 13, 14, 15)]
    planes[0][0x15] = ("IS", 7)
    done = transcode(read(with_overlays(junk, *planes, HighBit=13)), "jpeg-ls")
    ds = dataset_of(done)
    assert done.overlays_moved == 3  # bits 0, 14 and 15
    for group, bit in ((0x6000, 0), (0x6006, 14), (0x6008, 15)):
        assert np.array_equal(ds.overlay_array(group), junk >> bit & 1)
        assert ds[group, 0x102].value == 0
    for group, bit in ((0x6002, 2), (0x6004, 13)):
        assert (group, 0x3000) not in ds
        assert ds[group, 0x102].value == bit


def test_a_repeated_sign_is_no_overlay() -> None:
    cells = smooth(12, signed=True)
    image = read(with_overlays(cells, IN_CELLS))
    done = transcode(image, "jpeg2000")
    assert done.overlays_moved == 0
    assert (0x6000, 0x3000) not in dataset_of(done)


def test_groups_of_odd_number_are_no_overlays() -> None:
    ds = data_set(smooth(12), 12)
    for element, (vr, value) in IN_CELLS.items():
        ds.add_new((0x6001, 0x1000 | element), vr, value)
    ds.add_new((0x6001, 0x0010), "LO", "XRAYCODEC TEST")
    ds.add_new("PixelData", "OW", smooth(12).tobytes())
    done = transcode(read(to_file(ds, EXPLICIT_LITTLE)), "jpeg-ls")
    assert done.overlays_moved == 0
    assert dataset_of(done)[0x6001, 0x1102].value == 13


@pytest.mark.parametrize(("syntax", "loss", "uid", "method"), LOSSY)
@pytest.mark.parametrize("signed", [False, True])
def test_loss_is_bounded_and_told(
    syntax: str, loss: dict[str, float], uid: str, method: str, signed: bool
) -> None:
    if signed and syntax == "jpegxl":
        pytest.skip("JPEG XL has no signed pixels")
    pixels = smooth(12, signed=signed)
    if signed:
        pixels = np.clip(pixels, -2000, 2000)
    source = read(native_dicom(pixels, 12, ImageType=["ORIGINAL", "PRIMARY"]))
    done = transcode(source, syntax, **loss)  # type: ignore[arg-type]
    assert (done.lossless, done.transfer_syntax) == (False, uid)
    found = read(done.data)
    errors = abs(found.pixels.astype(np.int32) - source.pixels)
    assert errors.max() == done.largest_error
    assert done.largest_error
    if "max_error" in loss:
        assert done.largest_error <= loss["max_error"]
    else:
        beside = 8 + 4 + 8 + 1  # the offset table, the tag of an item, padding
        assert done.payload_bytes - beside <= done.pixel_bytes / loss["ratio"]
        assert errors.mean() < 60
    ds = dataset_of(done)
    assert ds.LossyImageCompression == "01"
    assert ds.LossyImageCompressionMethod == method
    assert float(ds.LossyImageCompressionRatio) == pytest.approx(
        done.pixel_bytes / done.payload_bytes, rel=0.1
    )
    assert list(ds.ImageType) == ["DERIVED", "PRIMARY"]
    assert ds.SOPInstanceUID == ds.file_meta.MediaStorageSOPInstanceUID != "1.2.3.4"
    assert len(ds.SourceImageSequence) == 1
    assert ds.SourceImageSequence[0].ReferencedSOPInstanceUID == "1.2.3.4"
    # Lossless from here on, but lossy for ever.
    after = dataset_of(transcode(found, "explicit"))
    assert after.LossyImageCompression == "01"
    assert after.SOPInstanceUID == ds.SOPInstanceUID


def test_losses_add_up() -> None:
    source = read(native_dicom(smooth(12), 12))
    first = transcode(source, "jpeg-ls", max_error=2)
    second = dataset_of(transcode(read(first.data), "jpeg2000", ratio=8.0))
    assert list(second.LossyImageCompressionMethod) == ["ISO_14495_1", "ISO_15444_1"]
    assert len(second.LossyImageCompressionRatio) == 2
    referenced = [item.ReferencedSOPInstanceUID for item in second.SourceImageSequence]
    assert referenced == ["1.2.3.4", dataset_of(first).SOPInstanceUID]


@pytest.mark.parametrize("syntax", ["jpeg-ls", "xrc"])
def test_uid_policies(syntax: str) -> None:
    source = read(native_dicom(smooth(12), 12))
    for loss in (0, 2):
        kept = dataset_of(transcode(source, syntax, max_error=loss, uid_policy="keep"))
        new = dataset_of(transcode(source, syntax, max_error=loss, uid_policy="new"))
        assert kept.SOPInstanceUID == "1.2.3.4" != new.SOPInstanceUID
        assert kept.get("LossyImageCompression") == ("01" if loss else None)


@pytest.mark.parametrize("bits", [3, 5, 8, 12, 16])
def test_near_lossless_never_leaves_the_range(bits: int) -> None:
    """Values at both ends, which precision beyond the bits stored would carry over them."""
    near = min(3, (2**bits - 1) // 2)
    for signed in (False, True):
        pixels = random_pixels((40, 30), bits, signed=signed)
        image = read(native_dicom(pixels, bits))
        if signed:
            with pytest.raises(OptionError, match="would change the sign"):
                transcode(image, "jpeg-ls", max_error=near)
            low, high = image.value_range
            image = read(native_dicom(np.clip(pixels, low + near, high - near), bits))
        done = transcode(image, "jpeg-ls", max_error=near)
        found = decode(done.data)
        assert abs(found.pixels.astype(np.int32) - image.pixels).max() <= near


def test_xrc_files_and_plain_images_become_dicom() -> None:
    image = XRay(smooth(12), 12)
    for data in (compress(image, Stored()), imagecodecs.png_encode(smooth(12) << 4)):
        source = read(data)
        done = transcode(source, "jpeg2000")
        assert np.array_equal(read(done.data).pixels, source.pixels)
        assert dataset_of(done).SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"


def test_losses_of_an_xrc_file_are_told() -> None:
    image = dataclasses.replace(
        read(native_dicom(smooth(12), 12)), losses=(Loss("XRC_RNN_CONV", 20.0),)
    )
    ds = dataset_of(transcode(image, "jpeg-ls"))
    assert ds.LossyImageCompressionMethod == "XRC_RNN_CONV"
    ds = dataset_of(transcode(image, "jpeg-ls", max_error=1))
    assert list(ds.LossyImageCompressionMethod) == ["XRC_RNN_CONV", "ISO_14495_1"]
    assert [item.ReferencedSOPInstanceUID for item in ds.SourceImageSequence] == ["1.2.3.4"]


@pytest.mark.parametrize(
    ("syntax", "asked", "message"),
    [
        ("jpeg", {}, "syntax 'jpeg' is not known"),
        ("rle", {"max_error": 1}, "max error goes with jpeg-ls, xrc, not with rle"),
        ("jpeg2000", {"max_error": 1}, "not with jpeg2000"),
        ("jpeg-ls", {"ratio": 8.0}, "ratio goes with jpeg2000, htj2k, jpegxl, not with jpeg-ls"),
        ("jpeg2000", {"ratio": 1.0}, "ratio 1; allowed is more than 1, up to 1000"),
        ("jpeg2000", {"ratio": float("nan")}, "ratio nan"),
        ("jpeg-ls", {"max_error": -1}, "max error -1"),
    ],
)
def test_requests_that_no_syntax_meets(syntax: str, asked: dict[str, float], message: str) -> None:
    with pytest.raises(OptionError, match=re.escape(message)):
        check_request(syntax, **asked)  # type: ignore[arg-type]


def test_bounds_and_ratios_out_of_reach() -> None:
    image = read(native_dicom(smooth(4), 4))
    with pytest.raises(OptionError, match="jpeg-ls allows 0 to 7 for 4 bits stored"):
        transcode(image, "jpeg-ls", max_error=8)
    with pytest.raises(OptionError, match="bytes at the lowest quality; the ratio allows 7"):
        transcode(image, "jpeg2000", ratio=100.0)


def test_wrong_outputs_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    image = read(native_dicom(smooth(12), 12))
    other = transcode(read(native_dicom(smooth(12)[::-1], 12)), "rle").data
    with monkeypatch.context() as patch:
        patch.setattr(module, "to_file", lambda dataset, uid: other)
        with pytest.raises(CorruptError, match="other pixels"):
            transcode(image, "rle")
        assert transcode(image, "rle", verify=False).data == other
        renamed = native_dicom(smooth(12), 12, PatientName="Someone^Else")
        patch.setattr(module, "to_file", lambda dataset, uid: renamed)
        with pytest.raises(CorruptError, match=r"other element \(0010,0010\)"):
            transcode(image, "rle")


# What others read. Tools that are not installed are no failure of ours.


def peer(tool: str, *arguments: str | Path) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed; Debian has it in dcmtk and libgdcm-tools")
    subprocess.run([tool, *map(str, arguments)], check=True, capture_output=True, timeout=600)


PEER_IMAGES = {
    "12 bits": (smooth(12), 12, {}),
    "12 bits, signed": (smooth(12, signed=True), 12, {}),
    "8 bits, MONOCHROME1": (smooth(8), 8, {"PhotometricInterpretation": "MONOCHROME1"}),
    "8 bits, signed": (smooth(8, signed=True), 8, {}),
    "8 bits in 16": (smooth(8).astype(np.uint16), 8, {}),
    "5 bits": (smooth(5), 5, {}),
    "16 bits": (smooth(16), 16, {}),
    "16 bits, signed": (smooth(16, signed=True), 16, {}),
    "frames": (np.stack([smooth(12), smooth(12)[::-1]]), 12, {"SOPClassUID": MULTI_FRAME}),
}
PEERS = [
    ("dcmdjpls", "jpeg-ls", {}),
    ("dcmdjpls", "jpeg-ls", {"max_error": 2}),
    ("dcmdrle", "rle", {}),
    ("dcmconv +te", "implicit", {}),
    ("dcmconv +te", "deflated", {}),
    ("gdcmconv --raw", "jpeg-ls", {}),
    ("gdcmconv --raw", "jpeg-ls", {"max_error": 2}),
    ("gdcmconv --raw", "rle", {}),
    ("gdcmconv --raw", "jpeg2000", {}),
    ("gdcmconv --raw", "jpeg2000", {"ratio": 4.0}),
]


@pytest.mark.parametrize(("tool", "syntax", "loss"), PEERS)
def test_peers_give_the_same_pixels(
    tmp_path: Path, tool: str, syntax: str, loss: dict[str, float]
) -> None:
    for name, (pixels, bits, elements) in PEER_IMAGES.items():
        if bits < 8 and (loss or "gdcm" in tool):
            continue  # DCMTK reads no precision below 8 of JPEG-LS, and GDCM aborts
        if loss and pixels.dtype.kind == "i":
            pixels = pixels // 2
        done = transcode(read(native_dicom(pixels, bits, **elements)), syntax, **loss)  # type: ignore[arg-type]
        there, back = tmp_path / "there.dcm", tmp_path / "back.dcm"
        there.write_bytes(done.data)
        command, *options = tool.split()
        peer(command, *options, there, back)
        raw = pydicom.dcmread(back)
        assert not raw.file_meta.TransferSyntaxUID.is_compressed or syntax == "deflated"
        assert np.array_equal(raw.pixel_array, read(done.data).pixels), name
        back.unlink()


@pytest.mark.parametrize("syntax", COMPRESSED)
def test_dcmdump_finds_every_fragment(tmp_path: Path, syntax: str) -> None:
    image = read(native_dicom(np.stack([smooth(12)] * 3), 12, SOPClassUID=MULTI_FRAME))
    path = tmp_path / "three.dcm"
    path.write_bytes(transcode(image, syntax).data)
    if shutil.which("dcmdump") is None:
        pytest.skip("dcmdump is not installed; Debian has it in dcmtk")
    done = subprocess.run(
        ["dcmdump", "+P", "7fe0,0010", path], check=True, capture_output=True, text=True
    )
    items = re.findall(r"\(fffe,e000\) pi .*?#\s+(\d+),", done.stdout)
    assert len(items) == 4  # the offset table and three frames
    assert items[0] == "12"


@pytest.mark.parametrize("syntax", ["rle", "jpeg2000"])
def test_pydicom_decodes_with_its_own_means(syntax: str) -> None:
    """Pillow, which comes with this package, gives pydicom JPEG 2000."""
    image = read(native_dicom(smooth(8), 8))
    assert np.array_equal(dataset_of(transcode(image, syntax)).pixel_array, image.pixels)
