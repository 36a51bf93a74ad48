"""Turn a trained Toderici checkpoint into a model pack (``spec/toderici.md``, section 3)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from xraycodec.entropy import FrequencyTables
from xraycodec.evaluation.crops import CROP_COUNTS, Crops
from xraycodec.exact.pack import build_pack
from xraycodec.training.onnx_graph import Graph
from xraycodec.training.toderici.network import (
    BITS,
    BLOCK,
    CONFIGS,
    MAX_ITERATIONS,
    ConvLSTM2d,
    Decoder,
    Encoder,
    Toderici,
)

CODEC = "TODE"
CONTEXTS = 4
"""Of a bit: those of the same channel and place, one and two iterations before."""


def load_network(checkpoint: Path) -> tuple[Toderici, dict[str, Any]]:
    """Return the averaged network of a checkpoint and the settings it was trained with."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    network = Toderici(CONFIGS[state["settings"]["config"]])
    network.load_state_dict(state["average"])
    return network.eval(), {
        **state["settings"],
        "step": state["step"],
        "minutes": round(state["minutes"], 1),
    }


def _conv(graph: Graph, x: str, layer: nn.Conv2d) -> str:
    pad = layer.padding[0]
    assert isinstance(pad, int)
    return graph.conv(x, layer.weight, layer.bias, layer.stride[0], [pad] * 4)


def _conv_lstm(graph: Graph, x: str, layer: ConvLSTM2d, h: str, c: str) -> tuple[str, str]:
    recurrent = _conv(graph, h, layer.recurrent)
    gates = graph.node("Add", _conv(graph, x, layer.input), recurrent)
    f, i, o, j = graph.split(gates, 4)
    kept = graph.node("Mul", graph.node("Sigmoid", f), c)
    new = graph.node("Mul", graph.node("Sigmoid", i), graph.node("Tanh", j))
    c = graph.node("Add", kept, new)
    return graph.node("Mul", graph.node("Sigmoid", o), graph.node("Tanh", c)), c


def _inputs(first: str, channels: int, layers: nn.ModuleList) -> dict[str, int | None]:
    names: dict[str, int | None] = {first: channels}
    for k, layer in enumerate(layers):
        assert isinstance(layer, ConvLSTM2d)
        names |= {f"state_{2 * k}": layer.channels, f"state_{2 * k + 1}": layer.channels}
    return names


def encoder_graph(network: Encoder) -> bytes:
    """Residual ``r`` and states to ``bits`` before the sign, and the next states."""
    graph = Graph()
    outputs: dict[str, str] = {}
    h = _conv(graph, "r", network.front)
    for k, layer in enumerate(network.layers):
        assert isinstance(layer, ConvLSTM2d)
        h, c = _conv_lstm(graph, h, layer, f"state_{2 * k}", f"state_{2 * k + 1}")
        outputs |= {f"next_{2 * k}": h, f"next_{2 * k + 1}": c}
    outputs = {"bits": _conv(graph, h, network.binarizer)} | outputs
    return graph.close("toderici-encoder", _inputs("r", 1, network.layers), outputs)


def decoder_graph(network: Decoder) -> bytes:
    """Bits ``b`` of -1 and +1 and states to the image ``x`` about 0 .. 1, and the next states."""
    graph = Graph()
    outputs: dict[str, str] = {}
    y = _conv(graph, "b", network.expand)
    for k, layer in enumerate(network.layers):
        assert isinstance(layer, ConvLSTM2d)
        h, c = _conv_lstm(graph, y, layer, f"state_{2 * k}", f"state_{2 * k + 1}")
        outputs |= {f"next_{2 * k}": h, f"next_{2 * k + 1}": c}
        y = graph.node("DepthToSpace", h, blocksize=2, mode="CRD")
    image = graph.node("Add", _conv(graph, y, network.combine), graph.scalar(0.5))
    outputs = {"x": image} | outputs
    return graph.close("toderici-decoder", _inputs("b", BITS, network.layers), outputs)


