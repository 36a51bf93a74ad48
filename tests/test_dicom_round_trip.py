"""Every file that pydicom ships, through compression and back: equal, or refused by name."""

from __future__ import annotations

import io
import re
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from xraycodec import Lattice, Stored, compress, decompress, verify
from xraycodec.errors import CorruptImageError, ImageError, UnsupportedImageError
from xraycodec.files import encode, read
from xraycodec.files.dicom_writer import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

ROOT = Path(pydicom.__file__).parent / "data" / "test_files"
FILES = sorted(path for path in ROOT.rglob("*") if path.is_file() and path.name != "__init__.py")

# Gray images that are damaged on purpose, and those of kinds that are not served.
DAMAGED = {"JPEG2000-embedded-sequence-delimiter.dcm", "MR_truncated.dcm"}
# Their codestreams are lossy, and their data sets do not say so: the result's does.
UNTOLD = {"JPEGLSNearLossless_08.dcm", "JPEGLSNearLossless_16.dcm"}
LOSSY = {0x00282110, 0x00282112, 0x00282114}
SMALL = 4096  # pixels: these go through lattice as well

PIXEL_DATA = {0x7FE00001, 0x7FE00002, 0x7FE00003, 0x7FE00010}
# Version, transfer syntax, implementation: the writer's own. The rest of group 0002 is kept.
OWN_META = {0x00020000, 0x00020001, 0x00020010, 0x00020012, 0x00020013}


@pytest.fixture(autouse=True)
def quiet() -> object:
    """Pydicom warns of what these files were made to have."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@cache
def parsed(path: Path) -> Dataset:
    return pydicom.dcmread(path, force=True)


def is_served(path: Path) -> bool:
    """By what the file says of itself: grayscale integers of 8 or 16 bits."""
    dataset = parsed(path)
    return (
        dataset.get("PhotometricInterpretation") in ("MONOCHROME1", "MONOCHROME2")
        and dataset.get("BitsAllocated") in (8, 16)
        and "PixelData" in dataset
    )


def differences(source: Dataset, result: Dataset, besides: set[int]) -> list[str]:
    """Elements that are not equal, nested ones too; retired group lengths are not kept."""
    tags = {tag for tag in source.keys() if tag.element != 0 or tag.group == 2}  # noqa: SIM118
    return [
        str(tag)
        for tag in sorted((tags | set(result.keys())) - besides)
        if tag not in tags or tag not in result or source[tag] != result[tag]
    ]


def test_the_files_are_there() -> None:
    assert len(FILES) > 150
    assert sum(map(is_served, FILES)) == 49 + len(DAMAGED)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_equal_or_refused(path: Path) -> None:
    if not is_served(path) or path.name in DAMAGED:
        error = CorruptImageError if path.name in DAMAGED else ImageError
        with pytest.raises(error, match=re.escape(path.name)) as caught:
            read(path)
        assert isinstance(caught.value, CorruptImageError | UnsupportedImageError)
        return
    image = read(path)
    data = compress(image, Lattice() if image.pixels.size <= SMALL else Stored())
    assert verify(data, original=image).identical
    back = decompress(data)
    assert np.array_equal(back.pixels, image.pixels)

    source, result = parsed(path), pydicom.dcmread(io.BytesIO(encode(back, "dicom")))
    native = not source["PixelData"].is_undefined_length
    # pydicom gives big endian words as they lie in the file; the pixels are compared below.
    same_bytes = native and source.file_meta.get("TransferSyntaxUID") != ExplicitVRBigEndian
    besides = set() if same_bytes else PIXEL_DATA
    if path.name in UNTOLD:
        besides = besides | LOSSY
        assert result.LossyImageCompression == "01"
    assert differences(source, result, besides) == []
    assert differences(source.file_meta, result.file_meta, OWN_META) in ([], ["(0002,0003)"])
    assert result.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert result.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert result.file_meta.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME
    assert result.preamble == (getattr(source, "preamble", None) or bytes(128))
    if native:
        try:
            expected = source.pixel_array
        except (AttributeError, ValueError, RuntimeError):
            return  # pydicom refuses some of its own: the bytes above are compared all the same
        assert np.array_equal(result.pixel_array, expected)


def test_a_second_round_trip_changes_nothing() -> None:
    for name in ("CT_small.dcm", "MR_small_bigendian.dcm", "MR_small_padded.dcm"):
        first = encode(decompress(compress(read(ROOT / name), Stored())), "dicom")
        again = encode(decompress(compress(read(io.BytesIO(first)), Stored())), "dicom")
        assert again == first


def test_deep_radiographs_keep_their_data_sets(data_dir: Path) -> None:
    """The smaller ones, and without compression: the largest take a minute."""
    paths = sorted((data_dir / "deep").glob("*.dcm"), key=lambda path: path.stat().st_size)
    for path in paths[:4]:
        image, source = read(path), parsed(path)
        result = pydicom.dcmread(io.BytesIO(encode(image, "dicom")))
        native = not source["PixelData"].is_undefined_length
        assert differences(source, result, set() if native else PIXEL_DATA) == [], path
