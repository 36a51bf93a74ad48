"""A lattice model: the networks of a pack, ready to run (spec/lattice.md, section 5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.lattice.geometry import (
    PHASES,
    SETS,
    carried_from,
    described_by,
    predicted_by,
)
from xraycodec.core.lattice import LatticeModel
from xraycodec.errors import ModelError
from xraycodec.exact.native import core_network
from xraycodec.exact.onnx_reader import read_graph
from xraycodec.exact.operators import Graph, Kind, Tensor, prove
from xraycodec.exact.pack import ModelPack, find_pack, select_pack
from xraycodec.exact.runtime import ExactNetwork, codes_in_core

CODEC_ID = "LTTC"
MAX_CHANNELS = 256
MAX_COMPONENTS = 8
PARAMETER_BITS = (8, 24)
"""Least and most."""

Coefficients = tuple[tuple[npt.NDArray[np.int64], ...], ...]
"""For each set and phase: of its linear prediction, in 2^-7."""


@dataclass(frozen=True, eq=False)
class Stored:
    """A network as the pack has it, read and found sound.

    Attributes:
        file: ONNX.
        graph: the same, as data.
    """

    file: bytes
    graph: Graph

    def number_of(self, result: str) -> int:
        """The place among the operators of the one that gives a result."""
        return [one.name for one in self.graph.operators].index(result)


@dataclass(frozen=True, eq=False)
class Model:
    """Networks and what goes with them.

    Attributes:
        digest: that names the pack in a stream.
        channels: of the state that is carried from phase to phase, for each set.
        components: of a mixture.
        parameter_bits: fractional bits of the parameters that the networks give.
        coefficients: of linear predictions, where an image does not bring its own.
        stored: networks of each set, one for each phase.
        threads: of each network, where they run outside of the core; 0 for every core.
        guided: whether they take a guide (spec/wavelet-completion.md, section 4).
    """

    digest: bytes
    channels: tuple[int, ...]
    components: int
    parameter_bits: int
    coefficients: Coefficients
    stored: tuple[tuple[Stored, ...], ...]
    threads: int = 0
    guided: bool = False

    @cached_property
    def networks(self) -> tuple[tuple[ExactNetwork, ...], ...]:
        """The networks, ready to run one by one."""
        return tuple(
            tuple(ExactNetwork(one.file, threads=self.threads) for one in phases)
            for phases in self.stored
        )

    @property
    def native(self) -> LatticeModel | None:
        """The model in the native core, if that codes whole tiles."""
        return self._laid_out if not self.guided and codes_in_core() else None

    @cached_property
    def _laid_out(self) -> LatticeModel:
        networks = [
            [
                (core_network(one.graph), one.number_of("state"), one.number_of("parameters"))
                for one in phases
            ]
            for phases in self.stored
        ]
        return LatticeModel(networks, self.channels, self.components, self.parameter_bits)


def member_name(number: int, phase: int) -> str:
    """The pack's member that holds the network of a set and phase."""
    return f"set-{number}-phase-{phase}.onnx"


@lru_cache(maxsize=4)
def model_by_digest(digest: bytes, threads: int) -> Model:
    """Load the model that a stream names.

    Raises:
        ModelError: it is not at hand, or no lattice model, or one that takes a guide.
    """
    return _load(find_pack(digest), threads, guided=False)


@lru_cache(maxsize=4)
def guided_model_by_digest(digest: bytes, threads: int) -> Model:
    """Load the model that a stream with a guide names.

    Raises:
        ModelError: it is not at hand, or no lattice model, or one that takes no guide.
    """
    return _load(find_pack(digest), threads, guided=True)


def model_by_name(name: str | Path, threads: int) -> Model:
    """Load a model to encode with, by its name or by the path of its pack.

    Raises:
        ModelError: it is not at hand, or no lattice model, or one that takes a guide.
    """
    return model_by_digest(select_pack(name).digest, threads)


