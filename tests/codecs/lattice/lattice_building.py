"""A small lattice model with random weights, and images that are hard in one way each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.lattice import model
from xraycodec.codecs.lattice.geometry import PHASES, SETS
from xraycodec.codecs.lattice.model import CODEC_ID, member_name
from xraycodec.exact.operators import Addition, Convolution, Graph, Head
from xraycodec.exact.pack import build_pack, find_pack, named_pack
from xraycodec.image import XRay

CHANNELS, COMPONENTS, PARAMETER_BITS = 8, 2, 16
EXTRAS = 3

# Means of the nearest four, and a little of what lies beyond.
COEFFICIENTS = [
    [
        [38, 36, 38, 36, -6, -4, -2, -2, -2, -2, -2, 0, 0, 0, 0, 0],
        [40, 36, 36, 40, -4, -4, -4, -4, -2, -2, -2, -2, 0, 0, 0, 0],
        [40, 40, 40, 40, -6, -6, -6, -6, -1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0],
    ],
] * SETS

Pixels = npt.NDArray[Any]


def forget_models() -> None:
    """Look for models again, in folders and with a backend that may have changed."""
    for function in (named_pack, find_pack, model.model_by_digest):
        function.cache_clear()


def vector(values: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    return np.rint(values).astype(np.int32)


def phase_graph(
    rng: np.random.Generator,
    neighbours: int,
    channels: int = CHANNELS,
    components: int = COMPONENTS,
) -> Graph:
    """Entry, one residual pair, head: the form of trained networks."""

    def convolution(name: str, source: str, inputs: int, kernel: int, **more: bool) -> Convolution:
        weight = rng.integers(-40, 41, (channels, inputs, kernel, kernel)).astype(np.int8)
        spread = 23 * 60 * np.sqrt(inputs * kernel * kernel)
        return Convolution(
            name,
            source,
            weight,
            vector(rng.normal(0, spread, channels) - 100.0 * weight.sum((1, 2, 3))),
            vector(np.full(channels, np.log2(spread / 60))),
            **more,
        )

    inputs = neighbours + EXTRAS + channels
    outputs = 3 * components - 1
    # Spreads about 0; shifts and weights within one unit, more or less.
    head = Head(
        "parameters",
        "state",
        rng.integers(-64, 65, (outputs, channels)).astype(np.int8),
        vector(rng.normal(0, 3000, outputs)),
        vector(rng.integers(0, 3, outputs)),
    )
    return Graph(
        inputs,
        (
            convolution("h0", "x", inputs, 1),
            convolution("u0", "h0", channels, 3),
            convolution("v0", "u0", channels, 3, signed=True),
            Addition("state", "h0", "v0"),
            head,
        ),
        ("state", "parameters"),
    )


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


def smooth(
    rows: int, columns: int, bits: int = 8, *, signed: bool = False, noise: float = 0.01
) -> XRay:
    """A radiograph's smoothness and noise, over most of the range."""
    rng = np.random.default_rng(rows * 1009 + columns)
    y, x = np.mgrid[:rows, :columns] / 30
    share = 0.5 + 0.4 * np.sin(y + 0.3) * np.cos(1.3 * x) + noise * rng.normal(size=(rows, columns))
    peak = (1 << bits) - 1
    levels = np.rint(share.clip(0, 1) * peak).astype(np.int64) - (peak + 1) // 2 * signed
    return XRay(levels.astype(f"{'' if signed else 'u'}int{8 if bits <= 8 else 16}"), bits)


def noise(rows: int, columns: int, bits: int, *, signed: bool = False) -> XRay:
    """Every level alike, everywhere."""
    levels = np.random.default_rng(bits).integers(0, 1 << bits, (rows, columns))
    levels -= (1 << bits >> 1) * signed
    return XRay(levels.astype(f"{'' if signed else 'u'}int{8 if bits <= 8 else 16}"), bits)
