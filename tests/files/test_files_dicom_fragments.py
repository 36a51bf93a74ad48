"""Encapsulated Pixel Data as writers leave them: items, offset tables, numbers of frames."""

from __future__ import annotations

import io
import struct

import numpy as np
import pydicom
import pytest
from files_building import (
    EXPLICIT_LITTLE,
    RLE,
    compressed_dicom,
    data_set,
    encode_frame,
    native_dicom,
    random_pixels,
    same,
    to_file,
)

from xraycodec.codecs.stored import Stored
from xraycodec.dicom.encapsulation import unwrap, wrap
from xraycodec.dicom.transcode import read, transcode
from xraycodec.errors import CorruptImageError
from xraycodec.files import decode, encode
from xraycodec.image import XRay

_JPEG = "1.2.840.10008.1.2.4."
_CELLS = random_pixels((3, 20, 24), 12)
_ITEM, _DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_END = _DELIMITER + bytes(4)
_PADDING = b"\xfc\xff\xfc\xffOB\0\0\x02\0\0\0\0\0"  # Data Set Trailing Padding


def _item(value: bytes, *, even: bool = True) -> bytes:
    value += b"\0" * (len(value) % 2 and even)
    return _ITEM + struct.pack("<I", len(value)) + value


def _table(*offsets: int) -> bytes:
    return _item(struct.pack(f"<{len(offsets)}I", *offsets))


def _file(
    cells: np.ndarray,
    uid: str,
    value: bytes,
    following: bytes = b"",
    *,
    undefined: bool = True,
    **elements: object,
) -> bytes:
    """A file with Pixel Data as bytes; pydicom would not write broken ones."""
    length = 0xFFFFFFFF if undefined else len(value)
    ds = data_set(cells, 12, **elements)
    header = b"\xe0\x7f\x10\x00OB\0\0" + struct.pack("<I", length)
    return to_file(ds, uid) + header + value + following


_FAMILIES = {"rle": RLE, "jpeg": _JPEG + "70", "jpegls": _JPEG + "80", "jpeg2000": _JPEG + "90"}
_FRAMES = {family: [encode_frame(family, cell, 12) for cell in _CELLS] for family in _FAMILIES}


def _several(family: str, case: str) -> bytes:
    a, b, c = _FRAMES[family]
    body = _item(a) + _item(b) + _item(c)
    offsets = (0, len(_item(a)), len(_item(a) + _item(b)))
    good = _table(*offsets) + body
    value, following, undefined = {
        "table of one zero": (_table(0) + body + _END, b"", True),
        "table too long": (_table(*offsets, len(body)) + body + _END, b"", True),
        "table in reverse": (_table(*offsets[::-1]) + body + _END, b"", True),
        "table of 3 bytes": (_ITEM + b"\3\0\0\0abc" + body + _END, b"", True),
        "empty first fragment": (_item(b"") + _item(b"") + body + _END, b"", True),
        "empty fragment between": (
            _item(b"") + _item(a) + _item(b"") + _item(b) + _item(c) + _END,
            b"",
            True,
        ),
        "empty last fragment": (_item(b"") + body + _item(b"") + _END, b"", True),
        "empty last fragment and a table": (good + _item(b"") + _END, b"", True),
        "no delimiter": (good, b"", True),
        "no delimiter but zeros": (good + bytes(32), b"", True),
        "no delimiter but an element": (good, _PADDING, True),
        "an element after the delimiter": (good + _END, _PADDING, True),
        "a delimiter of some length": (good + _DELIMITER + b"\4\0\0\0", b"", True),
        "half a delimiter": (good + _DELIMITER, b"", True),
        "two delimiters": (good + _END + _END, b"", True),
        "defined length": (good + _END, b"", False),
        "defined length without delimiter": (good, b"", False),
        "frames with much padding": (
            _item(b"") + b"".join(_item(frame + bytes(6)) for frame in (a, b, c)) + _END,
            b"",
            True,
        ),
    }[case]
    return _file(_CELLS, _FAMILIES[family], value, following, undefined=undefined)


@pytest.mark.parametrize("family", _FAMILIES)
@pytest.mark.parametrize(
    "case",
    [
        *("table of one zero", "table too long", "table in reverse", "table of 3 bytes"),
        *("empty first fragment", "empty fragment between", "empty last fragment"),
        *("empty last fragment and a table", "no delimiter", "no delimiter but zeros"),
        *("no delimiter but an element", "an element after the delimiter"),
        *("a delimiter of some length", "half a delimiter", "two delimiters", "defined length"),
        *("defined length without delimiter", "frames with much padding"),
    ],
)
def test_several_frames(family, case):
    image = decode(_several(family, case))
    assert same(image, XRay(_CELLS, 12))
    assert ("an element" in case) == (b"\xfc\xff\xfc\xff" in image.dicom)


