"""Turn a trained checkpoint into a model pack, with its tables and its model card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from xraycodec.entropy import FrequencyTables
from xraycodec.evaluation.crops import Crops
from xraycodec.exact.pack import build_pack
from xraycodec.training.network import BLOCK, CODE_LIMIT, CONFIGS, RNNConv
from xraycodec.training.onnx_graph import analysis_graph, synthesis_graph

CODEC = "RNNC"
ANALYSIS, SYNTHESIS = "analysis.onnx", "synthesis.onnx"
DEQUANTISER, TABLES = "dequantiser.f32", "frequencies.bin"


def load_network(
    checkpoint: Path, start: Mapping[str, Tensor] | None = None, mixing: float = 1.0
) -> tuple[RNNConv, dict[str, Any]]:
    """Return the averaged network of a checkpoint and the settings it was trained with.

    With the weights that the run began from, go only a part of the way from them, ``mixing``, to
    the averaged ones (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022): a short
    run gains at high ratios, and the noise of its steps costs most at low ones, where errors are
    smallest; half the way has most of the gain and a quarter of the cost.
    """
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    network = RNNConv(CONFIGS[state["settings"]["config"]])
    average = state["average"]
    if start is not None:
        average = {name: torch.lerp(start[name], value, mixing) for name, value in average.items()}
    network.load_state_dict(average)
    cover_full_scale(network)
    return network.eval(), {**state["settings"], "step": state["step"]}


def cover_full_scale(network: RNNConv) -> None:
    """Widen the codes' range, where it is short, to that of flat black and flat white.

    Few training crops hold white blocks, yet markers and collimators are white: a range learned
    from crops alone would cut their brightness off.
    """
    flat = torch.stack([torch.full((1, 64, 64), value) for value in (0.0, 1.0)])
    with torch.no_grad():
        reached = network.analysis(flat).abs().amax((0, 2, 3))
        log_peak = network.quantiser.log_peak
        log_peak.copy_(torch.maximum(log_peak, reached.log()))


def dequantiser_table(network: RNNConv) -> npt.NDArray[np.float32]:
    """Latent value of every code, ``(channel, code + 127)``."""
    codes = torch.arange(-CODE_LIMIT, CODE_LIMIT + 1, dtype=torch.float32)
    with torch.no_grad():
        values = network.quantiser.dequantise(codes.expand(network.config.beta, 1, -1)[None])
    table: npt.NDArray[np.float32] = values[0, :, 0].numpy().astype(np.float32)
    return table


def code_counts(network: RNNConv, crops: Crops, batch: int = 16) -> npt.NDArray[np.int64]:
    """How often each channel takes each code over ``crops``, ``(channel, code + 127)``."""
    beta = network.config.beta
    counts = np.zeros((beta, 2 * CODE_LIMIT + 1), np.int64)
    with torch.no_grad():
        for start in range(0, len(crops), batch):
            pixels = torch.from_numpy(crops[start : start + batch].astype(np.float32) / 255)
            scaled = network.quantiser.scale(network.analysis(pixels[:, None]).float())
            codes = scaled.round().long() + CODE_LIMIT
            for channel in range(beta):
                counts[channel] += torch.bincount(
                    codes[:, channel].flatten(), minlength=counts.shape[1]
                ).numpy()
    return counts


def frequency_tables(counts: npt.NDArray[np.int64]) -> FrequencyTables:
    """One table per channel over the codes it was seen to take; others go by escape."""
    used = [np.flatnonzero(channel) for channel in counts]
    spans = [
        np.append(channel[seen[0] : seen[-1] + 1], 0)  # the escape, never seen
        for channel, seen in zip(counts, used, strict=True)
    ]
    minimums = [int(seen[0]) - CODE_LIMIT for seen in used]
    return FrequencyTables.from_counts(spans, minimums)


def export_pack(
    network: RNNConv, name: str, segment: int, table_crops: Crops, training: Mapping[str, Any]
) -> bytes:
    """Return the bytes of a model pack; ``training`` goes into its manifest as it is."""
    tables = frequency_tables(code_counts(network, table_crops))
    properties: dict[str, Any] = {
        "segment": segment,
        "block": BLOCK,
        "beta": network.config.beta,
        "configuration": network.config.name,
        "training": dict(training),
    }
    remainder = network.quantiser.remainder.nonzero().flatten().tolist()
    if remainder:
        properties["remainder"] = remainder[0]
    members = {
        ANALYSIS: analysis_graph(network.analysis),
        SYNTHESIS: synthesis_graph(network.synthesis),
        DEQUANTISER: dequantiser_table(network).astype("<f4").tobytes(),
        TABLES: tables.to_bytes(),
    }
    return build_pack(name, CODEC, properties, members)
