"""Wavelet's model packs: the networks of its cells as integers (spec/network.md)."""

from __future__ import annotations

from xraycodec.codecs.wavelet.geometry import PHASES, SETS
from xraycodec.codecs.wavelet.model import (
    CODEC_ID,
    FINISH_MEMBER,
    phase_member,
    synthesis_member,
)
from xraycodec.exact.operators import Graph
from xraycodec.exact.pack import build_pack
from xraycodec.training.exact_export import to_onnx
from xraycodec.training.residual_export import common_head_bits, residual_graph
from xraycodec.training.wavelet.network import CellNetwork, WaveletNetwork


def cell_graph(network: CellNetwork, parameter_bits: int, *, carry: bool) -> Graph:
    """The integer network of a phase or a synthesis; with ``carry``, it gives its state too."""
    return residual_graph(network, "numbers", parameter_bits, carry=carry)


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
    parameter_bits = common_head_bits(networks.values())
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
