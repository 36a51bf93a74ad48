"""A wavelet model: the networks of a pack, ready to run (spec/wavelet.md, section 5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from xraycodec.codecs.wavelet.geometry import (
    BANDS,
    CELL,
    FEATURES,
    FINISH_FEATURES,
    PHASES,
    SETS,
)
from xraycodec.errors import ModelError
from xraycodec.exact.operators import Kind, Tensor
from xraycodec.exact.pack import ModelPack, find_pack, select_pack
from xraycodec.exact.runtime import ExactNetwork

CODEC_ID = "WAVE"
MAX_CHANNELS = 256
MAX_COMPONENTS = 8
PARAMETER_BITS = (8, 24)
"""Least and most."""
MAX_SETS = 8
FINISH_MEMBER = "finish.onnx"


@dataclass(frozen=True, eq=False)
class Model:
    """Networks and what goes with them.

    Attributes:
        digest: that names the pack in a stream.
        channels: of the state that is carried from phase to phase and level to level.
        components: of a mixture.
        parameter_bits: fractional bits of the numbers that the networks give.
        phases: of each set, a network for each phase.
        syntheses: of each set, the network that corrects what all phases gave.
        finish: the network that corrects the image itself.
    """

    digest: bytes
    channels: int
    components: int
    parameter_bits: int
    phases: tuple[tuple[ExactNetwork, ...], ...]
    syntheses: tuple[ExactNetwork, ...]
    finish: ExactNetwork


def phase_member(number: int, phase: int) -> str:
    """The pack's member that holds the network of a set and phase."""
    return f"set-{number}-phase-{phase}.onnx"


def synthesis_member(number: int) -> str:
    """The pack's member that holds the synthesis network of a set."""
    return f"set-{number}-synthesis.onnx"


@lru_cache(maxsize=4)
def model_by_digest(digest: bytes, threads: int) -> Model:
    """Load the model that a stream names.

    Raises:
        ModelError: it is not at hand, or no wavelet model.
    """
    return _load(find_pack(digest), threads)


def model_by_name(name: str | Path, threads: int) -> Model:
    """Load a model to encode with, by its name or by the path of its pack.

    Raises:
        ModelError: it is not at hand, or no wavelet model.
    """
    return model_by_digest(select_pack(name).digest, threads)


def _load(pack: ModelPack, threads: int) -> Model:
    pack.check_codec(CODEC_ID)
    channels = pack.integer("channels", 1, MAX_CHANNELS)
    components = pack.integer("components", 1, MAX_COMPONENTS)
    parameter_bits = pack.integer("parameter_bits", *PARAMETER_BITS)
    sets = pack.integer("sets", 1, MAX_SETS) if "sets" in pack.properties else SETS
    mixtures = BANDS * (3 * components - 1)
    carried = {"state": Tensor(channels, Kind.UNSIGNED)}
    phases = tuple(
        tuple(
            _network(
                pack, phase_member(number, index), FEATURES + channels, carried, mixtures, threads
            )
            for index in range(len(PHASES))
        )
        for number in range(sets)
    )
    syntheses = tuple(
        _network(
            pack,
            synthesis_member(number),
            FEATURES + channels,
            carried,
            (BANDS + 1) * CELL,
            threads,
        )
        for number in range(sets)
    )
    finish = _network(pack, FINISH_MEMBER, FINISH_FEATURES + channels, {}, CELL, threads)
    return Model(
        pack.digest,
        channels,
        components,
        parameter_bits,
        phases,
        syntheses,
        finish,
    )


def _network(
    pack: ModelPack,
    member: str,
    inputs: int,
    carried: Mapping[str, Tensor],
    numbers: int,
    threads: int,
) -> ExactNetwork:
    """Load a network and hold its input and outputs against what the compiled loops rely on."""
    network = ExactNetwork(pack.member(member), threads=threads)
    graph = network.graph
    found = (graph.channels, {name: network.tensors[name] for name in graph.outputs})
    needed = (inputs, {**carried, "numbers": Tensor(numbers, Kind.WIDE)})
    if found != needed:
        raise ModelError(
            f"{member!r} of model pack {pack.name!r} takes {found[0]} channels and gives"
            f" {found[1]}; needed are {needed[0]} and {needed[1]}"
        )
    return network
