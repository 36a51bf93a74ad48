"""Lattice's model packs: its phase networks as integers (spec/network.md), and what fits them."""

from __future__ import annotations

from xraycodec.codecs.lattice.geometry import PHASES, SETS
from xraycodec.codecs.lattice.model import CODEC_ID, Coefficients, member_name
from xraycodec.exact.operators import Graph
from xraycodec.exact.pack import build_pack
from xraycodec.training.exact_export import to_onnx
from xraycodec.training.lattice.network import LatticeNetwork, PhaseNetwork
from xraycodec.training.residual_export import common_head_bits, residual_graph


def phase_graph(network: PhaseNetwork, parameter_bits: int) -> Graph:
    """The integer network of one set and phase."""
    return residual_graph(network, "parameters", parameter_bits)


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
    networks = {
        member_name(number, index): network.phase(number, index)
        for number in range(SETS)
        for index in range(len(PHASES))
    }
    parameter_bits = common_head_bits(networks.values())
    members = {
        member: to_onnx(phase_graph(found, parameter_bits)) for member, found in networks.items()
    }
    return build_pack(
        name,
        CODEC_ID,
        {
            "channels": list(network.shape.channels),
            "components": network.shape.components,
            "parameter_bits": parameter_bits,
            "coefficients": [[list(map(int, c)) for c in phases] for phases in coefficients],
            **({"guided": True} if network.shape.guided else {}),
            **properties,
        },
        members,
    )
