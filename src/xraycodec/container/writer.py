"""Writing a stream."""

from __future__ import annotations

from collections.abc import Sequence

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
from xraycodec.container.index import pack_index, spread_tiles
from xraycodec.container.metadata import pack_metadata
from xraycodec.container.pixel_hash import pack_hash
from xraycodec.errors import OptionError

_CHUNKS_BESIDE_DATA = 6


def build(
    header: Header,
    parameters: bytes,
    tiles: Sequence[Buffer],
    pixel_hash: bytes,
    dicom: bytes | None = None,
) -> bytes:
    """Write an ``.xrc`` stream.

    Args:
        header: what the image is.
        parameters: the codec's own, at most 64 KiB.
        tiles: ``header.tile_count`` payloads in coding order: frame, row of tiles, column.
        pixel_hash: digest of the pixels that decoding gives, from
            :func:`~xraycodec.container.hash_pixels`.
        dicom: data set without pixels, explicit VR little endian.

    Raises:
        OptionError: a wrong number of tiles, or something larger than the format can hold.
    """
    if len(parameters) > MAX_PARAMETER_BYTES:
        raise OptionError(
            f"codec parameters have {len(parameters)} bytes; the format allows"
            f" {MAX_PARAMETER_BYTES}"
        )
    if len(tiles) != header.tile_count:
        raise OptionError(f"{len(tiles)} tiles given; the header's image has {header.tile_count}")
    views = [byte_view(tile) for tile in tiles]
    tile_bytes = [len(view) for view in views]
    tiles_per_chunk = spread_tiles(tile_bytes)
    if len(tiles_per_chunk) > MAX_CHUNKS - _CHUNKS_BESIDE_DATA:
        raise OptionError(
            f"the tiles fill {len(tiles_per_chunk)} DATA chunks; the format allows"
            f" {MAX_CHUNKS - _CHUNKS_BESIDE_DATA}"
        )
    parts: list[Buffer] = [SIGNATURE]
    parts += pack_chunk("HEAD", pack_header(header))
    parts += pack_chunk("PARM", parameters)
    if dicom is not None:
        parts += pack_chunk("META", pack_metadata(dicom))
    parts += pack_chunk("INDX", pack_index(tiles_per_chunk, tile_bytes))
    first = 0
    for count in tiles_per_chunk:
        parts += pack_chunk("DATA", *views[first : first + count])
        first += count
    parts += pack_chunk("HASH", pack_hash(pixel_hash))
    parts += pack_chunk(LAST_CHUNK)
    return b"".join(parts)
