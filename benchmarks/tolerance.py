"""How far float32 takes the RNN-Conv decoder from float64 (spec/rnn-conv.md, section 6).

The synthesis network is run in onnxruntime, in float32, and in the onnx reference evaluator with
every weight and activation in float64, on codes of real crops. Prints the largest and the mean
difference in grey levels of 16 bits, before rounding.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from xraycodec.codecs.rnn_conv.model import model_for, pack_for_segment
from xraycodec.evaluation.benchmark.environment import describe_environment
from xraycodec.evaluation.crops import load_crops

SPAN = 65535


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--crops", type=int, default=8)
    parser.add_argument("--cache", type=Path, default=Path("/tmp/xrc-crops"))
    arguments = parser.parse_args()
    data = Path(os.environ.get("XRAYCODEC_DATA", "../shared/data"))
    pack = pack_for_segment(128)
    model = model_for(pack.digest, 1)
    reference = in_float64(pack.members["synthesis.onnx"])
    largest, total = 0.0, 0.0
    for crop in load_crops(data, "test", 128, 2019, arguments.cache)[: arguments.crops]:
        x = crop.astype(np.float32)[None, None] / 255
        latents = model.dequantise(model.quantise(model.analysis(x)[0]))[None]
        (expected,) = reference.run(None, {"x": latents.astype(np.float64)})
        difference = np.abs(model.synthesis(latents) - expected) * SPAN
        largest, total = max(largest, float(difference.max())), total + float(difference.mean())
    result = describe_environment() | {
        "span": SPAN,
        "crops": arguments.crops,
        "largest_grey_levels": largest,
        "mean_grey_levels": total / arguments.crops,
    }
    print(json.dumps(result, indent=1))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
