"""JPEG 2000 and HTJ2K around their code-blocks: boxes of JP2 files, and tile-parts.

Damaged bytes of code-blocks decode to other samples; nothing in a codestream tells. Its tile-parts
have lengths and numbers, though, which OpenJPEG does not hold against each other.
"""

from __future__ import annotations

import struct

from xraycodec.errors import CorruptImageError, UnsupportedImageError

_SIGNATURE_BOX = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
_SOT, _EOC = b"\xff\x90", b"\xff\xd9"
_FIRST_SEGMENT = 2  # byte after SOC
_SIZES = 8  # byte of Xsiz
_TILE_PART_BYTES = 14  # of SOT and SOD


def codestream_of(data: bytes) -> bytes:
    """A codestream as it is, or that of a JP2, JPX or JPH file (T.800 annex I).

    Raises:
        CorruptImageError: broken boxes, or none with a codestream.
        UnsupportedImageError: a palette.
    """
    if not data.startswith(_SIGNATURE_BOX):
        return data
    position = 0
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        header_bytes = 8
        if length == 1 and position + 16 <= len(data):
            (length,) = struct.unpack_from(">Q", data, position + 8)
            header_bytes = 16
        elif length == 0:
            length = len(data) - position
        if length < header_bytes:
            raise CorruptImageError(f"JP2: box at byte {position} claims {length} bytes")
        body = data[position + header_bytes : position + length]
        if kind == b"jp2c":
            return body
        # A palette would turn the codestream's samples, mere indices, into colours.
        if kind == b"jp2h" and b"pclr" in body:
            raise UnsupportedImageError("JP2: the image has a palette; allowed is grayscale")
        position += length
    raise CorruptImageError("JP2: no codestream box")


def check_tile_parts(data: bytes) -> None:
    """Check that the tile-parts of a codestream follow each other, and that every tile is there.

    The end marker may be missing where the lengths of all tile-parts are given (T.800 A.4.2,
    A.4.4).

    Args:
        data: a codestream whose SIZ segment has been checked.

    Raises:
        CorruptImageError: segments, tile-parts or tiles are missing or damaged.
    """
    position = _FIRST_SEGMENT
    while data[position : position + 2] != _SOT:
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if data[position : position + 1] != b"\xff" or length < 2 or position + 2 >= len(data):
            raise CorruptImageError(f"JPEG 2000: no segment of the main header at byte {position}")
        position += 2 + length
    found: dict[int, int] = {}  # tile-parts of each tile
    promised: dict[int, int] = {}
    while data[position : position + 2] == _SOT:
        if position + _TILE_PART_BYTES > len(data):
            raise CorruptImageError(f"JPEG 2000: the {len(data)} bytes end inside a tile-part")
        tile, length, part, parts = struct.unpack_from(">HIBB", data, position + 4)
        if part != found.setdefault(tile, 0):
            raise CorruptImageError(
                f"JPEG 2000: tile-part {part} of tile {tile} where {found[tile]} is due"
            )
        found[tile] += 1
        promised[tile] = parts or promised.get(tile, 0)
        if length == 0:  # the last one, up to the end marker
            end = data.rfind(_EOC)
            length = max(end, position) - position
        if length < _TILE_PART_BYTES or position + length > len(data):
            raise CorruptImageError(
                f"JPEG 2000: tile-part at byte {position} claims {length} bytes;"
                f" {len(data) - position} are left"
            )
        position += length
    if data[position : position + 2] != _EOC and data[position:].strip(b"\0"):
        raise CorruptImageError(f"JPEG 2000: byte {position} begins neither a tile-part nor EOC")
    x, y, _, _, width, height, x0, y0 = struct.unpack_from(">8I", data, _SIZES)
    tiles = -(-(x - x0) // width) * -(-(y - y0) // height)
    missing = tiles - len(found)
    short = [tile for tile, parts in promised.items() if parts > found[tile]]
    if missing or short or max(found) >= tiles:
        raise CorruptImageError(
            f"JPEG 2000: {missing} of {tiles} tile(s) are missing, {len(short)} cut short"
        )
