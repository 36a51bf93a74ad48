"""Encoding and decoding with RNN-Conv, tile by tile (``spec/rnn-conv.md``).

A frame is extended to whole 16 x 16 blocks by repeating its last row and column. Every network
runs on windows: an area and as much around it as the network sees. Joined, the areas are what
one run over the whole frame gives, so there is nothing to blend and no seam, and memory does not
grow with the frame. Tiles, the units of entropy coding, are independent of these windows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from xraycodec import entropy
from xraycodec.codecs.base import Codec, Encoded, Progress, check_threads, header_for, no_progress
from xraycodec.codecs.rnn_conv.model import (
    BLOCK,
    CODE_LIMIT,
    CONFIGURATIONS,
    MAX_BETA,
    Codes,
    Latents,
    Model,
    model_for,
    pack_for_segment,
)
from xraycodec.codecs.rnn_conv.parameters import DIGEST_BYTES, Parameters, intensity_window
from xraycodec.container import Container, Header, pack_header
from xraycodec.errors import CorruptError, OptionError
from xraycodec.exact.pack import select_pack
from xraycodec.image import Pixels, XRay, pixel_type, value_range
from xraycodec.tiling import Slices, Window, windows

PIXELS_PER_BLOCK = BLOCK * BLOCK
VERSION_BYTES = 2
"""Head of HEAD that the digest leaves out: later minor versions decode alike."""
WINDOW = 32
"""Blocks on a side of the area that a network computes at once."""
ANALYSIS_HALO = 1
"""Blocks around a tile that analysis needs: a latent sees 7 pixels before and 8 behind."""
SYNTHESIS_HALO = 2
"""Blocks around a tile that synthesis needs: 1 + 1/2 + 1/4 + 1/8, rounded up."""
FEEDBACK_HALO = ANALYSIS_HALO + SYNTHESIS_HALO + ANALYSIS_HALO
"""Blocks around a tile that an encoder of effort 1 needs, which runs all three."""
FEEDBACK = np.float32(0.7)
"""Share of what synthesis misses that goes back into analysis; 0.4 to 1 gain about the same."""
MOST_EFFORT = 1


@dataclass(frozen=True)
class RnnConv(Codec):
    """The paper's codec.

    Attributes:
        ratio: the paper's ratio 256 / beta, 2 to 256; beta = 256 / ratio is rounded.
        tile: side N of the segments, 128 or 256; each has a network of its own.
        threads: of the network's interpreter, 0 for every core.
        configuration: widths of the network, compact or paper; the packs of paper are not part of
            the package, XRAYCODEC_MODELS leads to them.
        effort: 0 runs analysis once, as the paper does; 1 synthesises from what it gave, adds a
            share of what is missing to the image and analyses that, for twice the time. The
            decoder is the same.
        model: another model pack, by its name or by the path of its ``.xrcpack`` file.
    """

    codec_id: ClassVar[str] = "RNNC"
    frames_apart: ClassVar[bool] = False  # one digest is of the codes of all

    ratio: float = 8.0
    tile: int = 256
    threads: int = 0
    configuration: str = "compact"
    effort: int = 1
    model: str | Path | None = None

    def __post_init__(self) -> None:
        if not PIXELS_PER_BLOCK / MAX_BETA <= self.ratio <= PIXELS_PER_BLOCK:
            raise OptionError(
                f"ratio {self.ratio:g}; rnn-conv serves {PIXELS_PER_BLOCK // MAX_BETA} to"
                f" {PIXELS_PER_BLOCK}"
            )
        if self.tile not in (128, 256):
            raise OptionError(f"tile {self.tile}; rnn-conv has networks for 128 and 256")
        if self.configuration not in CONFIGURATIONS:
            raise OptionError(
                f"configuration {self.configuration!r}; rnn-conv has {' and '.join(CONFIGURATIONS)}"
            )
        if not 0 <= self.effort <= MOST_EFFORT:
            raise OptionError(f"effort {self.effort}; rnn-conv takes 0 to {MOST_EFFORT}")
        if self.model is not None and self.configuration != CONFIGURATIONS[0]:
            raise OptionError(
                f"configuration {self.configuration} and model {self.model} were given; a model"
                " has its own widths"
            )
        check_threads(self.threads)

    @property
    def beta(self) -> int:
        """Channels of the bottleneck that are kept."""
        return min(MAX_BETA, max(1, round(PIXELS_PER_BLOCK / self.ratio)))

    def encode(self, image: XRay, progress: Progress = no_progress) -> Encoded:
        pack = (
            pack_for_segment(self.tile, self.configuration)
            if self.model is None
            else select_pack(self.model)
        )
        model = model_for(pack.digest, self.threads)
        if self.beta > model.beta:
            raise OptionError(f"ratio {self.ratio:g}; the model has {model.beta} channels only")
        low, span = intensity_window(image)
        inverted = image.photometric_interpretation == "MONOCHROME1"
        header = header_for(
            image,
            self.codec_id,
            tile=self.tile,
            exact=False,
            max_error=None,
            model=model.digest,
        )
        plan = Parameters(self.beta, low, span, inverted, bytes(DIGEST_BYTES))
        digest = start_digest(header, plan)
        tiles: list[bytes] = []
        kind = pixel_type(image.bits_stored, signed=image.signed)
        decoded: Pixels = np.empty(image.frames.shape, kind)
        grid = grid_of(*image.frames.shape[1:])
        steps = Steps(progress, 2 * len(image.frames) * window_count(grid))
        for frame, target in zip(image.frames, decoded, strict=True):
            codes = np.empty((plan.beta, *grid), np.int8)
            for window in windows(*grid, WINDOW, FEEDBACK_HALO if self.effort else ANALYSIS_HALO):
                latents = analyse(model, plan, frame, window, feedback=self.effort > 0)
                codes[:, *window.inner] = model.quantise(latents)
                steps.advance()
            for window in windows(*grid, self.tile // BLOCK, 0):
                part = codes[:, *window.inner]
                digest.update(part.tobytes())
                tiles.append(encode_codes(model, part))
            for window in windows(*grid, WINDOW, SYNTHESIS_HALO):
                synthesise(model, plan, codes, target, window, image.value_range)
                steps.advance()
        parameters = replace(plan, digest=digest.digest()[:DIGEST_BYTES])
        return Encoded(header, parameters.to_bytes(), tiles, decoded)

    @staticmethod
    def decode(container: Container, threads: int, progress: Progress = no_progress) -> Pixels:
        header = container.header
        plan = Parameters.from_bytes(bytes(container.parameters))
        if header.tile == 0 or header.tile % BLOCK:
            raise CorruptError(f"RNNC tiles are multiples of {BLOCK} pixels, not {header.tile}")
        if header.layers != 1:
            raise CorruptError(f"RNNC has one layer; HEAD says {header.layers}")
        if header.exact or header.max_error is not None:
            raise CorruptError(
                "RNNC neither is exact nor bounds the error; HEAD says"
                f" {'exact' if header.exact else 'not exact'} and {header.max_error}"
            )
        model = model_for(header.model, threads)
        if plan.beta > model.beta:
            raise CorruptError(f"{plan.beta} channels kept; the model has {model.beta}")
        digest = start_digest(header, plan)
        shape = (header.frames, header.rows, header.columns)
        pixels = np.empty(shape, pixel_type(header.bits_stored, signed=header.signed))
        grid = grid_of(header.rows, header.columns)
        limits = value_range(header.bits_stored, signed=header.signed)
        if not limits[0] <= plan.low <= limits[1]:
            raise CorruptError(
                f"RNNC parameters map 0 to {plan.low}; {header.bits_stored} bits stored hold"
                f" {limits[0]} to {limits[1]}"
            )
        tiles = iter(container.payloads)
        steps = Steps(progress, header.frames * window_count(grid))
        for frame in pixels:
            codes = np.empty((plan.beta, *grid), np.int8)
            for window in windows(*grid, header.tile // BLOCK, 0):
                part = decode_codes(model, next(tiles), codes[:, *window.inner].shape)
                digest.update(part.tobytes())
                codes[:, *window.inner] = part
            for window in windows(*grid, WINDOW, SYNTHESIS_HALO):
                synthesise(model, plan, codes, frame, window, limits)
                steps.advance()
        if digest.digest()[:DIGEST_BYTES] != plan.digest:
            raise CorruptError("header, parameters or codes differ from those that were encoded")
        return pixels


def start_digest(header: Header, plan: Parameters) -> hashlib._Hash:
    """Begin the digest of PARM with what gives the codes their meaning; the codes follow."""
    fixed = pack_header(header)[VERSION_BYTES:] + plan.to_bytes()[:-DIGEST_BYTES]
    return hashlib.sha256(fixed)


class Steps:
    """Counts finished windows for a progress callback."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def advance(self) -> None:
        self._done += 1
        self._progress(self._done, self._total)


