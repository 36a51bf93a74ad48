"""A trained model of this codec: both recurrent networks and the frequency tables.

``spec/toderici.md``, section 3, says what a pack holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from xraycodec.entropy import FrequencyTables
from xraycodec.errors import ModelError
from xraycodec.exact.float_shapes import Shape
from xraycodec.exact.pack import ModelPack, find_pack, named_pack
from xraycodec.exact.session import Activations, NamedNetwork

CODEC_ID = "TODE"
BLOCK = 16
MAX_BITS = 64
MAX_ITERATIONS = 32
CONTEXTS = 4
"""Frequency tables for each iteration and channel: by the bits of the two iterations before."""

ENCODER_CELLS = (4, 2, 1)
"""Cells of the states of each recurrent layer on a side of a block: 1/4, 1/8, 1/16 of pixels."""
DECODER_CELLS = (1, 2, 4, 8)
"""As above: 1/16, 1/8, 1/4, 1/2 of pixels."""


@dataclass(frozen=True, eq=False)
class Recurrent:
    """A network that is run once an iteration and carries states from each to the next.

    ::

        source ──▶ ┌─────────┐ ──▶ result
        state_i ─▶ │ network │ ──▶ next_i, which is the next iteration's state_i
                   └─────────┘

    Attributes:
        network: with inputs ``source`` and ``state_0`` ..., outputs ``result`` and ``next_0`` ....
        source, result: names of the input and the output that are no states.
        cells: of each state on a side of a block.
        channels: of each state.
    """

    network: NamedNetwork
    source: str
    result: str
    cells: tuple[int, ...]
    channels: tuple[int, ...]

    def start(self, tiles: int, grid: tuple[int, int]) -> list[Activations]:
        """States before the first iteration: zeros, each ``(tile, channel, height, width)``.

        Args:
            tiles: how many are computed together.
            grid: P and Q, the blocks down and across a tile.
        """
        return [
            np.zeros((tiles, channels, cells * grid[0], cells * grid[1]), np.float32)
            for cells, channels in zip(self.cells, self.channels, strict=True)
        ]

    def step(
        self, x: Activations, states: list[Activations]
    ) -> tuple[Activations, list[Activations]]:
        """Run one iteration.

        Args:
            x: the source, ``(tile, channel, height, width)``.
            states: from :meth:`start` or the iteration before.

        Returns:
            The result, and the states for the next iteration.

        Raises:
            ModelError: the network does not take this shape.
        """
        inputs = {self.source: x} | {f"state_{i}": state for i, state in enumerate(states)}
        outputs = [self.result, *(f"next_{i}" for i in range(len(states)))]
        result, *following = self.network(inputs, outputs)
        return result, following


@dataclass(frozen=True, eq=False)
class Model:
    """A pack made ready to run.

    Attributes:
        digest: names the pack in streams.
        bits: binary channels of an iteration: bits for each block.
        iterations: most that it has tables for.
        encoder: from what is still missing of a tile, ``(tile, 1, 16 P, 16 Q)``, to values whose
            signs are its bits, ``(tile, bits, P, Q)``.
        decoder: from -1 and 1, ``(tile, bits, P, Q)``, to the tile, ``(tile, 1, 16 P, 16 Q)``.
        tables: `CONTEXTS` for each channel of each iteration.
    """

    digest: bytes
    bits: int
    iterations: int
    encoder: Recurrent
    decoder: Recurrent
    tables: FrequencyTables


@lru_cache(maxsize=4)
def model_for(digest: bytes, threads: int = 0) -> Model:
    """Return the model that a stream names, loaded once per thread count.

    Raises:
        ModelError: its pack is not at hand or does not fit.
    """
    pack = find_pack(digest)
    pack.check_codec(CODEC_ID)
    pack.integer("block", BLOCK, BLOCK)
    bits = pack.integer("bits", 1, MAX_BITS)
    iterations = pack.integer("iterations", 1, MAX_ITERATIONS)
    image, code = Shape(1, BLOCK), Shape(bits, 1)
    encoder = _recurrent(pack, "encoder.onnx", ("r", image), ("bits", code), ENCODER_CELLS, threads)
    decoder = _recurrent(pack, "decoder.onnx", ("b", code), ("x", image), DECODER_CELLS, threads)
    tables = _tables(pack, bits, iterations)
    return Model(digest, bits, iterations, encoder, decoder, tables)


def named_model(configuration: str, threads: int = 0) -> Model:
    """Return the model to encode with.

    Raises:
        ModelError: its pack is not at hand or does not fit.
    """
    return model_for(named_pack(f"toderici-{configuration}").digest, threads)


def _tables(pack: ModelPack, bits: int, iterations: int) -> FrequencyTables:
    tables = FrequencyTables.from_bytes(pack.member("frequencies.bin"))
    due = iterations * bits * CONTEXTS
    if len(tables) != due or tables.minimums.any() or (tables.counts != 2).any():
        raise ModelError(
            f"model pack {pack.name!r} has {len(tables)} frequency tables; needed are"
            f" {iterations} x {bits} x {CONTEXTS} = {due}, each of the symbols 0 and 1"
        )
    return tables


def _recurrent(
    pack: ModelPack,
    member: str,
    source: tuple[str, Shape],
    result: tuple[str, Shape],
    layers: tuple[int, ...],
    threads: int,
) -> Recurrent:
    """Load a network and find its states, two for each recurrent layer."""
    cells = tuple(size for size in layers for _ in "hc")
    states = {f"state_{i}": Shape(0, size) for i, size in enumerate(cells)}
    try:
        network = NamedNetwork(pack.member(member), {source[0]: source[1], **states}, threads)
    except ModelError as error:
        raise ModelError(f"{member!r} of model pack {pack.name!r}: {error}") from error
    found = [network.inputs[state] for state in states]
    due = {result[0]: result[1]} | {f"next_{i}": shape for i, shape in enumerate(found)}
    if network.outputs != due:
        raise ModelError(
            f"{member!r} of model pack {pack.name!r} gives {network.outputs}; needed are {due}"
        )
    channels = tuple(shape.channels for shape in found)
    return Recurrent(network, source[0], result[0], cells, channels)
