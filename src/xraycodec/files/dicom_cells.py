"""Cells of DICOM pixel data: how pixels lie in them, and what lies around.

::

    bit  15        High Bit                         0
         ├ spare ──┼ bits stored ──────────┼ spare ─┤   a cell of 16 bits allocated

A cell is a pixel as allocated; its stored value is Bits Stored bits of it that end at High Bit
(PS3.5 8.1.1). The spare bits hold embedded overlays, the sign, junk or zeros.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.errors import CorruptImageError
from xraycodec.image import Pixels, SpareBits

_BLOCK = 1 << 18
"""Cells that are worked on together; planes of bits are cut there at whole bytes."""


@dataclass(frozen=True)
class PixelLayout:
    """The Image Pixel module, checked: how cells lie in the pixel data.

    Attributes:
        frames, rows, columns: dimensions, each 1 or more.
        bits_allocated: 8 or 16.
        bits_stored: 1 to ``bits_allocated``.
        high_bit: ``bits_stored - 1`` to ``bits_allocated - 1``.
        signed: Pixel Representation 1.
    """

    frames: int
    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(frame, row, column)``."""
        return self.frames, self.rows, self.columns

    @property
    def stored_mask(self) -> int:
        """Mask of the bits stored in a cell."""
        return ((1 << self.bits_stored) - 1) << (self.high_bit + 1 - self.bits_stored)

    @property
    def cell(self) -> np.dtype[Any]:
        """Unsigned type of a cell in native byte order."""
        return np.dtype(f"u{self.bits_allocated // 8}")


