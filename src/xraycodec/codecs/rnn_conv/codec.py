"""Encoding and decoding with RNN-Conv, tile by tile (``spec/rnn-conv.md``).

A frame is extended to whole 16 x 16 blocks by repeating its last row and column. Every network
runs on windows: a tile and as much around it as the network sees. Joined, the tiles are what
one run over the whole frame gives, so there is nothing to blend and no seam.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from xraycodec import entropy
from xraycodec.codecs.base import Codec, Encoded, Progress, no_progress
from xraycodec.codecs.rnn_conv.model import BLOCK, Codes, Model, model_for, pack_for_segment
from xraycodec.codecs.rnn_conv.parameters import MAX_BETA, Parameters, intensity_window
from xraycodec.container import Container
from xraycodec.errors import CorruptError, OptionError
from xraycodec.image import Pixels, XRay, pixel_type, value_range
from xraycodec.tiling import Window, windows

PIXELS_PER_BLOCK = BLOCK * BLOCK
ANALYSIS_HALO = 1
"""Blocks around a tile that analysis needs: a latent sees 7 pixels before and 8 behind."""
SYNTHESIS_HALO = 2
"""Blocks around a tile that synthesis needs: 1 + 1/2 + 1/4 + 1/8, rounded up."""


@dataclass(frozen=True)
class RnnConv(Codec):
    """The paper's codec.

    Attributes:
        ratio: the paper's ratio 256 / beta, 2 to 256; beta = 256 / ratio is rounded.
        tile: side N of the segments, 128 or 256; each has a network of its own.
        threads: of the network's interpreter, 0 for every core.
    """

    codec_id: ClassVar[str] = "RNNC"

    ratio: float = 8.0
    tile: int = 256
    threads: int = 0

    def __post_init__(self) -> None:
        if not PIXELS_PER_BLOCK / MAX_BETA <= self.ratio <= PIXELS_PER_BLOCK:
            raise OptionError(
                f"ratio {self.ratio:g}; rnn-conv serves {PIXELS_PER_BLOCK // MAX_BETA} to"
                f" {PIXELS_PER_BLOCK}"
            )
        if self.tile not in (128, 256):
            raise OptionError(f"tile {self.tile}; rnn-conv has networks for 128 and 256")

    @property
    def beta(self) -> int:
        """Channels of the bottleneck that are kept."""
        return min(MAX_BETA, max(1, round(PIXELS_PER_BLOCK / self.ratio)))

    def encode(self, image: XRay, progress: Progress = no_progress) -> Encoded:
        model = model_for(pack_for_segment(self.tile).digest, self.threads)
        low, span = intensity_window(image)
        inverted = image.photometric_interpretation == "MONOCHROME1"
        plan = Parameters(self.beta, low, span, inverted, bytes(8))
        digest = hashlib.sha256()
        tiles: list[bytes] = []
        frames: list[Pixels] = []
        grid = grid_of(*image.frames.shape[1:])
        count = len(image.frames) * len(list(windows(*grid, self.tile // BLOCK, 0)))
        done = 0
        for frame in image.frames:
            codes = np.empty((plan.beta, *grid), np.int8)
            for window in windows(*grid, self.tile // BLOCK, ANALYSIS_HALO):
                part = analyse(model, plan, frame, window)
                codes[:, *window.inner] = part
                digest.update(part.tobytes())
                tiles.append(encode_codes(model, part))
                done += 1
                progress(done, 2 * count)
            frames.append(np.empty(frame.shape, pixel_type(image.bits_stored, signed=image.signed)))
            for _ in synthesise(model, plan, codes, frames[-1], self.tile, image.value_range):
                done += 1
                progress(done, 2 * count)
        parameters = Parameters(plan.beta, low, span, inverted, digest.digest()[:8])
        return Encoded(
            tiles,
            parameters.to_bytes(),
            np.stack(frames).reshape(image.pixels.shape),
            self.tile,
            exact=False,
            max_error=None,
            model=model.digest,
        )

    @staticmethod
    def decode(container: Container, threads: int, progress: Progress = no_progress) -> Pixels:
        header = container.header
        plan = Parameters.from_bytes(bytes(container.parameters))
        if header.tile == 0 or header.tile % BLOCK:
            raise CorruptError(f"RNNC tiles are multiples of {BLOCK} pixels, not {header.tile}")
        model = model_for(header.model, threads)
        if plan.beta > model.beta:
            raise CorruptError(f"{plan.beta} channels kept; the model has {model.beta}")
        digest = hashlib.sha256()
        shape = (header.frames, header.rows, header.columns)
        pixels = np.empty(shape, pixel_type(header.bits_stored, signed=header.signed))
        grid = grid_of(header.rows, header.columns)
        limits = value_range(header.bits_stored, signed=header.signed)
        tiles = iter(container.tiles)
        done = 0
        for frame in pixels:
            codes = np.empty((plan.beta, *grid), np.int8)
            for window in windows(*grid, header.tile // BLOCK, 0):
                part = decode_codes(model, next(tiles), codes[:, *window.inner].shape)
                digest.update(part.tobytes())
                codes[:, *window.inner] = part
            for _ in synthesise(model, plan, codes, frame, header.tile, limits):
                done += 1
                progress(done, header.tile_count)
        if digest.digest()[:8] != plan.codes_digest:
            raise CorruptError("the decoded codes differ from those that were encoded")
        return pixels


def grid_of(rows: int, columns: int) -> tuple[int, int]:
    """Blocks down and across a frame, the last ones perhaps extended."""
    return -(-rows // BLOCK), -(-columns // BLOCK)


def analyse(model: Model, plan: Parameters, frame: Pixels, window: Window) -> Codes:
    """Codes of one tile, ``(beta, P, Q)``, from the pixels of its window."""
    rows, columns = window.outer
    part = frame[
        rows.start * BLOCK : rows.stop * BLOCK, columns.start * BLOCK : columns.stop * BLOCK
    ]
    whole = ((rows.stop - rows.start) * BLOCK, (columns.stop - columns.start) * BLOCK)
    x = (part.astype(np.float32) - plan.low) / np.float32(plan.span)
    x = np.pad(x, [(0, whole[0] - x.shape[0]), (0, whole[1] - x.shape[1])], mode="edge")
    if plan.inverted:
        x = 1 - x
    latents = model.analysis(x[None, None])[0, : plan.beta, *window.inner_of_outer()]
    return model.quantise(latents)


def synthesise(
    model: Model,
    plan: Parameters,
    codes: Codes,
    frame: Pixels,
    tile: int,
    limits: tuple[int, int],
) -> Iterator[None]:
    """Fill ``frame`` from the codes of the whole grid, yielding after every tile."""
    floor, ceiling = max(limits[0], plan.low), min(limits[1], plan.low + plan.span)
    for window in windows(*codes.shape[1:], tile // BLOCK, SYNTHESIS_HALO):
        latents = model.dequantise(codes[:, *window.outer])
        x = model.synthesis(latents[None])[0, 0][window.inner_of_outer(BLOCK)]
        if plan.inverted:
            x = 1 - x
        rows, columns = window.inner
        target = frame[rows.start * BLOCK : rows.stop * BLOCK, columns.start * BLOCK : columns.stop * BLOCK]
        x = x[: target.shape[0], : target.shape[1]]
        target[...] = np.rint(x * np.float32(plan.span) + plan.low).clip(floor, ceiling)
        yield


def table_index(shape: tuple[int, ...]) -> np.ndarray[tuple[int], np.dtype[np.uint16]]:
    """Channel of every code of a tile, in coding order."""
    channels = np.arange(shape[0], dtype=np.uint16)
    return np.repeat(channels, shape[1] * shape[2])


def encode_codes(model: Model, codes: Codes) -> bytes:
    """Entropy-code a tile, channel by channel."""
    return entropy.encode(codes.astype(np.int32).ravel(), table_index(codes.shape), model.tables)


def decode_codes(model: Model, data: memoryview, shape: tuple[int, ...]) -> Codes:
    """Undo `encode_codes`; codes beyond 8 bits are damage."""
    values = entropy.decode(data, table_index(shape), model.tables)
    if values.size and not -128 < values.min() <= values.max() < 128:
        raise CorruptError(f"a code of {values.min()} to {values.max()} in 8-bit codes")
    return values.astype(np.int8).reshape(shape)