@torch.no_grad()
def bit_counts(network: Toderici, crops: Crops, batch: int = 16) -> npt.NDArray[np.int64]:
    """How often a bit is 0 and 1, ``(iteration, channel, context, bit)``."""
    counts = np.zeros((MAX_ITERATIONS, BITS, CONTEXTS, 2), np.int64)
    channel = np.arange(BITS)[None, :, None, None]
    for start in range(0, len(crops), batch):
        pixels = torch.from_numpy(crops[start : start + batch].astype(np.float32) / 255)[:, None]
        states, residual = network.start(), pixels - 0.5
        one = two = np.zeros((), np.int64)
        for iteration in range(MAX_ITERATIONS):
            signs, image, states = network.step(residual, states)
            residual = pixels - image
            bits = (signs.numpy() > 0).astype(np.int64)
            np.add.at(counts[iteration], np.broadcast_arrays(channel, 2 * one + two, bits), 1)
            one, two = bits, one
    return counts


def frequency_tables(counts: npt.NDArray[np.int64]) -> FrequencyTables:
    """One table of the symbols 0 and 1 for each iteration, channel and context."""
    rows = [np.append(row, 0) for row in counts.reshape(-1, 2)]  # the escape, never seen
    return FrequencyTables.from_counts(rows, [0] * len(rows))


def export_pack(
    network: Toderici, name: str, table_crops: Crops, training: Mapping[str, Any]
) -> bytes:
    """Return the bytes of a model pack; ``training`` goes into its manifest as it is."""
    properties = {
        "block": BLOCK,
        "bits": BITS,
        "iterations": MAX_ITERATIONS,
        "configuration": network.config.name,
        "training": dict(training),
    }
    members = {
        "encoder.onnx": encoder_graph(network.encoder),
        "decoder.onnx": decoder_graph(network.decoder),
        "frequencies.bin": frequency_tables(bit_counts(network, table_crops)).to_bytes(),
    }
    return build_pack(name, CODEC, properties, members)


def command_of(training: Mapping[str, Any]) -> str:
    """Return the ``xrc train toderici`` command that gives these settings."""
    left_out = {"step", "ema", "checkpoint_seconds", "validation_crops"}
    if training["minutes"]:
        left_out.add("steps")
    parts = ["xrc train toderici --data DATA --out runs/RUN"]
    for key, value in training.items():
        if key == "augment":
            parts += ["--augment"] if value else []
        elif key not in left_out and value is not None:
            parts.append(f"--{key.replace('_', '-')} {value}")
    return " ".join(parts)


def model_card(name: str, pack: bytes, training: Mapping[str, Any], metrics: Path) -> str:
    """Return the card as Markdown, from the settings and the last validation of a run."""
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    validated = [line for line in lines if "psnr_db" in line][-1]
    rows = "\n".join(
        f"| {64 / int(count):g} | {count} | {psnr:.2f} |"
        for count, psnr in validated["psnr_db"].items()
    )
    return f"""# {name}

- The one-shot LSTM framework of Toderici et al. (CVPR 2017), configuration \
`{training["config"]}`, {BITS} bits for each {BLOCK} x {BLOCK} block and iteration.
- Trained on {CROP_COUNTS["train"]:,} random crops of {training["segment"]} x \
{training["segment"]} pixels of the training patients of its data folder; patients do not cross
  splits. Weights start at random.
- Steps: {training["step"]}, seed {training["seed"]}, averaged weights (decay {training["ema"]}).
- File: {len(pack):,} bytes, SHA-256 `{hashlib.sha256(pack).hexdigest()}`.

Command:

```
{command_of(training)}
```

Mean PSNR over the first {training["validation_crops"]} validation crops, at the last validation \
of the run:

| ratio | iterations | PSNR dB |
|---|---|---|
{rows}

Figures on the test split are in `benchmarks/results/`; `xrc benchmark` measures them again.
The decoder computes in float32: `spec/toderici.md` gives the tolerance.
"""
