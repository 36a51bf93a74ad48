"""From trained residual networks to their integer networks (spec/network.md)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from xraycodec.errors import ModelError
from xraycodec.exact.operators import Addition, Convolution, Graph, Head
from xraycodec.training.lattice.network import (
    ACTIVATION_UNIT,
    FEATURE_CENTRE,
    bias_of,
    weight_units,
)

Floats = npt.NDArray[np.float64]

_UNIT_BITS = int(np.log2(ACTIVATION_UNIT))


class ResidualNetwork(Protocol):
    """Entry, residual pairs, head; the first ``features`` channels of its input are centred."""

    features: int
    entry: nn.Conv2d
    head: nn.Conv2d

    def layer_pairs(self) -> list[tuple[nn.Conv2d, nn.Conv2d]]: ...


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


def common_head_bits(networks: Iterable[ResidualNetwork]) -> int:
    """Fractional bits with which what any of the networks' heads gives is an integer."""
    return _UNIT_BITS + max(int(integers(network.head)[2].max()) for network in networks)


def residual_graph(
    network: ResidualNetwork, output: str, head_bits: int, *, carry: bool = True
) -> Graph:
    """The integer network.

    Args:
        network: trained with its quantisation on.
        output: name of what its head gives.
        head_bits: fractional bits of that, at least those that its head needs.
        carry: whether it gives its state too.

    Raises:
        ModelError: a bias is too large.
    """
    operators: list[Convolution | Addition | Head] = [
        convolution("h0", "x", network.entry, centred=network.features)
    ]
    pairs = network.layer_pairs()
    for number, (first, second) in enumerate(pairs):
        last = number + 1 == len(pairs)
        operators += [
            convolution(f"u{number}", f"h{number}", first),
            convolution(f"v{number}", f"u{number}", second, signed=True),
            Addition("state" if last else f"h{number + 1}", f"h{number}", f"v{number}"),
        ]
    weight, bias, exponents = integers(network.head)
    operators.append(
        Head(
            output,
            "state",
            weight[:, :, 0, 0].astype(np.int8),
            bias.astype(np.int32),
            (head_bits - _UNIT_BITS - exponents).astype(np.int32),
        )
    )
    outputs = ("state", output) if carry else (output,)
    return Graph(network.entry.in_channels, tuple(operators), outputs)
