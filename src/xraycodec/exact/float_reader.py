"""Which networks of floats are run: a short list of operators whose shapes and costs are known.

``spec/model-pack.md``, section 6, is the specification. Nothing is run before the shape of every
result, the multiplications and the memory that a block takes are known and in bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from xraycodec.errors import ModelError
from xraycodec.exact.float_shapes import MAX_CHANNELS, Shape, Walk
from xraycodec.exact.onnx_file import Value, read_file
from xraycodec.exact.onnx_messages import FLOAT, FLOAT32


def read_shapes(data: bytes, inputs: Mapping[str, Shape]) -> tuple[dict[str, Shape], ...]:
    """Check a network and find its shapes.

    Args:
        data: an ONNX file.
        inputs: those that it must have.

    Returns:
        The shapes of its inputs and of its outputs, by name.

    Raises:
        ModelError: the file is not of the subset, its shapes do not fit together or to ``inputs``,
            a weight is not finite, or a bound is exceeded.
    """
    file = read_file(data, FLOAT)
    names = [value.name for value in file.inputs]
    if len(set(names)) < len(names) or {*names} != {*inputs}:
        raise ModelError(
            f"the network takes {', '.join(names)}; needed are {', '.join(inputs)}, each once"
        )
    taken = {value.name: _declared(value, inputs[value.name]) for value in file.inputs}
    walk = Walk(file, taken)
    outputs = {}
    for value in file.outputs:
        shape = walk.shapes.get(value.name)
        if shape is None or value.name in outputs or value.name in taken:
            raise ModelError(f"output {value.name!r} is no result of a node, or is listed twice")
        outputs[value.name] = _declared(value, shape)
    if not outputs:
        raise ModelError("the network has no output")
    return taken, outputs


def _declared(value: Value, shape: Shape) -> Shape:
    """The shape of an input or output, which its declaration must not contradict."""
    channels = value.sizes[1] if len(value.sizes) == 4 else None
    free = (size for axis, size in enumerate(value.sizes) if axis != 1)
    if value.data_type != FLOAT32 or len(value.sizes) != 4 or any(type(x) is int for x in free):
        raise ModelError(
            f"{value.name!r} is declared as data type {value.data_type} {value.sizes}; needed is"
            " float32 (batch, channels, height, width) of which channels alone may be a number"
        )
    if type(channels) is int:
        if shape.channels not in (0, channels):
            raise ModelError(
                f"{value.name!r} is declared with {channels} channels; it has {shape.channels}"
            )
        shape = replace(shape, channels=channels)
    if not 1 <= shape.channels <= MAX_CHANNELS:
        raise ModelError(
            f"{value.name!r} has {shape.channels} channels; allowed are 1 to {MAX_CHANNELS}"
        )
    return shape
