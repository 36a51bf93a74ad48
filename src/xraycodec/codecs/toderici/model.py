"""A trained model of this codec: both recurrent networks and the frequency tables.

``spec/toderici.md``, section 3, says what a pack holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from xraycodec.entropy import FrequencyTables
from xraycodec.errors import ModelError
from xraycodec.exact.pack import ModelPack, find_pack, named_pack
from xraycodec.exact.session import Activations, NamedNetwork

CODEC_ID = "TODE"
BLOCK = 16
MAX_BITS = 64
MAX_ITERATIONS = 32
MAX_STATE_CHANNELS = 4096
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
    if pack.codec != CODEC_ID:
        raise ModelError(f"model pack {pack.name!r} serves codec {pack.codec!r}, not {CODEC_ID!r}")
    _integer(pack, "block", BLOCK, BLOCK)
    bits = _integer(pack, "bits", 1, MAX_BITS)
    iterations = _integer(pack, "iterations", 1, MAX_ITERATIONS)
    encoder = _recurrent(pack, "encoder.onnx", "r", "bits", ENCODER_CELLS, threads)
    decoder = _recurrent(pack, "decoder.onnx", "b", "x", DECODER_CELLS, threads)
    _check_step(pack, encoder, (1, 1, BLOCK, BLOCK), (1, bits, 1, 1))
    _check_step(pack, decoder, (1, bits, 1, 1), (1, 1, BLOCK, BLOCK))
    tables = _tables(pack, bits, iterations)
    return Model(digest, bits, iterations, encoder, decoder, tables)


def named_model(configuration: str, threads: int = 0) -> Model:
    """Return the model to encode with.

    Raises:
        ModelError: its pack is not at hand or does not fit.
    """
    return model_for(named_pack(f"toderici-{configuration}").digest, threads)


def _integer(pack: ModelPack, field: str, low: int, high: int) -> int:
    value = pack.properties.get(field)
    if type(value) is not int or not low <= value <= high:  # a bool is an int, but no number
        raise ModelError(
            f"model pack {pack.name!r} has {field} = {value!r}; allowed are {low} to {high}"
        )
    return value


def _member(pack: ModelPack, name: str) -> bytes:
    if name not in pack.members:
        raise ModelError(f"model pack {pack.name!r} has no member {name!r}")
    return pack.members[name]


def _tables(pack: ModelPack, bits: int, iterations: int) -> FrequencyTables:
    tables = FrequencyTables.from_bytes(_member(pack, "frequencies.bin"))
    due = iterations * bits * CONTEXTS
    if len(tables) != due or tables.minimums.any() or (tables.counts != 2).any():
        raise ModelError(
            f"model pack {pack.name!r} has {len(tables)} frequency tables; needed are"
            f" {iterations} x {bits} x {CONTEXTS} = {due}, each of the symbols 0 and 1"
        )
    return tables


def _recurrent(
    pack: ModelPack, member: str, source: str, result: str, layers: tuple[int, ...], threads: int
) -> Recurrent:
    """Load a network and find its states, two for each recurrent layer."""
    network = NamedNetwork(_member(pack, member), threads)
    cells = tuple(size for size in layers for _ in "hc")
    states = [f"state_{i}" for i in range(len(cells))]
    results = [result, *(f"next_{i}" for i in range(len(cells)))]
    if {*network.inputs} != {source, *states} or not {*results} <= {*network.outputs}:
        raise ModelError(
            f"{member!r} of model pack {pack.name!r} takes {', '.join(network.inputs)} and gives"
            f" {', '.join(network.outputs)}; needed are {source}, {', '.join(states)} and"
            f" {', '.join(results)}"
        )
    channels = []
    for state in states:
        shape = network.inputs[state]
        width = shape[1] if len(shape) == 4 else None
        if width is None or not 1 <= width <= MAX_STATE_CHANNELS:
            raise ModelError(
                f"{state} of {member!r} of model pack {pack.name!r} has shape {shape}; allowed are"
                f" four axes with 1 to {MAX_STATE_CHANNELS} channels"
            )
        channels.append(width)
    return Recurrent(network, source, result, cells, tuple(channels))


def _check_step(
    pack: ModelPack, network: Recurrent, taken: tuple[int, ...], due: tuple[int, ...]
) -> None:
    # One block for one iteration: other widths must not fail in the midst of an image.
    states = network.start(1, (1, 1))
    result, following = network.step(np.zeros(taken, np.float32), states)
    found = [result.shape, *(state.shape for state in following)]
    needed = [due, *(state.shape for state in states)]
    if found != needed:
        raise ModelError(
            f"a network of model pack {pack.name!r} gives {network.result} and states of {found},"
            f" not {needed}"
        )
