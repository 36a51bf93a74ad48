"""pydicom reads and writes the private transfer syntax once this module was imported.

::

    import xraycodec.plugins.pydicom as xrc

    pydicom.dcmread(path).pixel_array        # of a file that ``xrc dicom wrap`` wrote
    dataset.compress(xrc.XRC_UID)            # lossless; with codec=Lattice(profile="fast") faster
    dataset.decompress()

Importing it again changes nothing. What frames hold is in spec/dicom.md.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pydicom
from pydicom.pixels.decoders import base as decoders
from pydicom.pixels.encoders import base as encoders
from pydicom.uid import UID, register_transfer_syntax

from xraycodec.container import read_header
from xraycodec.dicom import encapsulation, frames
from xraycodec.errors import OptionError, UnsupportedImageError
from xraycodec.files.dicom_cells import PixelLayout
from xraycodec.image import PhotometricInterpretation

NAME = "xraycodec"
"""Of the plug-in, for pydicom's ``decoding_plugin`` and ``encoding_plugin``."""

XRC_UID: UID = register_transfer_syntax(
    encapsulation.XRC_UID, implicit_vr=False, little_endian=True
)
"""The transfer syntax, for `Dataset.compress`."""

DECODER_DEPENDENCIES: dict[UID, tuple[str, ...]] = {XRC_UID: ()}
ENCODER_DEPENDENCIES: dict[UID, tuple[str, ...]] = {XRC_UID: ()}


def is_available(uid: str) -> bool:
    """Tell pydicom whether this plug-in serves a transfer syntax."""
    return str(uid) == encapsulation.XRC_UID


def decode_frame(src: bytes, runner: decoders.DecodeRunner) -> bytes:
    """Decode one frame to cells as native Pixel Data has them; called by pydicom.

    Raises:
        ImageError: pixels of another kind than this transfer syntax holds.
        FormatError, ModelError: the stream cannot be decoded, or is of another frame.
    """
    layout = _layout(runner)
    cells = frames.decode_frame(bytes(src), layout)
    return cells.astype(layout.cell.newbyteorder("<"), copy=False).tobytes()


def encode_frame(src: bytes, runner: encoders.EncodeRunner) -> bytes:
    """Encode one frame of native Pixel Data, whole cells of it; called by pydicom.

    Raises:
        ImageError: pixels of another kind than this transfer syntax holds.
        OptionError: a lossy codec: nothing here could mark the data set as lossy.
        ModelError: a model pack is not at hand.
    """
    layout = _layout(runner)
    photometric = runner.photometric_interpretation
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise UnsupportedImageError(
            f"Photometric Interpretation is {photometric}; allowed are MONOCHROME1 and MONOCHROME2"
        )
    stream = frames.encode_frame(
        _cells(src, layout, runner),
        layout,
        cast("PhotometricInterpretation", str(photometric)),
        runner.get_option("codec"),
    )
    if read_header(stream).max_error != 0:
        raise OptionError(
            "the codec is lossy, which pydicom would not say in the data set;"
            " xraycodec.dicom.encapsulation.encapsulate does"
        )
    return stream


def _layout(runner: decoders.DecodeRunner | encoders.EncodeRunner) -> PixelLayout:
    """One frame as pydicom describes it, which knows no High Bit but Bits Stored - 1."""
    if runner.samples_per_pixel != 1 or runner.bits_allocated not in (8, 16):
        raise UnsupportedImageError(
            f"Samples per Pixel is {runner.samples_per_pixel}, Bits Allocated"
            f" {runner.bits_allocated}; allowed are 1, and 8 or 16"
        )
    return PixelLayout(
        frames=1,
        rows=runner.rows,
        columns=runner.columns,
        bits_allocated=runner.bits_allocated,
        bits_stored=runner.bits_stored,
        high_bit=runner.bits_stored - 1,
        signed=runner.pixel_representation == 1,
    )


def _cells(src: bytes, layout: PixelLayout, runner: encoders.EncodeRunner) -> frames.Cells:
    """Cells ``(row, column)``, ``layout.bits_allocated`` wide, from what pydicom hands over."""
    order = runner.get_option("byteorder", "<")
    shape = layout.rows, layout.columns
    if len(src) == layout.rows * layout.columns * layout.cell.itemsize:
        stored = np.frombuffer(src, layout.cell.newbyteorder(order))
        return stored.astype(layout.cell, copy=False).reshape(shape)
    # Of cells of 16 bits with 8 stored or fewer pydicom hands over the low bytes alone.
    low = np.frombuffer(src, "i1" if layout.signed else "u1").reshape(shape)
    if not runner.is_array and not runner.get_option("high_bytes_checked"):
        whole = np.frombuffer(runner.src, layout.cell.newbyteorder(order))
        if not frames.is_plain(whole.astype(layout.cell), layout):
            raise UnsupportedImageError(
                f"bits beside the {layout.bits_stored} stored ones are in use, which pydicom does"
                " not hand over; xraycodec.dicom.encapsulation.encapsulate keeps them"
            )
        runner.set_option("high_bytes_checked", True)
    return low.astype(f"{low.dtype.kind}2").view(layout.cell)


class _EncodingOfRegistered:
    """Stands in for the attribute by which pydicom knows a transfer syntax's encoding.

    pydicom sets it on one UID object, the registered one. Those that it reads from files or makes
    from strings lack it, so that `Dataset.decompress` refuses them as no transfer syntax.
    """

    def __get__(self, uid: UID | None, owner: type[UID]) -> Any:
        if uid is None:
            return self
        if uid == encapsulation.XRC_UID:
            return False, True  # implicit VR, little endian
        raise AttributeError("_PRIVATE_TS_ENCODING")


def _register() -> None:
    """Enter decoder and encoder where pydicom looks for them, if they are not there already.

    All that is no public part of pydicom is touched here and in no other place.

    Raises:
        ImportError: this pydicom has other places.
    """
    try:
        known_decoders: dict[UID, Any] = decoders._PIXEL_DATA_DECODERS
        known_encoders: dict[UID, Any] = encoders._PIXEL_DATA_ENCODERS
    except AttributeError as error:
        raise ImportError(_refusal(str(error))) from error
    if not UID(encapsulation.XRC_UID).is_transfer_syntax:
        UID._PRIVATE_TS_ENCODING = _EncodingOfRegistered()
        if not UID(encapsulation.XRC_UID).is_encapsulated or UID("2.25.1").is_transfer_syntax:
            del UID._PRIVATE_TS_ENCODING
            raise ImportError(_refusal("UIDs take their encoding from elsewhere"))
    if XRC_UID not in known_decoders:
        decoder = decoders.Decoder(XRC_UID)
        decoder.add_plugin(NAME, (__name__, "decode_frame"))
        known_decoders[XRC_UID] = (decoder, "3.0")
    if XRC_UID not in known_encoders:
        encoder = encoders.Encoder(XRC_UID)
        encoder.add_plugin(NAME, (__name__, "encode_frame"))
        known_encoders[XRC_UID] = (encoder, "3.0")


def _refusal(reason: str) -> str:
    return (
        f"xraycodec.plugins.pydicom fits pydicom 3.0.0 to 3.0.2 and what is like them; this is"
        f" {pydicom.__version__}: {reason}"
    )


_register()
