"""Files that the tests build themselves: images, DICOM objects, damaged copies."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import imagecodecs
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.filewriter import dcmwrite
from pydicom.pixels.encoders import RLELosslessEncoder
from pydicom.uid import UID

from xraycodec.image import XRay

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
RLE = "1.2.840.10008.1.2.5"


def random_pixels(
    shape: tuple[int, ...], bits_stored: int, *, signed: bool = False, seed: int = 0
) -> np.ndarray:
    """Pixels over the whole range of the bits stored, both ends included where they fit."""
    low = -(1 << (bits_stored - 1)) if signed else 0
    high = low + (1 << bits_stored)
    width = 8 if bits_stored <= 8 else 16
    pixels = np.random.default_rng(seed).integers(low, high, shape)
    pixels.flat[0] = high - 1
    pixels.flat[-1] = low
    return pixels.astype(f"{'int' if signed else 'uint'}{width}")


def same(a: XRay, b: XRay) -> bool:
    """Equal in everything but the DICOM data set and a frame axis of one."""
    return (
        np.array_equal(a.frames, b.frames)
        and a.pixels.dtype == b.pixels.dtype
        and a.bits_stored == b.bits_stored
        and a.photometric_interpretation == b.photometric_interpretation
    )


def data_set(cells: np.ndarray, bits_stored: int, **elements: Any) -> Dataset:
    """A small object around ``(frame, row, column)`` or ``(row, column)`` cells, no pixels yet."""
    ds = Dataset()
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    ds.SOPInstanceUID = "1.2.3.4"
    ds.PatientName = "Röntgen^Anna Bertha"
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = cells.shape[-2:]
    ds.BitsAllocated = 8 * cells.dtype.itemsize
    ds.BitsStored = bits_stored
    ds.HighBit = bits_stored - 1
    ds.PixelRepresentation = int(cells.dtype.kind == "i")
    if cells.ndim == 3:
        ds.NumberOfFrames = len(cells)
    for keyword, value in elements.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def to_file(ds: Dataset, transfer_syntax: str) -> bytes:
    # Of these pydicom 3.0 writes none: borrow a UID of the same length, padding included.
    unknown = transfer_syntax.startswith(("1.2.840.10008.1.2.4.11", "1.2.840.10008.1.2.8."))
    borrowed = "1.2.840.10008.1.2.4.201" if len(transfer_syntax) > 22 else "1.2.840.10008.1.2.4.90"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(borrowed if unknown else transfer_syntax)
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    stream = io.BytesIO()
    dcmwrite(stream, ds, enforce_file_format=True)
    data = stream.getvalue()
    wanted = transfer_syntax.encode().ljust(len(borrowed), b"\0")
    return data.replace(borrowed.encode(), wanted) if unknown else data


def native_dicom(
    cells: np.ndarray,
    bits_stored: int,
    transfer_syntax: str = EXPLICIT_LITTLE,
    *,
    vr: str | None = None,
    **elements: Any,
) -> bytes:
    ds = data_set(cells, bits_stored, **elements)
    big = transfer_syntax == EXPLICIT_BIG
    raster = cells.astype(cells.dtype.newbyteorder(">" if big else "<")).tobytes()
    raster += b"\0" * (len(raster) % 2)
    vr = vr or ("OB" if cells.dtype.itemsize == 1 else "OW")
    if big and vr == "OW" and cells.dtype.itemsize == 1:
        raster = np.frombuffer(raster, "u2").byteswap().tobytes()
    ds.add_new("PixelData", vr, raster)
    return to_file(ds, transfer_syntax)


def encoded_element(tag: int, vr: str, value: bytes, transfer_syntax: str) -> bytes:
    """An element by hand: its value may be anything, and ``vr`` empty for one without."""
    big = transfer_syntax == EXPLICIT_BIG
    order = ">" if big else "<"
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if transfer_syntax == IMPLICIT_LITTLE or not vr:
        return head + struct.pack(order + "I", len(value)) + value
    if vr in ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"):
        return head + vr.encode() + struct.pack(order + "HI", 0, len(value)) + value
    return head + vr.encode() + struct.pack(order + "H", len(value)) + value


def dicom_by_hand(
    *elements: tuple[int, str, bytes],
    transfer_syntax: str = EXPLICIT_LITTLE,
    meta: bytes = b"",
    stored: np.ndarray | None = None,
    signed: bool = False,
) -> bytes:
    """A file of 12 bits stored with further elements, or others in place of its own."""
    cells = random_pixels((3, 5), 12) if stored is None else stored
    order = ">" if transfer_syntax == EXPLICIT_BIG else "<"

    def short(value: int) -> bytes:
        return struct.pack(order + "H", value)

    own = {
        0x00080016: ("UI", b"1.2.840.10008.5.1.4.1.1.1\0"),
        0x00080018: ("UI", b"1.2.3.4\0"),
        0x00100010: ("PN", b"Test^Case "),
        0x00280002: ("US", short(1)),
        0x00280004: ("CS", b"MONOCHROME2 "),
        0x00280010: ("US", short(cells.shape[-2])),
        0x00280011: ("US", short(cells.shape[-1])),
        0x00280100: ("US", short(8 * cells.dtype.itemsize)),
        0x00280101: ("US", short(12)),
        0x00280102: ("US", short(11)),
        0x00280103: ("US", short(int(signed))),
        0x7FE00010: ("OW", cells.astype(cells.dtype.newbyteorder(order)).tobytes()),
        **{tag: (vr, value) for tag, vr, value in elements},
    }
    uid = transfer_syntax.encode() + b"\0" * (len(transfer_syntax) % 2)
    syntax = encoded_element(0x00020010, "UI", uid, EXPLICIT_LITTLE)
    body = b"".join(encoded_element(tag, *own[tag], transfer_syntax) for tag in sorted(own))
    return bytes(128) + b"DICM" + syntax + meta + body


def compressed_dicom(
    frames: list[bytes],
    cells: np.ndarray,
    bits_stored: int,
    transfer_syntax: str,
    *,
    table: str = "basic",
    fragments: int = 1,
    **elements: Any,
) -> bytes:
    """Encapsulate frames; ``table`` is basic, none, extended or wrong."""
    ds = data_set(cells, bits_stored, **elements)
    if table == "extended":
        value, offsets, lengths = encapsulate_extended(frames)
        ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = offsets, lengths
    else:
        value = encapsulate(frames, fragments_per_frame=fragments, has_bot=table != "none")
    if table == "wrong":
        count = int.from_bytes(value[4:8], "little") // 4
        value = (
            value[:8]
            + struct.pack(f"<{count}I", *range(2, 2 + 6 * count, 6))
            + value[8 + 4 * count :]
        )
    ds.add_new("PixelData", "OB", value)
    ds["PixelData"].is_undefined_length = True
    return to_file(ds, transfer_syntax)


def encode_frame(family: str, frame: np.ndarray, bits: int) -> bytes:
    """One frame as a lossless codestream of the family; signed frames as their bits unless
    the family knows signs."""
    unsigned = frame.view(f"u{frame.dtype.itemsize}") & ((1 << bits) - 1)
    if family == "rle":
        return RLELosslessEncoder.encode(
            frame,
            encoding_plugin="pydicom",
            rows=frame.shape[0],
            columns=frame.shape[1],
            samples_per_pixel=1,
            number_of_frames=1,
            bits_allocated=8 * frame.dtype.itemsize,
            bits_stored=bits,
            pixel_representation=int(frame.dtype.kind == "i"),
            photometric_interpretation="MONOCHROME2",
        )
    if family == "jpeg":
        return imagecodecs.jpeg8_encode(unsigned, lossless=True, predictor=1, bitspersample=bits)
    if family == "jpegls":
        return imagecodecs.jpegls_encode(unsigned)
    if family == "jpeg2000":
        return imagecodecs.jpeg2k_encode(
            frame, level=0, codecformat="j2k", reversible=True, bitspersample=bits
        )
    if family == "htj2k":
        return imagecodecs.htj2k_encode(frame, reversible=True)
    assert family == "jpegxl"
    return imagecodecs.jpegxl_encode(
        unsigned, lossless=True, photometric="gray", bitspersample=bits
    )


def png(
    rows: int,
    columns: int,
    depth: int,
    colour_type: int,
    raster: bytes,
    *chunks: tuple[bytes, bytes],
) -> bytes:
    """A PNG from its parts; ``raster`` has the filter bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I4s", len(body), kind) + body + checksum

    header = struct.pack(">IIBBBBB", columns, rows, depth, colour_type, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *(chunk(*c) for c in chunks)]
    parts += [chunk(b"IDAT", zlib.compress(raster)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
