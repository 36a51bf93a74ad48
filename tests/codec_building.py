"""What tests of lattice and wavelet share: small random networks, wrong packs, images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from xraycodec.exact.operators import Addition, Convolution, Graph, Head
from xraycodec.exact.pack import build_pack
from xraycodec.image import XRay

CHANNELS, COMPONENTS, PARAMETER_BITS = 8, 2, 16

wrong_numbers = pytest.mark.parametrize(
    ("field", "value"),
    [
        (field, value)
        for field in ("channels", "components", "parameter_bits")
        for value in (None, "8", 8.0, True, [8], 0, -1, 1 << 40, 257)
    ]
    + [("components", 9), ("parameter_bits", 7), ("parameter_bits", 25)],
)
"""Sizes in a manifest that no model has."""


def changed_pack(
    sound: Mapping[str, bytes],
    properties: Mapping[str, Any],
    codec: str,
    networks: Mapping[str, bytes | None],
) -> bytes:
    """A pack named ``odd`` that differs from a sound one in what is given.

    Args:
        sound: members by their names.
        properties: of the manifest, but for those that are ``None``.
        codec: that it says it serves.
        networks: other members, ``_`` for ``-`` and without the suffix; ``None`` where one lacks.
    """
    named = {name.replace("_", "-") + ".onnx": data for name, data in networks.items()}
    kept = {name: data for name, data in {**sound, **named}.items() if data is not None}
    said = {field: value for field, value in properties.items() if value is not None}
    return build_pack("odd", codec, said, kept)


def vector(values: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    return np.rint(values).astype(np.int32)


def residual_graph(
    rng: np.random.Generator,
    features: int,
    output: str,
    outputs: int,
    channels: int = CHANNELS,
    *,
    kernel: int,
    carry: bool = True,
) -> Graph:
    """Entry of ``kernel`` pixels, one residual pair, head: the form of trained networks."""

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

    # In units of a mixture's deviations and octaves, or of steps: about 0, rarely beyond one.
    head = Head(
        output,
        "state",
        rng.integers(-64, 65, (outputs, channels)).astype(np.int8),
        vector(rng.normal(0, 3000, outputs)),
        vector(rng.integers(0, 3, outputs)),
    )
    return Graph(
        features + channels,
        (
            convolution("h0", "x", features + channels, kernel),
            convolution("u0", "h0", channels, 3),
            convolution("v0", "u0", channels, 3, signed=True),
            Addition("state", "h0", "v0"),
            head,
        ),
        ("state", output) if carry else (output,),
    )


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
