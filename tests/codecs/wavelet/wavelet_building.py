"""A small wavelet model with random weights, and images that are hard in one way each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from codec_building import CHANNELS, COMPONENTS, PARAMETER_BITS, residual_graph
from codec_building import noise as noise
from codec_building import smooth as smooth
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
from xraycodec.exact.operators import Graph
from xraycodec.exact.pack import build_pack, find_pack, named_pack
from xraycodec.image import XRay

CORRECTIONS = (BANDS + 1) * CELL


def forget_models() -> None:
    """Look for models again, in folders and with a backend that may have changed."""
    for function in (named_pack, find_pack, model.model_by_digest):
        function.cache_clear()


def cell_graph(
    rng: np.random.Generator,
    outputs: int,
    channels: int = CHANNELS,
    *,
    features: int = FEATURES,
    carry: bool = True,
) -> Graph:
    """The form of trained networks; what they give is in units of deviations, octaves, steps."""
    return residual_graph(rng, features, "numbers", outputs, channels, kernel=3, carry=carry)


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


def psnr(image: XRay, found: XRay) -> float:
    """In dB, by the peak of the bits stored."""
    error = np.mean((found.frames.astype(float) - image.frames) ** 2)
    return float(10 * np.log10(image.peak**2 / error)) if error else float("inf")
