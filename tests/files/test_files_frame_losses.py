"""DICOM sources whose codestreams are lossy and whose data sets do not say so."""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pydicom
import pytest
from files_building import compressed_dicom, encode_frame

from xraycodec import Stored, compress, decompress
from xraycodec.dicom.transcode import transcode
from xraycodec.files import decode, encode
from xraycodec.files.frame_losses import method_of_loss

JPEG = "1.2.840.10008.1.2.4."
ROWS, COLUMNS = 24, 40


def smooth(bits: int) -> np.ndarray:
    slope = np.add.outer(np.arange(ROWS), np.arange(COLUMNS)) * ((1 << bits) // 80)
    return slope.astype(np.uint8 if bits == 8 else np.uint16)


def baseline(cells: np.ndarray) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(cells, level=50))


def extended(cells: np.ndarray) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(cells, level=50, bitspersample=12))


def jpeg2000(cells: np.ndarray) -> bytes:
    return bytes(
        imagecodecs.jpeg2k_encode(
            cells, level=40, codecformat="j2k", reversible=False, bitspersample=12
        )
    )


def htj2k(cells: np.ndarray) -> bytes:
    return bytes(imagecodecs.htj2k_encode(cells, reversible=False))


def near_lossless(cells: np.ndarray) -> bytes:
    return bytes(imagecodecs.jpegls_encode(cells, level=3))


def jpegxl(cells: np.ndarray) -> bytes:
    return bytes(imagecodecs.jpegxl_encode(cells, level=80, photometric="gray"))


def jpegxl_of_jpeg(cells: np.ndarray) -> bytes:
    return bytes(imagecodecs.jpegxl_encode_jpeg(baseline(cells)))


LOSSY = [
    (baseline, 8, "50", "ISO_10918_1"),
    (baseline, 8, "51", "ISO_10918_1"),
    (extended, 12, "51", "ISO_10918_1"),
    (near_lossless, 8, "81", "ISO_14495_1"),
    (jpeg2000, 12, "91", "ISO_15444_1"),
    (htj2k, 16, "203", "ISO_15444_15"),
    (jpegxl, 8, "112", "ISO_18181_1"),
    (jpegxl_of_jpeg, 8, "111", "ISO_18181_1"),
]


@pytest.mark.parametrize(("encoder", "bits", "syntax", "method"), LOSSY)
def test_the_loss_is_told_from_here_on(encoder, bits, syntax, method):
    cells = np.stack([smooth(bits), smooth(bits)[::-1]])
    frames = [encoder(frame) for frame in cells]
    data = compressed_dicom(frames, cells, bits, JPEG + syntax, LossyImageCompression="00")
    image = decode(data)
    ratio = cells.size * bits / 8 / sum(map(len, frames))
    outputs = (
        encode(image, "dicom"),
        encode(decompress(compress(image, Stored())), "dicom"),
        transcode(image, "jpeg-ls").data,
        transcode(decode(transcode(image, "rle").data), "explicit").data,
    )
    for output in outputs:
        ds = pydicom.dcmread(io.BytesIO(output))
        assert ds.LossyImageCompression == "01"
        assert ds.LossyImageCompressionMethod == method
        # Fragments of an odd length are padded.
        assert float(ds.LossyImageCompressionRatio) == pytest.approx(ratio, rel=0.02)
        assert ds.SOPInstanceUID == "1.2.3.4"
        assert "SourceImageSequence" not in ds


@pytest.mark.parametrize(
    ("family", "syntax"),
    [("jpeg", "70"), ("jpegls", "81"), ("jpeg2000", "91"), ("htj2k", "203"), ("jpegxl", "112")],
)
def test_nothing_is_told_of_lossless_codestreams(family, syntax):
    """Under the lossy syntaxes too, where there are some: these allow for both."""
    frame = encode_frame(family, smooth(8), 8)
    image = decode(compressed_dicom([frame], smooth(8), 8, JPEG + syntax))
    assert "LossyImageCompression" not in pydicom.dcmread(io.BytesIO(encode(image, "dicom")))


def test_what_is_told_already_stays():
    frame = near_lossless(smooth(8))
    for told in (
        {"LossyImageCompression": "01"},
        {"LossyImageCompressionRatio": "9", "LossyImageCompressionMethod": "OTHER"},
    ):
        image = decode(compressed_dicom([frame], smooth(8), 8, JPEG + "81", **told))
        ds = pydicom.dcmread(io.BytesIO(encode(image, "dicom")))
        assert ds.LossyImageCompression == "01"
        assert ds.get("LossyImageCompressionRatio") == told.get("LossyImageCompressionRatio")
        assert ds.get("LossyImageCompressionMethod") == told.get("LossyImageCompressionMethod")


def test_a_later_loss_is_a_second_step():
    frame = near_lossless(smooth(8))
    image = decode(compressed_dicom([frame], smooth(8), 8, JPEG + "81"))
    ds = pydicom.dcmread(io.BytesIO(transcode(image, "jpeg-ls", max_error=5).data))
    assert list(ds.LossyImageCompressionMethod) == ["ISO_14495_1"] * 2
    (source,) = ds.SourceImageSequence
    assert source.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"  # lossy itself


def test_a_point_transform_drops_bits():
    """Lossless JPEG and JPEG-LS may leave out the lowest bits (T.81 H.1.2.1)."""
    frame = encode_frame("jpeg", smooth(8), 8)
    scan = frame.index(b"\xff\xda")
    place = scan + 4 + 1 + 2 + 2
    shifted = frame[:place] + b"\x01" + frame[place + 1 :]
    assert method_of_loss(frame, "jpeg", JPEG + "70") is None
    assert method_of_loss(shifted, "jpeg", JPEG + "70") == "ISO_10918_1"


@pytest.mark.parametrize("family", ["jpeg", "jpeg2000"])
def test_damage_tells_nothing(family):
    frame = near_lossless(smooth(8)) if family == "jpeg" else jpeg2000(smooth(12))
    for end in range(60):
        method_of_loss(frame[:end], family, JPEG + "81")
    assert method_of_loss(frame[:4] + b"\0\0" + frame[6:], family, JPEG + "81") is None
    assert method_of_loss(frame, "rle", "1.2.840.10008.1.2.5") is None
