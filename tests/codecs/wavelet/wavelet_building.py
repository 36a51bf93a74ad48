"""A small wavelet model with random weights, and images that are hard in one way each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.wavelet import model
from xraycodec.codecs.wavelet.geometry import (
    BANDS,
    CELL,
    FEATURES,
    FINISH_FEATURES,
    PHASES,
    SETS,
)
from xraycodec.codecs.wavelet.model import (
    CODEC_ID,
    FINISH_MEMBER,
    phase_member,
    synthesis_member,
)
from xraycodec.exact.operators import Addition, Convolution, Graph, Head
from xraycodec.exact.pack import build_pack, find_pack, named_pack
from xraycodec.image import XRay

CHANNELS, COMPONENTS, PARAMETER_BITS = 8, 2, 16
CORRECTIONS = (BANDS + 1) * CELL


def forget_models() -> None:
    """Look for models again, in folders and with a backend that may have changed."""
    for function in (named_pack, find_pack, model.model_by_digest):
        function.cache_clear()


def _vector(values: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    return np.rint(values).astype(np.int32)


def cell_graph(
    rng: np.random.Generator,
    outputs: int,
    channels: int = CHANNELS,
    *,
    features: int = FEATURES,
    carry: bool = True,
) -> Graph:
    """Entry, one residual pair, head: the form of trained networks."""

    def convolution(name: str, source: str, inputs: int, **more: bool) -> Convolution:
        weight = rng.integers(-40, 41, (channels, inputs, 3, 3)).astype(np.int8)
        spread = 23 * 60 * np.sqrt(9 * inputs)
        return Convolution(
            name,
            source,
            weight,
            _vector(rng.normal(0, spread, channels) - 100.0 * weight.sum((1, 2, 3))),
            _vector(np.full(channels, np.log2(spread / 60))),
            **more,
        )

    # In units of a mixture's deviations and octaves, and of steps: about 0, rarely beyond one.
    head = Head(
        "numbers",
        "state",
        rng.integers(-64, 65, (outputs, channels)).astype(np.int8),
        _vector(rng.normal(0, 3000, outputs)),
        _vector(rng.integers(0, 3, outputs)),
    )
    return Graph(
        features + channels,
        (
            convolution("h0", "x", features + channels),
            convolution("u0", "h0", channels),
            convolution("v0", "u0", channels, signed=True),
            Addition("state", "h0", "v0"),
            head,
        ),
        ("state", "numbers") if carry else ("numbers",),
    )


def finish_graph(rng: np.random.Generator, outputs: int = CELL) -> Graph:
    return cell_graph(rng, outputs, features=FINISH_FEATURES, carry=False)


def mixtures(components: int = COMPONENTS) -> int:
    """Numbers that a phase's network gives for a cell."""
    return BANDS * (3 * components - 1)


def members(
    to_onnx: Callable[[Graph], bytes],
    seed: int = 0,
    components: int = COMPONENTS,
    sets: int = SETS,
) -> dict[str, bytes]:
    rng = np.random.default_rng(seed)
    phases = {
        phase_member(number, index): to_onnx(cell_graph(rng, mixtures(components)))
        for number in range(sets)
        for index in range(len(PHASES))
    }
    syntheses = {
        synthesis_member(number): to_onnx(cell_graph(rng, CORRECTIONS)) for number in range(sets)
    }
    return {**phases, **syntheses, FINISH_MEMBER: to_onnx(finish_graph(rng))}


def properties(**changed: object) -> dict[str, object]:
    return {
        "channels": CHANNELS,
        "components": COMPONENTS,
        "parameter_bits": PARAMETER_BITS,
        **changed,
    }


def tiny_pack(to_onnx: Callable[[Graph], bytes], sets: int = SETS) -> bytes:
    said = {"sets": sets} if sets != SETS else {}
    return build_pack("wavelet", CODEC_ID, properties(**said), members(to_onnx, sets=sets))


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


def noise(rows: int, columns: int, bits: int) -> XRay:
    """Every level alike, everywhere."""
    levels = np.random.default_rng(bits).integers(0, 1 << bits, (rows, columns))
    return XRay(levels.astype("uint8" if bits <= 8 else "uint16"), bits)


def psnr(image: XRay, found: XRay) -> float:
    """In dB, by the peak of the bits stored."""
    error = np.mean((found.frames.astype(float) - image.frames) ** 2)
    return float(10 * np.log10(image.peak**2 / error)) if error else float("inf")
