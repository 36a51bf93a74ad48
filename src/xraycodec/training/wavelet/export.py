"""From trained networks to the integer networks of a model pack (spec/network.md)."""

from __future__ import annotations

import numpy as np

from xraycodec.codecs.wavelet.geometry import PHASES, SETS
from xraycodec.codecs.wavelet.model import (
    CODEC_ID,
    FINISH_MEMBER,
    phase_member,
    synthesis_member,
)
from xraycodec.exact.operators import Addition, Convolution, Graph, Head
from xraycodec.exact.pack import build_pack
from xraycodec.training.exact_export import to_onnx
from xraycodec.training.lattice.export import convolution, integers
from xraycodec.training.lattice.network import ACTIVATION_UNIT
from xraycodec.training.wavelet.network import CellNetwork, WaveletNetwork


def cell_graph(network: CellNetwork, parameter_bits: int, *, carry: bool) -> Graph:
    """The integer network of a phase or a synthesis; with ``carry``, it gives its state too."""
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
            "numbers",
            "state",
            weight[:, :, 0, 0].astype(np.int8),
            bias.astype(np.int32),
            (parameter_bits - unit_bits - exponents).astype(np.int32),
        )
    )
    outputs = ("state", "numbers") if carry else ("numbers",)
    return Graph(network.entry.in_channels, tuple(operators), outputs)


def export(network: WaveletNetwork, name: str, properties: dict[str, object]) -> bytes:
    """Return the bytes of a model pack.

    Args:
        network: trained with its quantisation on.
        name: of the pack.
        properties: more to say in the manifest, such as how it was trained.

    Raises:
        ModelError: a bound of spec/network.md does not hold.
    """
    network = network.cpu()
    sets = len(network.shape.pairs)
    networks = {
        **{
            phase_member(number, index): network.network(number, index)
            for number in range(sets)
            for index in range(len(PHASES))
        },
        **{synthesis_member(n): network.network(n, len(PHASES)) for n in range(sets)},
        FINISH_MEMBER: network.finish,
    }
    unit_bits = int(np.log2(ACTIVATION_UNIT))
    parameter_bits = unit_bits + max(
        int(integers(found.head)[2].max()) for found in networks.values()
    )
    members = {
        member: to_onnx(cell_graph(found, parameter_bits, carry=member != FINISH_MEMBER))
        for member, found in networks.items()
    }
    return build_pack(
        name,
        CODEC_ID,
        {
            "channels": network.shape.channels,
            "components": network.shape.components,
            "parameter_bits": parameter_bits,
            **({"sets": sets} if sets != SETS else {}),
            **properties,
        },
        members,
    )