def window_count(grid: tuple[int, int]) -> int:
    """Windows that cover a frame."""
    return -(-grid[0] // WINDOW) * -(-grid[1] // WINDOW)


def grid_of(rows: int, columns: int) -> tuple[int, int]:
    """Blocks down and across a frame, the last ones perhaps extended."""
    return -(-rows // BLOCK), -(-columns // BLOCK)


def analyse(
    model: Model, plan: Parameters, frame: Pixels, window: Window, *, feedback: bool
) -> Latents:
    """Latents of one window, ``(beta, P, Q)``.

    Analysis is trained for every number of channels at once and is not the inverse of synthesis.
    With feedback, what synthesis misses goes through analysis again: a step of Landweber's
    iteration with analysis in place of the adjoint (docs/decisions/0008).
    """
    area = pixels_of(window.outer)
    x = (frame[area].astype(np.float32) - plan.low) / np.float32(plan.span)
    missing = [(0, s.stop - s.start - size) for s, size in zip(area, x.shape, strict=True)]
    x = np.pad(x, missing, mode="edge")[None, None]
    if plan.inverted:
        x = 1 - x
    latents = model.analysis(x)
    if feedback:
        latents[:, plan.beta :] = 0
        latents = model.analysis(x + FEEDBACK * (x - model.synthesis(latents)))
    kept: Latents = latents[0, : plan.beta, *window.inner_of_outer()]
    return kept


def synthesise(
    model: Model,
    plan: Parameters,
    codes: Codes,
    frame: Pixels,
    window: Window,
    limits: tuple[int, int],
) -> None:
    """Fill one window of ``frame`` from the codes of the whole grid, ``(beta, P, Q)``."""
    floor, ceiling = max(limits[0], plan.low), min(limits[1], plan.low + plan.span)
    latents = model.dequantise(codes[:, *window.outer])
    x = model.synthesis(latents[None])[0, 0][window.inner_of_outer(BLOCK)]
    if plan.inverted:
        x = 1 - x
    target = frame[pixels_of(window.inner)]
    x = x[: target.shape[0], : target.shape[1]]
    target[...] = np.rint(x * np.float32(plan.span) + plan.low).clip(floor, ceiling)


def pixels_of(blocks: Slices) -> Slices:
    """Where in a frame the given blocks lie; slices past its edge are cut by indexing."""
    rows, columns = (slice(part.start * BLOCK, part.stop * BLOCK) for part in blocks)
    return rows, columns


def table_index(shape: tuple[int, ...]) -> np.ndarray[tuple[int], np.dtype[np.uint16]]:
    """Channel of every code of a tile, in coding order."""
    channels = np.arange(shape[0], dtype=np.uint16)
    return np.repeat(channels, shape[1] * shape[2])


def encode_codes(model: Model, codes: Codes) -> bytes:
    """Entropy-code a tile, channel by channel."""
    return entropy.encode(codes.astype(np.int32).ravel(), table_index(codes.shape), model.tables)


def decode_codes(model: Model, data: memoryview, shape: tuple[int, ...]) -> Codes:
    """Undo `encode_codes`; codes without a latent are damage."""
    values = entropy.decode(data, table_index(shape), model.tables)
    if values.size and not -CODE_LIMIT <= values.min() <= values.max() <= CODE_LIMIT:
        raise CorruptError(
            f"codes of {values.min()} to {values.max()}; allowed are {-CODE_LIMIT} to {CODE_LIMIT}"
        )
    return values.astype(np.int8).reshape(shape)
