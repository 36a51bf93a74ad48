"""How far float32 takes a decoder from float64: spec/rnn-conv.md, 6, and spec/toderici.md, 7.

The decoder's network is run in onnxruntime, in float32, and in the onnx reference evaluator with
every weight and activation in float64, on codes of real crops. Prints the largest and the mean
difference in grey levels of 16 bits, before rounding: of toderici for each iteration, as errors
pass from one to the next.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from xraycodec.codecs.rnn_conv.model import model_for as rnn_conv_model
from xraycodec.codecs.rnn_conv.model import pack_for_segment
from xraycodec.codecs.toderici.model import BLOCK
from xraycodec.codecs.toderici.model import model_for as toderici_model
from xraycodec.evaluation.benchmark.environment import describe_environment
from xraycodec.evaluation.crops import load_crops
from xraycodec.exact.pack import named_pack

SPAN = 65535

Crops = npt.NDArray[np.uint8]


def in_float64(data: bytes) -> ReferenceEvaluator:
    """Return an evaluator of the graph with every float32 made float64."""
    model = onnx.load_from_string(data)
    for tensor in model.graph.initializer:
        value = numpy_helper.to_array(tensor).astype(np.float64)
        tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to":
                attribute.i = TensorProto.DOUBLE
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.DOUBLE
    return ReferenceEvaluator(model)


def of_rnn_conv(crops: Crops) -> dict[str, Any]:
    """Compare the synthesis network."""
    pack = pack_for_segment(128)
    model = rnn_conv_model(pack.digest, 1)
    reference = in_float64(pack.members["synthesis.onnx"])
    largest, total = 0.0, 0.0
    for crop in crops:
        x = crop.astype(np.float32)[None, None] / 255
        latents = model.dequantise(model.quantise(model.analysis(x)[0]))[None]
        (expected,) = reference.run(None, {"x": latents.astype(np.float64)})
        difference = np.abs(model.synthesis(latents) - expected) * SPAN
        largest, total = max(largest, float(difference.max())), total + float(difference.mean())
    return {"largest_grey_levels": largest, "mean_grey_levels": total / len(crops)}


def of_toderici(crops: Crops) -> dict[str, Any]:
    """Compare the decoder over all iterations, which the encoder's bits come from."""
    pack = named_pack("toderici-compact")
    model = toderici_model(pack.digest, 1)
    reference = in_float64(pack.members["decoder.onnx"])
    largest = np.zeros(model.iterations)
    total = np.zeros(model.iterations)
    grid = (crops.shape[1] // BLOCK, crops.shape[2] // BLOCK)
    for crop in crops:
        x = crop.astype(np.float32)[None, None] / 255
        found = np.full_like(x, 0.5)
        analysis, synthesis = model.encoder.start(1, grid), model.decoder.start(1, grid)
        exact = {f"state_{i}": state.astype(np.float64) for i, state in enumerate(synthesis)}
        for iteration in range(model.iterations):
            values, analysis = model.encoder.step(x - found, analysis)
            signs = np.where(values >= 0, 1, -1).astype(np.float32)
            found, synthesis = model.decoder.step(signs, synthesis)
            names = ["x", *(f"next_{i}" for i in range(len(exact)))]
            expected, *following = reference.run(names, {"b": signs.astype(np.float64), **exact})
            exact = {f"state_{i}": state for i, state in enumerate(following)}
            difference = np.abs(found - expected) * SPAN
            largest[iteration] = max(largest[iteration], difference.max())
            total[iteration] += difference.mean()
    return {
        "largest_grey_levels": float(largest.max()),
        "mean_grey_levels": float(total.max() / len(crops)),
        "largest_by_iteration": [round(float(value), 4) for value in largest],
    }


MEASURES: dict[str, Callable[[Crops], dict[str, Any]]] = {
    "rnn-conv": of_rnn_conv,
    "toderici": of_toderici,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--codec", choices=MEASURES, default="rnn-conv")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--crops", type=int, default=8)
    parser.add_argument("--cache", type=Path, default=Path("/tmp/xrc-crops"))
    arguments = parser.parse_args()
    data = Path(os.environ.get("XRAYCODEC_DATA", "../shared/data"))
    crops = load_crops(data, "test", 128, 2019, arguments.cache)[: arguments.crops]
    result = describe_environment() | {"codec": arguments.codec, "span": SPAN}
    result |= {"crops": len(crops), **MEASURES[arguments.codec](crops)}
    print(json.dumps(result, indent=1))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