def native_cells(
    value: bytes | memoryview, layout: PixelLayout, *, big_endian: bool, words: bool
) -> npt.NDArray[Any]:
    """Cells of uncompressed pixel data.

    Args:
        value: Pixel Data.
        layout: what the data set says of it.
        big_endian: the byte order of the transfer syntax.
        words: the value representation is OW, whose unit is 16 bits whatever a cell is.

    Returns:
        ``(frame, row, column)``, a read-only view of ``value`` where its bytes lie as they should.

    Raises:
        CorruptImageError: too few bytes, or whole frames more than the data set says.
    """
    frame_bytes = layout.rows * layout.columns * layout.cell.itemsize
    expected = layout.frames * frame_bytes
    if len(value) < expected:
        raise CorruptImageError(
            f"Pixel Data holds {len(value)} bytes; {layout.frames} frame(s) of {layout.rows} rows"
            f" x {layout.columns} columns at {layout.bits_allocated} bits need {expected}"
        )
    # Padding after the last frame is common; more of it than the even length needs is no harm.
    if len(value) - expected >= max(frame_bytes, 2):
        raise CorruptImageError(
            f"Pixel Data holds {len(value)} bytes, {len(value) // frame_bytes} frames;"
            f" Number of Frames is {layout.frames}"
        )
    if big_endian and words and layout.bits_allocated == 8:
        swapped = np.frombuffer(value[: len(value) // 2 * 2], ">u2").astype("<u2").tobytes()
        value = swapped + value[len(swapped) :]
    stored = layout.cell.newbyteorder(">" if big_endian else "<")
    cells = np.frombuffer(value, stored, count=layout.frames * layout.rows * layout.columns)
    return cells.reshape(layout.shape).astype(layout.cell, copy=False)


def native_tail(
    value: bytes | memoryview, layout: PixelLayout, *, big_endian: bool, words: bool
) -> bytes:
    """Bytes of uncompressed pixel data after the last cell, in little endian; as `native_cells`."""
    expected = layout.frames * layout.rows * layout.columns * layout.cell.itemsize
    start = expected // 2 * 2
    tail = bytes(value[start:])
    if big_endian and words and layout.bits_allocated == 8 and len(tail) % 2 == 0:
        tail = np.frombuffer(tail, ">u2").astype("<u2").tobytes()
    return tail[expected - start :]


def stored_values(cells: npt.NDArray[Any], layout: PixelLayout) -> Pixels:
    """Stored values of cells: overlays and junk around the bits stored cut off, sign extended.

    Args:
        cells: unsigned, ``layout.bits_allocated`` wide.
        layout: where the stored bits lie.

    Returns:
        The same shape, signed or unsigned as the layout says.
    """
    unused = layout.bits_allocated - layout.bits_stored
    signed = np.dtype(f"i{cells.dtype.itemsize}")
    if unused == 0:
        return cells.view(signed) if layout.signed else cells
    # High Bit goes to the top, what lies above falls out; then down again, with the sign or not.
    top = cells << (layout.bits_allocated - 1 - layout.high_bit)
    return (top.view(signed) if layout.signed else top) >> unused


def into_stored_values(cells: npt.NDArray[Any], layout: PixelLayout) -> Pixels:
    """`stored_values` of cells that nobody needs any more, in their own memory."""
    if layout.bits_stored < layout.bits_allocated:
        for block in _blocks(cells):
            block[...] = stored_values(block, layout).view(cells.dtype)
    return cells.view(f"i{cells.dtype.itemsize}") if layout.signed else cells


def spare_bits(cells: npt.NDArray[Any], layout: PixelLayout) -> SpareBits | None:
    """Bits of cells around the bits stored; ``None`` where they are as :class:`XRay` expects.

    Args:
        cells: unsigned, ``layout.bits_allocated`` wide.
        layout: where the stored bits lie.
    """
    every = (1 << layout.bits_allocated) - 1
    above = every & ~((1 << (layout.high_bit + 1)) - 1)
    spare = every & ~layout.stored_mask
    if not spare:
        return None
    set_bits = unlike_sign = 0
    for block in _blocks(cells):
        set_bits |= int(np.bitwise_or.reduce(block)) & spare
        if layout.signed:
            # All ones where the sign is: what differs from that in any cell does not repeat it.
            sign = -((block >> layout.high_bit) & 1).astype(cells.dtype)
            unlike_sign |= int(np.bitwise_or.reduce(block ^ sign))
    sign_bits = above & ~unlike_sign if layout.signed else 0
    plane_bits = set_bits & ~sign_bits
    if not plane_bits and sign_bits == (above if layout.signed else 0):
        return None
    planes = b"".join(
        np.packbits(((block >> bit) & 1).astype(np.uint8)).tobytes()
        for bit in _bits(plane_bits)
        for block in _blocks(cells)
    )
    return SpareBits(sign_bits, plane_bits, planes)


def cells_of(pixels: Pixels, layout: PixelLayout, spare: SpareBits | None) -> npt.NDArray[Any]:
    """Cells of stored values, the inverse of :func:`stored_values` and :func:`spare_bits`.

    Args:
        pixels: values that fit the bits stored, any shape of ``layout``'s size.
        layout: where the stored bits are to lie.
        spare: the other bits.

    Returns:
        Unsigned, ``layout.bits_allocated`` wide, the shape of ``pixels``.

    Raises:
        CorruptImageError: spare bits that overlap the bits stored or do not fit the cell.
    """
    signed = pixels.astype(f"i{layout.cell.itemsize}") if layout.signed else pixels
    cells = signed.view(layout.cell) if layout.signed else pixels.astype(layout.cell)
    shift = layout.high_bit + 1 - layout.bits_stored
    if shift:  # signed pixels have their sign above High Bit already, the default
        cells <<= shift
    if spare is None:
        return cells
    every = (1 << layout.bits_allocated) - 1
    if (both := spare.sign_bits | spare.plane_bits) & ~(every & ~layout.stored_mask):
        raise CorruptImageError(
            f"spare bits 0x{both:04x} do not lie around the {layout.bits_stored} bits stored up to"
            f" bit {layout.high_bit} of {layout.bits_allocated}"
        )
    cells &= cells.dtype.type(layout.stored_mask | spare.sign_bits)
    plane_bytes = spare.plane_bytes(pixels.size)
    for number, bit in enumerate(_bits(spare.plane_bits)):
        plane = np.frombuffer(spare.planes, np.uint8, plane_bytes, number * plane_bytes)
        for start, block in zip(range(0, plane_bytes, _BLOCK // 8), _blocks(cells), strict=True):
            ones = np.unpackbits(plane[start : start + _BLOCK // 8], count=block.size)
            block |= ones.astype(layout.cell) << bit
    return cells


def raster_of(
    frames: Pixels, layout: PixelLayout, spare: SpareBits | None, tail: bytes = b""
) -> bytes:
    """Native Pixel Data, little endian, of `cells_of` pixels ``(frame, row, column)``."""
    # Written into one buffer, which is not copied in the end as joined parts would be.
    stream = io.BytesIO()
    # Planes of spare bits go on from frame to frame.
    parts = (cells_of(frame, layout, None) for frame in frames)
    for cells in parts if spare is None else [cells_of(frames, layout, spare)]:
        stream.write(np.ascontiguousarray(cells, layout.cell.newbyteorder("<")).data)
    stream.write(tail)
    return stream.getvalue()


def _blocks(cells: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """All cells in their order, as views: what is computed of a block takes little memory."""
    flat = cells.reshape(-1)
    return [flat[start : start + _BLOCK] for start in range(0, flat.size, _BLOCK)]


def _bits(mask: int) -> list[int]:
    """Numbers of the bits set, from the lowest on."""
    return [bit for bit in range(mask.bit_length()) if mask >> bit & 1]
