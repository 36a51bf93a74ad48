"""A tiny model of this codec, made by hand: successive approximation of a few cosines.

Iteration t codes the signs of the coefficients that are still missing, in steps that shrink: states
of the decoder's first layer hold the sum so far and the step. All other states leak into the
results a little, so that a state that is lost, mixed up or of another tile shows in the pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from model_folders import stand_in
from xraycodec.codecs.toderici import model
from xraycodec.entropy import FrequencyTables
from xraycodec.exact.pack import build_pack, find_pack, named_pack
from xraycodec.image import XRay

BLOCK, BITS, ITERATIONS = 16, 10, 12
NAME = "toderici-compact"
LEAK = 0.002

Weights = npt.NDArray[np.float32]


def cosines() -> Weights:
    """The lowest frequencies of a 16 x 16 block, orthonormal: ``(bits, 16, 16)``."""
    place = (np.arange(BLOCK) + 0.5) / BLOCK
    waves = [np.cos(np.pi * place * k) * np.sqrt((1 + (k > 0)) / BLOCK) for k in range(BLOCK)]
    order = sorted((i + j, i, j) for i in range(5) for j in range(5))[:BITS]
    return np.stack([np.outer(waves[i], waves[j]) for _, i, j in order]).astype(np.float32)


class Graph:
    """Collects nodes and weights of one network."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def add(self, operator: str, *inputs: str | Weights, to: str | None = None, **more: Any) -> str:
        names = []
        for value in inputs:
            if not isinstance(value, str):
                self.weights.append(
                    numpy_helper.from_array(value.astype(np.float32), f"w{len(self.weights)}")
                )
                value = self.weights[-1].name
            names.append(value)
        to = to or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, names, [to], **more))
        return to

    def model(self, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> bytes:
        def described(channels: Mapping[str, int]) -> list[Any]:
            return [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", c, f"{name}h", None])
                for name, c in channels.items()
            ]

        graph = helper.make_graph(
            self.nodes, "tiny", described(inputs), described(outputs), self.weights
        )
        built = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="tiny"
        )
        built.ir_version = 8
        onnx.checker.check_model(built)
        data: bytes = built.SerializeToString()
        return data


def scalar(value: float) -> Weights:
    return np.array(value, np.float32)


def encoder(bits: int = BITS) -> bytes:
    """``r`` and six states, two for each of three layers, to ``bits`` and the next states."""
    graph = Graph()
    basis = np.resize(cosines(), (bits, BLOCK, BLOCK))
    values = graph.add("Conv", "r", basis[:, None], strides=[BLOCK, BLOCK])
    states: dict[str, int] = {}
    for layer, factor in enumerate((4, 8, 16)):
        h, c, channels = f"state_{2 * layer}", f"state_{2 * layer + 1}", layer + 2
        states |= {h: channels, c: channels}
        seen = graph.add("AveragePool", "r", kernel_shape=[factor] * 2, strides=[factor] * 2)
        wide = graph.add("Conv", seen, np.linspace(0.2, 1, channels).reshape(-1, 1, 1, 1))
        graph.add("Add", graph.add("Mul", h, scalar(0.5)), wide, to=f"next_{2 * layer}")
        graph.add("Identity", h, to=f"next_{2 * layer + 1}")
        cells = BLOCK // factor
        leak = np.full((bits, channels, cells, cells), LEAK / cells**2)
        for state in (h, c):
            leaked = graph.add("Conv", state, leak, strides=[cells] * 2)
            values = graph.add("Add", values, leaked)
    graph.add("Identity", values, to="bits")
    following = {name.replace("state", "next"): c for name, c in states.items()}
    return graph.model({"r": 1} | states, {"bits": bits} | following)