@pytest.mark.parametrize("case", ["empty last fragment", "no delimiter", "defined length"])
def test_what_is_written_is_right(case):
    data = _several("jpeg", case)
    for written in (
        encode(decode(data), "dicom"),
        transcode(read(data), "rle").data,
        unwrap(wrap(data, Stored())),
    ):
        ds = pydicom.dcmread(io.BytesIO(written))
        assert np.array_equal(ds.pixel_array, _CELLS)
    assert transcode(read(data), "rle").data.endswith(_END)
    assert wrap(data, Stored()).endswith(_END)


@pytest.mark.parametrize(
    ("parts", "undefined"),
    [
        ((b"", "100", "rest", b""), True),
        ((b"", b"", "rest"), True),
        ((b"", "odd", "rest"), True),
        ((b"", "100", "rest", b""), False),
    ],
)
@pytest.mark.parametrize("family", _FAMILIES)
def test_one_frame_in_fragments(family, parts, undefined):
    frame, value, begin = _FRAMES[family][0], b"", 0
    for part in parts:
        end = {"100": 100, "odd": 101, "rest": len(frame)}.get(part, begin)
        value += _item(frame[begin:end], even=part == "rest")
        begin = end
    data = _file(_CELLS[0], _FAMILIES[family], value + _END, undefined=undefined)
    assert same(decode(data), XRay(_CELLS[0], 12))


@pytest.mark.parametrize("family", ["jpeg", "jpegls", "jpeg2000"])
def test_a_bare_codestream_of_defined_length(family):
    frame = _FRAMES[family][0]
    value = frame + b"\0" * (len(frame) % 2)
    data = _file(_CELLS[0], _FAMILIES[family], value, undefined=False)
    assert same(decode(data), XRay(_CELLS[0], 12))


@pytest.mark.filterwarnings("ignore:A value of 'None'")
@pytest.mark.parametrize("count", [0, ""])
@pytest.mark.parametrize("uid", [EXPLICIT_LITTLE, RLE])
def test_number_of_frames_that_says_nothing(count, uid):
    cells = _CELLS[0]
    if uid == RLE:
        data = compressed_dicom([_FRAMES["rle"][0]], cells, 12, uid, NumberOfFrames=count)
    else:
        data = native_dicom(cells, 12, NumberOfFrames=count)
    assert same(decode(data), XRay(cells, 12))
    for written in (encode(decode(data), "dicom"), transcode(read(data), "rle").data):
        ds = pydicom.dcmread(io.BytesIO(written))
        assert ds.NumberOfFrames == (1 if count == 0 else None)
        assert np.array_equal(ds.pixel_array, cells)


@pytest.mark.parametrize("family", _FAMILIES)
def test_other_numbers_of_frames(family):
    body = _item(b"") + b"".join(map(_item, _FRAMES[family]))
    for count in (1, 2, 4):
        cells = np.stack([_CELLS[0]] * count)
        with pytest.raises(CorruptImageError, match=r"3 frames|decodes to"):
            decode(_file(cells, _FAMILIES[family], body + _END))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (_item(b"") + _item(b"abc")[:-1], "an item or its delimiter ends at byte"),
        (
            _item(b"") + _ITEM + b"\xff\xff\xff\xff" + bytes(8),
            "an item or its delimiter ends at byte",
        ),
        (_item(b"") + _item(b"abcd") + b"\x08\0\x05\0CS\0\0" + _END, "is no item"),
        (_item(b"") + _END, "holds 0 frames"),
        (_END, "Pixel Data is empty"),
    ],
)
def test_broken_items(value, message):
    with pytest.raises(CorruptImageError, match=message):
        decode(_file(_CELLS[0], RLE, value))


def test_the_bytes_of_a_delimiter_inside_a_frame():
    """They are pixels here; pydicom takes them for the end of Pixel Data."""
    cells = random_pixels((8, 8), 8)
    cells[3, 2:6] = 0xFE, 0xFF, 0xDD, 0xE0
    frame = encode_frame("rle", cells, 8)
    assert _DELIMITER in frame
    data = compressed_dicom([frame], cells, 8, RLE)
    assert same(decode(data), XRay(cells, 8))
    wrapped = wrap(native_dicom(cells, 8), Stored())
    assert same(decode(wrapped), XRay(cells, 8))
