"""The linear floor as a codec of real files: see `xraycodec.evaluation.klt`.

::

    file     rows u16 | columns u16 | beta - 1 u8 | depth u8 | CRC of the basis u32 | codes
    codes    beta planes of 8-bit codes, each (row of blocks, column of blocks); deflated or not

Little-endian. The basis is the model: who decodes has it, as with the learned codecs.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt

from xraycodec.errors import CorruptImageError, ModelError, OptionError
from xraycodec.evaluation.klt import (
    BRIGHTNESS_BEND,
    CODE_LIMIT,
    BlockTransform,
    Crops,
    cut_blocks,
    join_blocks,
    learn_klt,
)
from xraycodec.evaluation.peers.peer import (
    Peer,
    check_quality,
    check_served,
    depth_byte,
    pixels_from,
    samples_of,
    whole_beta,
)
from xraycodec.files.checks import check_pixels, damage_as_corrupt
from xraycodec.image import Pixels, XRay
from xraycodec.limits import DEFAULT_LIMITS

BLOCK = 16
_NAME = "KLT"
_PIXELS = BLOCK * BLOCK
_HEAD = struct.Struct("<HHB1sI")
_MAX_SIDE = 65_535
_LEAST_PEAK = 1e-9
"""For components that training never used: there is no range to divide by."""

Codes = npt.NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class _Model:
    """The transform and how its coefficients become codes and bytes."""

    transform: BlockTransform
    bend: float
    deflated: bool

    @cached_property
    def checksum(self) -> int:
        """CRC-32 of everything that gives codes their meaning."""
        crc = zlib.crc32(struct.pack("<d?", self.bend, self.deflated))
        for part in (self.transform.basis, self.transform.peaks):
            crc = zlib.crc32(np.ascontiguousarray(part, "<f8").tobytes(), crc)
        return crc

    def bends(self, beta: int) -> npt.NDArray[np.float64]:
        t = np.full(beta, self.bend)
        t[0] = BRIGHTNESS_BEND
        return t

    def quantise(self, rows: npt.NDArray[np.float64], beta: int) -> Codes:
        """Codes ``(block, beta)`` of blocks ``(block, pixel)``."""
        scaled = rows @ self.transform.basis[:beta].T / self.transform.peaks[:beta]
        if self.bend:
            t = self.bends(beta)
            scaled = np.arcsinh(scaled * np.sinh(t)) / t
        codes: Codes = np.rint(scaled * CODE_LIMIT).clip(-CODE_LIMIT, CODE_LIMIT).astype(np.int8)
        return codes

    def dequantise(self, codes: Codes) -> npt.NDArray[np.float64]:
        """Blocks ``(block, pixel)`` of codes ``(block, beta)``."""
        beta = codes.shape[1]
        values = codes / np.float64(CODE_LIMIT)
        if self.bend:
            t = self.bends(beta)
            values = np.sinh(values * t) / np.sinh(t)
        rows: npt.NDArray[np.float64] = (
            values * self.transform.peaks[:beta]
        ) @ self.transform.basis[:beta]
        return rows


def klt_peer(train_crops: Crops, *, bend: float = 0.0, deflate: bool = False) -> Peer:
    """Learn the transform of 16 x 16 blocks and return it as a codec of 8-bit images.

    The quality is the paper's ratio 256 / beta, which the files have, but for their heads.

    Args:
        train_crops: ``(crop, N, N)`` of 8 bits, N a multiple of 16.
        bend: 0 quantises uniformly; more compands as `xraycodec.evaluation.klt.reconstruct`.
        deflate: compress the codes with zlib, the paper's lossless stage.
    """
    transform = learn_klt(train_crops, BLOCK)
    peaks = np.maximum(transform.peaks, _LEAST_PEAK)
    model = _Model(BlockTransform(BLOCK, transform.basis, peaks), bend, deflate)
    return Peer(
        name="KLT, deflated" if deflate else "KLT",
        key="klt-deflated" if deflate else "klt",
        qualities=(2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256),
        lossless=False,
        max_bits=8,
        encode=partial(_encode, model),
        decode=partial(_decode, model),
        snap=whole_beta,
    )


def _encode(model: _Model, image: XRay, quality: float | None) -> bytes:
    check_served(image, _NAME, 8, _MAX_SIDE)
    if quality is None:
        raise OptionError("the KLT cannot code without loss; give it a ratio")
    check_quality(quality, _NAME, (1, _PIXELS))
    beta = round(_PIXELS / quality)
    samples = samples_of(image)
    rows, columns = samples.shape
    grid = _grid(rows, columns)
    missing = [(0, BLOCK * n - size) for n, size in zip(grid, samples.shape, strict=True)]
    extended = np.pad(samples, missing, mode="edge")
    codes = np.empty((beta, *grid), np.int8)
    for row in range(grid[0]):
        band = extended[BLOCK * row : BLOCK * (row + 1)]
        codes[:, row] = model.quantise(cut_blocks(band[None], BLOCK), beta).T
    head = _HEAD.pack(rows, columns, beta - 1, depth_byte(image), model.checksum)
    body = codes.tobytes()
    return head + (zlib.compress(body, 9) if model.deflated else body)


def _decode(model: _Model, data: bytes) -> Pixels:
    if len(data) < _HEAD.size:
        raise CorruptImageError(f"{_NAME}: {len(data)} bytes; allowed are {_HEAD.size} or more")
    rows, columns, last, depth, checksum = _HEAD.unpack_from(data)
    if checksum != model.checksum:
        raise ModelError(
            f"{_NAME}: the file is for the transform {checksum:08x}; this one is"
            f" {model.checksum:08x}"
        )
    check_pixels(rows, columns, 1, DEFAULT_LIMITS)
    shape = (last + 1, *_grid(rows, columns))
    body = _body(data[_HEAD.size :], shape, model.deflated)
    codes = np.frombuffer(body, np.int8).reshape(shape)

    def samples(_: bytes, bits: int) -> npt.NDArray[np.uint8]:
        pixels = np.empty((BLOCK * shape[1], BLOCK * shape[2]), np.uint8)
        for row in range(shape[1]):
            band = model.dequantise(codes[:, row].T)
            # Side by side: one row of blocks is as many images of one block.
            blocks = join_blocks(band, shape[2], BLOCK).transpose(1, 0, 2).reshape(BLOCK, -1)
            levels = np.rint((blocks + 0.5) * 255).clip(0, 255)
            pixels[BLOCK * row : BLOCK * (row + 1)] = levels.astype(np.uint8)
        return pixels[:rows, :columns]

    return pixels_from(depth, _NAME, samples)


def _body(data: bytes, shape: tuple[int, int, int], deflated: bool) -> bytes:
    """Codes as bytes, of exactly the size that ``shape`` needs."""
    size = shape[0] * shape[1] * shape[2]
    if deflated:
        with damage_as_corrupt(_NAME):
            # One byte more than needed shows a body that is too long without unfolding it.
            data = zlib.decompressobj().decompress(data, size + 1)
    if len(data) != size:
        raise CorruptImageError(f"{_NAME}: {len(data)} bytes of codes; allowed are {size}")
    return data


def _grid(rows: int, columns: int) -> tuple[int, int]:
    return -(-rows // BLOCK), -(-columns // BLOCK)