def decoder(bits: int = BITS, *, gain: float = 1.0) -> bytes:
    """``b`` and eight states, two for each of four layers, to ``x`` and the next states."""
    graph = Graph()
    basis = np.resize(cosines(), (bits, BLOCK, BLOCK))
    sizes = np.where(np.arange(bits) == 0, 4.0, 1.6).reshape(bits, 1, 1)
    step = graph.add("Mul", graph.add("Sub", scalar(1), "state_1"), sizes * gain)
    total = graph.add("Add", "state_0", graph.add("Mul", "b", step), to="next_0")
    half = graph.add("Mul", "state_1", scalar(0.6))
    graph.add("Add", half, np.full((bits, 1, 1), 0.4), to="next_1")
    x = graph.add("ConvTranspose", total, basis[:, None], strides=[BLOCK] * 2)
    x = graph.add("Add", x, scalar(0.5))
    states = {"state_0": bits, "state_1": bits}
    for layer, cells in enumerate((2, 4, 8), 1):
        h, c = f"state_{2 * layer}", f"state_{2 * layer + 1}"
        channels = 4 - layer
        states |= {h: channels, c: channels}
        spread = np.random.default_rng(layer).normal(0, 0.3, (bits, channels, cells, cells))
        seen = graph.add("ConvTranspose", "b", spread, strides=[cells] * 2)
        graph.add("Add", graph.add("Mul", h, scalar(0.5)), seen, to=f"next_{2 * layer}")
        graph.add("Identity", h, to=f"next_{2 * layer + 1}")
        factor = BLOCK // cells
        leak = np.full((channels, 1, factor, factor), LEAK)
        for state in (h, c):
            x = graph.add("Add", x, graph.add("ConvTranspose", state, leak, strides=[factor] * 2))
    graph.add("Identity", x, to="x")
    following = {name.replace("state", "next"): c for name, c in states.items()}
    return graph.model({"b": bits} | states, {"x": 1} | following)


def frequencies(bits: int = BITS, iterations: int = ITERATIONS) -> bytes:
    """Tables that differ in every place, so that a wrong one shows."""
    rng = np.random.default_rng(5)
    shares = rng.integers(200, 800, iterations * bits * 4)
    counts = [np.array([share, 1000 - share, 0]) for share in shares]
    return FrequencyTables.from_counts(counts, [0] * len(counts)).to_bytes()


def tiny_pack(
    *,
    name: str = NAME,
    codec: str = "TODE",
    properties: Mapping[str, Any] | None = None,
    members: Mapping[str, bytes | None] | None = None,
) -> bytes:
    """The tiny model as a pack, with properties and members replaced or, if ``None``, left out."""
    facts = {"block": BLOCK, "bits": BITS, "iterations": ITERATIONS, "configuration": "tiny"}
    kept: dict[str, bytes | None] = {
        "encoder.onnx": encoder(),
        "decoder.onnx": decoder(),
        "frequencies.bin": frequencies(),
    }
    kept |= members or {}
    return build_pack(
        name,
        codec,
        {**facts, **(properties or {})},
        {member: data for member, data in kept.items() if data is not None},
    )


def forget_models() -> None:
    """Look for models again, in folders that may have changed."""
    for function in (named_pack, find_pack, model.model_for):
        function.cache_clear()


@contextmanager
def models_in(folder: Path) -> Iterator[Path]:
    """Take the packs of ``folder`` before those of the package."""
    with pytest.MonkeyPatch.context() as patch:
        stand_in(patch, folder, NAME)
        forget_models()
        try:
            yield folder
        finally:
            forget_models()


def waves(
    shape: tuple[int, ...],
    bits_stored: int = 8,
    photometric: str = "MONOCHROME2",
    *,
    signed: bool = False,
    dicom: bytes | None = None,
) -> XRay:
    """Smooth, a little noisy, different in each frame, over most of the range."""
    rows, columns = np.mgrid[: shape[-2], : shape[-1]]
    frames = np.arange(shape[0] if len(shape) == 3 else 1)[:, None, None]
    noise = np.random.default_rng(3).normal(0, 0.01, (len(frames), *shape[-2:]))
    share = 0.5 + 0.4 * np.sin(rows / 23 + frames) * np.cos(columns / 17) + noise
    peak = (1 << bits_stored) - 1
    pixels = np.rint(share.clip(0, 1) * peak) - signed * (1 << bits_stored - 1)
    kind = f"{'i' if signed else 'u'}{1 if bits_stored <= 8 else 2}"
    return XRay(pixels.astype(kind).reshape(shape), bits_stored, photometric, dicom)


def root_mean_square(a: XRay, b: XRay) -> float:
    """Error in shares of the range of ``a``."""
    difference = a.pixels.astype(np.float64) - b.pixels
    return float(np.sqrt((difference**2).mean())) / a.peak
