"""A small lattice model with random weights, and images that are hard in one way each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from codec_building import CHANNELS, COMPONENTS, PARAMETER_BITS, residual_graph
from codec_building import noise as noise
from codec_building import smooth as smooth
from xraycodec.codecs.lattice import model
from xraycodec.codecs.lattice.geometry import PHASES, SETS
from xraycodec.codecs.lattice.model import CODEC_ID, member_name
from xraycodec.exact.operators import Graph
from xraycodec.exact.pack import build_pack, find_pack, named_pack

EXTRAS = 3

# Means of the nearest four, and a little of what lies beyond.
COEFFICIENTS = [
    [
        [38, 36, 38, 36, -6, -4, -2, -2, -2, -2, -2, 0, 0, 0, 0, 0],
        [40, 36, 36, 40, -4, -4, -4, -4, -2, -2, -2, -2, 0, 0, 0, 0],
        [40, 40, 40, 40, -6, -6, -6, -6, -1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0],
    ],
] * SETS


def forget_models() -> None:
    """Look for models again, in folders and with a backend that may have changed."""
    for function in (named_pack, find_pack, model.model_by_digest):
        function.cache_clear()


def phase_graph(
    rng: np.random.Generator,
    neighbours: int,
    channels: int = CHANNELS,
    components: int = COMPONENTS,
) -> Graph:
    """The form of trained networks; spreads about 0, shifts and weights within one unit or so."""
    features, outputs = neighbours + EXTRAS, 3 * components - 1
    return residual_graph(rng, features, "parameters", outputs, channels, kernel=1)


def members(to_onnx: Callable[[Graph], bytes], seed: int = 0, **sizes: int) -> dict[str, bytes]:
    rng = np.random.default_rng(seed)
    return {
        member_name(number, index): to_onnx(phase_graph(rng, phase.neighbours, **sizes))
        for number in range(SETS)
        for index, phase in enumerate(PHASES)
    }


def properties(**changed: object) -> dict[str, object]:
    return {
        "channels": CHANNELS,
        "components": COMPONENTS,
        "parameter_bits": PARAMETER_BITS,
        "coefficients": COEFFICIENTS,
        **changed,
    }


def tiny_pack(to_onnx: Callable[[Graph], bytes], seed: int = 0) -> bytes:
    return build_pack("lattice-best", CODEC_ID, properties(), members(to_onnx, seed))