def takes_guide(pack: ModelPack) -> bool:
    """Whether a lattice model pack is for streams with a guide.

    Raises:
        ModelError: it does not say.
    """
    guided = pack.properties.get("guided", False)
    if type(guided) is not bool:
        raise ModelError(f"model pack {pack.name!r} has guided = {guided!r}; allowed is a boolean")
    return guided


def _load(pack: ModelPack, threads: int, *, guided: bool) -> Model:
    pack.check_codec(CODEC_ID)
    channels = _channels(pack)
    components = pack.integer("components", 1, MAX_COMPONENTS)
    parameter_bits = pack.integer("parameter_bits", *PARAMETER_BITS)
    if takes_guide(pack) != guided:
        raise ModelError(
            f"model pack {pack.name!r} takes {'no' if guided else 'a'} guide; the stream has"
            f" {'one' if guided else 'none'}"
        )
    coefficients = _coefficients(pack, guided)
    stored = tuple(
        tuple(
            _checked(
                pack,
                member_name(number, index),
                described_by(phase, guided=guided) + channels[carried_from(number, index)],
                channels[number],
                components,
            )
            for index, phase in enumerate(PHASES)
        )
        for number in range(SETS)
    )
    return Model(
        pack.digest, channels, components, parameter_bits, coefficients, stored, threads, guided
    )


def _checked(pack: ModelPack, member: str, inputs: int, channels: int, components: int) -> Stored:
    """Read a network and hold its input and outputs against what coding relies on."""
    file = pack.member(member)
    graph = read_graph(file)
    tensors = prove(graph)
    found = (graph.channels, {name: tensors[name] for name in graph.outputs})
    needed = (
        inputs,
        {
            "state": Tensor(channels, Kind.UNSIGNED),
            "parameters": Tensor(3 * components - 1, Kind.WIDE),
        },
    )
    if found != needed:
        raise ModelError(
            f"{member!r} of model pack {pack.name!r} takes {found[0]} channels and gives"
            f" {_listed(found[1])}; needed are {needed[0]} and {_listed(needed[1])}"
        )
    return Stored(file, graph)


def _listed(outputs: Mapping[str, Tensor]) -> str:
    return ", ".join(
        f"{name!r} ({tensor.channels} channels, {tensor.kind})" for name, tensor in outputs.items()
    )


def _channels(pack: ModelPack) -> tuple[int, ...]:
    """Channels of the state for each set; a pack may give one number for all."""
    found = pack.properties.get("channels")
    widths = found if isinstance(found, list) else [found] * SETS
    if len(widths) != SETS or not all(
        type(width) is int and 1 <= width <= MAX_CHANNELS for width in widths
    ):
        raise ModelError(
            f"model pack {pack.name!r} has channels = {found!r}; allowed are 1 to {MAX_CHANNELS},"
            f" or {SETS} such numbers"
        )
    return tuple(widths)


def _coefficients(pack: ModelPack, guided: bool) -> Coefficients:
    found: Any = pack.properties.get("coefficients")
    sizes = [predicted_by(phase, guided=guided) for phase in PHASES]
    try:
        sound = all(type(value) is int for phases in found for values in phases for value in values)
        sound = sound and [[len(values) for values in phases] for phases in found] == [sizes] * SETS
    except TypeError:  # something is no list
        sound = False
    if not sound:
        raise ModelError(
            f"model pack {pack.name!r} lacks coefficients, or they are not {SETS} lists of lists"
            f" of {sizes} integers"
        )
    for number, phases in enumerate(found):
        for index, values in enumerate(phases):
            if sum(values) != 128 or not all(abs(value) <= 127 for value in values):
                raise ModelError(
                    f"coefficients of set {number}, phase {index} of model pack {pack.name!r} add"
                    f" up to {sum(values)}, from {min(values)} to {max(values)}; they must add up"
                    " to 128, each -127 to 127"
                )
    return tuple(tuple(np.array(values, np.int64) for values in phases) for phases in found)
