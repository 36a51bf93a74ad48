"""Writing a stream."""

from __future__ import annotations

from collections.abc import Sequence

from xraycodec.container.dicom_file import pack_dicom_file
from xraycodec.container.framing import (
    LAST_CHUNK,
    MAX_CHUNKS,
    MAX_PARAMETER_BYTES,
    SIGNATURE,
    Buffer,
    byte_view,
    pack_chunk,
)
from xraycodec.container.header import Header, pack_header
from xraycodec.container.index import pack_index, spread_payloads
from xraycodec.container.losses import pack_losses
from xraycodec.container.metadata import pack_metadata
from xraycodec.container.pixel_hash import pack_hash
from xraycodec.container.spare_bits import pack_spare_bits
from xraycodec.errors import OptionError
from xraycodec.image import DicomFile, Loss, SpareBits

_CHUNKS_BESIDE_DATA = 6


def build(
    header: Header,
    parameters: bytes,
    payloads: Sequence[Buffer],
    pixel_hash: bytes,
    dicom: bytes | None = None,
    *,
    dicom_file: DicomFile | None = None,
    losses: Sequence[Loss] = (),
    spare_bits: SpareBits | None = None,
) -> bytes:
    """Write an ``.xrc`` stream.

    Args:
        header: what the image is.
        parameters: the codec's own, at most 64 KiB.
        payloads: of the tiles, ``header.payload_count`` of them in coding order: layer, frame,
            row of tiles, column.
        pixel_hash: digest of the pixels that decoding gives, from
            :func:`~xraycodec.container.hash_pixels`.
        dicom: data set without pixels, explicit VR little endian.
        dicom_file: how a DICOM file held it; without ``dicom`` it is left out.
        losses: lossy compression before that of this stream.
        spare_bits: bits of the DICOM file's cells around the bits stored.

    Raises:
        OptionError: a wrong number of payloads, or something larger than the format can hold.
    """
    if len(parameters) > MAX_PARAMETER_BYTES:
        raise OptionError(
            f"codec parameters have {len(parameters)} bytes; the format allows"
            f" {MAX_PARAMETER_BYTES}"
        )
    if len(payloads) != header.payload_count:
        raise OptionError(
            f"{len(payloads)} payloads given; the header's image has {header.payload_count}:"
            f" {header.tile_count} tiles, {header.layers} layers"
        )
    if dicom is None:
        dicom_file = None
    ancillary = (dicom_file is not None) + bool(losses) + (spare_bits is not None)
    max_data = MAX_CHUNKS - _CHUNKS_BESIDE_DATA - ancillary
    views = [byte_view(payload) for payload in payloads]
    payload_bytes = [len(view) for view in views]
    payloads_per_chunk = spread_payloads(payload_bytes, header.tile_count)
    if len(payloads_per_chunk) > max_data:
        raise OptionError(
            f"the tiles fill {len(payloads_per_chunk)} DATA chunks; the format allows {max_data}"
        )
    parts: list[Buffer] = [SIGNATURE]
    parts += pack_chunk("HEAD", pack_header(header, with_ancillary=ancillary > 0))
    parts += pack_chunk("PARM", parameters)
    if dicom is not None:
        parts += pack_chunk("META", pack_metadata(dicom))
    if dicom_file is not None:
        parts += pack_chunk("fiLE", pack_dicom_file(dicom_file))
    if losses:
        parts += pack_chunk("loSS", pack_losses(losses))
    parts += pack_chunk("INDX", pack_index(payloads_per_chunk, payload_bytes))
    first = 0
    for count in payloads_per_chunk:
        parts += pack_chunk("DATA", *views[first : first + count])
        first += count
    if spare_bits is not None:
        parts += pack_chunk("spAR", pack_spare_bits(spare_bits))
    parts += pack_chunk("HASH", pack_hash(pixel_hash))
    parts += pack_chunk(LAST_CHUNK)
    return b"".join(parts)
