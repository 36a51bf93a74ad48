"""Encoding and decoding with Toderici's networks, layer by layer (``spec/toderici.md``).

::

    tile ─ 0.5 ──▶ encoder ─▶ sign ─▶ bits ──▶ rANS ─▶ payload of the layer
         ▲          states             │
         │                             ▼
         └── tile - x ◀────────── x ◀─ decoder
               next iteration          states

Each iteration codes what the one before has left, and is one layer of the stream. Every tile is
on its own, as the paper's segments are; tiles of one size go through the networks together, in
groups whose memory is bounded whatever the size of the frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from xraycodec.codecs.base import Codec, Encoded, Progress, check_threads, header_for, no_progress
from xraycodec.codecs.rnn_conv.parameters import intensity_window
from xraycodec.codecs.toderici.coding import Bits, History, decode_bits, encode_bits
from xraycodec.codecs.toderici.model import BLOCK, MAX_ITERATIONS, Model, model_for, named_model
from xraycodec.codecs.toderici.parameters import MAX_TILE, Parameters, check_header, check_range
from xraycodec.codecs.toderici.tiles import Group, gather, groups, scatter
from xraycodec.container import Buffer, Container, Header
from xraycodec.errors import CorruptError, OptionError
from xraycodec.exact.pack import select_pack
from xraycodec.exact.session import Activations
from xraycodec.image import Pixels, XRay, pixel_type

CONFIGURATION = "compact"


@dataclass(frozen=True)
class Toderici(Codec):
    """The recurrent codec of Toderici et al. (CVPR 2017), one-shot reconstruction.

    Attributes:
        iterations: layers of the stream, 1 to 32; each adds the same number of bits before
            entropy coding, 1/8 bit a pixel with the 32 channels of the model that ships.
        tile: side of the tiles in pixels, a multiple of 16 from 16 to 512.
        threads: of the network's interpreter, 0 for every core.
        model: another model pack, by its name or by the path of its ``.xrcpack`` file.

    Raises:
        OptionError: a number outside these bounds.
    """

    codec_id: ClassVar[str] = "TODE"
    layers_refine: ClassVar[bool] = True

    iterations: int = 8
    tile: int = 256
    threads: int = 0
    model: str | Path | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.iterations <= MAX_ITERATIONS:
            raise OptionError(f"iterations {self.iterations}; toderici takes 1 to {MAX_ITERATIONS}")
        if not BLOCK <= self.tile <= MAX_TILE or self.tile % BLOCK:
            raise OptionError(
                f"tile {self.tile}; toderici takes multiples of {BLOCK} from {BLOCK} to {MAX_TILE}"
            )
        check_threads(self.threads)

    def encode(self, image: XRay, progress: Progress = no_progress) -> Encoded:
        model = (
            named_model(CONFIGURATION, self.threads)
            if self.model is None
            else model_for(select_pack(self.model).digest, self.threads)
        )
        if self.iterations > model.iterations:
            raise OptionError(
                f"iterations {self.iterations}; the model has {model.iterations} only"
            )
        header = header_for(
            image,
            self.codec_id,
            tile=self.tile,
            exact=False,
            max_error=None,
            model=model.digest,
            layers=self.iterations,
        )
        plan = Parameters(
            *intensity_window(image), inverted=image.photometric_interpretation == "MONOCHROME1"
        )
        payloads = [b""] * header.payload_count
        decoded: Pixels = np.empty(
            image.frames.shape, pixel_type(image.bits_stored, signed=image.signed)
        )
        steps = _Steps(progress, header.payload_count)
        for group in groups(header):
            x = gather(image.frames[group.frame], group, plan)
            coded, found = _encode_group(model, x, self.iterations, group, steps)
            for layer, tiles in enumerate(coded):
                for tile, payload in zip(group.tiles, tiles, strict=True):
                    payloads[layer * header.tile_count + tile.number] = payload
            scatter(found, decoded[group.frame], group, plan, header)
        return Encoded(header, plan.to_bytes(), payloads, decoded)

    @staticmethod
    def decode(container: Container, threads: int, progress: Progress = no_progress) -> Pixels:
        return Toderici.decode_prefix(
            container.header, container.parameters, container.payloads, threads, progress
        )

    @staticmethod
    def decode_prefix(
        header: Header,
        parameters: bytes,
        payloads: Sequence[Buffer],
        threads: int,
        progress: Progress = no_progress,
    ) -> Pixels:
        check_header(header)
        plan = Parameters.from_bytes(bytes(parameters))
        check_range(header, plan)
        model = model_for(header.model, threads)
        if header.layers > model.iterations:
            raise CorruptError(
                f"{header.layers} layers; the model that HEAD names has {model.iterations}"
                " iterations"
            )
        pixels: Pixels = np.empty(
            (header.frames, header.rows, header.columns),
            pixel_type(header.bits_stored, signed=header.signed),
        )
        layers = len(payloads) // header.tile_count
        steps = _Steps(progress, layers * header.tile_count)
        for group in groups(header):
            coded = [
                [payloads[layer * header.tile_count + tile.number] for tile in group.tiles]
                for layer in range(layers)
            ]
            found = _decode_group(model, coded, group, steps)
            scatter(found, pixels[group.frame], group, plan, header)
        return pixels


class _Steps:
    """Counts tiles, once a layer, for a progress callback."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def advance(self, tiles: int) -> None:
        self._done += tiles
        self._progress(self._done, self._total)


def _signs(bits: Bits) -> Activations:
    """-1 and 1 for 0 and 1: what the decoder network takes."""
    return bits.astype(np.float32) * 2 - 1


def _encode_group(
    model: Model, x: Activations, iterations: int, group: Group, steps: _Steps
) -> tuple[list[list[bytes]], Activations]:
    """Payloads of each iteration and tile, and what they decode to, in the shape of ``x``."""
    tiles = len(group.tiles)
    history = History(tiles, model.bits, group.grid)
    analysis, synthesis = (net.start(tiles, group.grid) for net in (model.encoder, model.decoder))
    coded = []
    found = np.full(x.shape, 0.5, np.float32)
    for _ in range(iterations):
        values, analysis = model.encoder.step(x - found, analysis)
        bits = (values >= 0).astype(np.uint8)
        coded.append([encode_bits(model, history, n, bits[n]) for n in range(tiles)])
        history.add(bits)
        found, synthesis = model.decoder.step(_signs(bits), synthesis)
        steps.advance(tiles)
    return coded, found


def _decode_group(
    model: Model, coded: Sequence[Sequence[Buffer]], group: Group, steps: _Steps
) -> Activations:
    """Undo `_encode_group`: payloads of each layer and tile to what they decode to."""
    tiles = len(group.tiles)
    history = History(tiles, model.bits, group.grid)
    states = model.decoder.start(tiles, group.grid)
    found: Activations = np.empty(0, np.float32)
    for layer in coded:
        bits: Bits = np.empty((tiles, model.bits, *group.grid), np.uint8)
        for n, payload in enumerate(layer):
            decode_bits(model, history, n, memoryview(payload), bits[n])
        history.add(bits)
        found, states = model.decoder.step(_signs(bits), states)
        steps.advance(tiles)
    return found
