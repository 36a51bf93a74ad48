"""From trained networks to the integer networks of a model pack (spec/network.md)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from xraycodec.codecs.lattice.geometry import PHASES, SETS
from xraycodec.codecs.lattice.model import CODEC_ID, Coefficients, member_name
from xraycodec.errors import ModelError
from xraycodec.exact.operators import Addition, Convolution, Graph, Head
from xraycodec.exact.pack import build_pack
from xraycodec.training.exact_export import to_onnx
from xraycodec.training.lattice.network import (
    ACTIVATION_UNIT,
    FEATURE_CENTRE,
    LatticeNetwork,
    PhaseNetwork,
    bias_of,
    weight_units,
)

Floats = npt.NDArray[np.float64]


def integers(layer: nn.Conv2d) -> tuple[Floats, Floats, npt.NDArray[np.int32]]:
    """Weights and biases as multiples of each channel's unit, and the units' exponents."""
    units = weight_units(layer.weight.detach())
    weight = torch.round(layer.weight.detach() / units).double().numpy()
    flat = units.flatten().double().numpy()
    bias = np.rint(bias_of(layer).detach().double().numpy() * ACTIVATION_UNIT / flat)
    return weight, bias, -np.log2(flat).astype(np.int32)


def convolution(
    name: str, source: str, layer: nn.Conv2d, *, signed: bool = False, centred: int = 0
) -> Convolution:
    """A layer as an operator; the first ``centred`` channels stand for themselves less 128."""
    weight, bias, shift = integers(layer)
    bias -= FEATURE_CENTRE * weight[:, :centred].sum((1, 2, 3))
    if np.abs(bias).max() >= 1 << 31:  # as int32, it would wrap before the bound is checked
        raise ModelError(f"a bias of {name!r} is {np.abs(bias).max():.0f}; int32 holds no such one")
    return Convolution(
        name, source, weight.astype(np.int8), bias.astype(np.int32), shift, signed=signed
    )


def phase_graph(network: PhaseNetwork, parameter_bits: int) -> Graph:
    """The integer network of one set and phase."""
    operators: list[Convolution | Addition | Head] = [
        convolution("h0", "x", network.entry, centred=network.features)
    ]
    for number, (first, second) in enumerate(network.layer_pairs()):
        last = number + 1 == len(network.pairs)
        operators += [
            convolution(f"u{number}", f"h{number}", first),
            convolution(f"v{number}", f"u{number}", second, signed=True),
            Addition("state" if last else f"h{number + 1}", f"h{number}", f"v{number}"),
        ]
    weight, bias, exponents = integers(network.head)
    unit_bits = int(np.log2(ACTIVATION_UNIT))
    operators.append(
        Head(
            "parameters",
            "state",
            weight[:, :, 0, 0].astype(np.int8),
            bias.astype(np.int32),
            (parameter_bits - unit_bits - exponents).astype(np.int32),
        )
    )
    channels = network.entry.in_channels
    return Graph(channels, tuple(operators), ("state", "parameters"))


def export(
    network: LatticeNetwork, name: str, coefficients: Coefficients, properties: dict[str, object]
) -> bytes:
    """Return the bytes of a model pack.

    Args:
        network: trained with its quantisation on.
        name: of the pack.
        coefficients: linear predictions for images that bring none.
        properties: more to say in the manifest, such as how it was trained.

    Raises:
        ModelError: a bound of spec/network.md does not hold.
    """
    network = network.cpu()
    unit_bits = int(np.log2(ACTIVATION_UNIT))
    parameter_bits = unit_bits + max(
        int(integers(network.phase(number, index).head)[2].max())
        for number in range(SETS)
        for index in range(len(PHASES))
    )
    members = {
        member_name(number, index): to_onnx(
            phase_graph(network.phase(number, index), parameter_bits)
        )
        for number in range(SETS)
        for index in range(len(PHASES))
    }
    return build_pack(
        name,
        CODEC_ID,
        {
            "channels": network.shape.channels,
            "components": network.shape.components,
            "parameter_bits": parameter_bits,
            "coefficients": [[list(map(int, c)) for c in phases] for phases in coefficients],
            **({"guided": True} if network.shape.guided else {}),
            **properties,
        },
        members,
    )
