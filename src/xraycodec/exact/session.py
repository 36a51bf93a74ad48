"""Running ONNX networks in onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.errors import ModelError

Activations = npt.NDArray[np.float32]


class Network:
    """One network with one input and one output, both ``(batch, channel, height, width)``."""

    def __init__(self, model: bytes, threads: int = 0) -> None:
        """Load ``model``; ``threads`` = 0 uses every core.

        Raises:
            ModelError: the bytes are no ONNX network that onnxruntime accepts.
        """
        self._session = _open(model, threads)
        self._input: str = self._session.get_inputs()[0].name

    def __call__(self, x: Activations) -> Activations:
        """Evaluate the network on ``(batch, channel, height, width)``.

        Raises:
            ModelError: the network does not take this shape.
        """
        try:
            (y,) = self._session.run(None, {self._input: x})
        except Exception as error:  # onnxruntime's own exceptions share no public base
            raise ModelError(f"onnxruntime fails on an input of {x.shape}: {error}") from error
        result: Activations = y
        return result


class NamedNetwork:
    """One network with any number of inputs and outputs, each found by its name.

    Attributes:
        inputs: shape of each input; ``None`` for a size that is free.
        outputs: names of the outputs.
    """

    def __init__(self, model: bytes, threads: int = 0) -> None:
        """Load ``model``; ``threads`` = 0 uses every core.

        Raises:
            ModelError: the bytes are no ONNX network that onnxruntime accepts, or it takes
                something else than float32.
        """
        self._session = _open(model, threads)
        self.inputs: dict[str, tuple[int | None, ...]] = {}
        for found in self._session.get_inputs():
            if found.type != "tensor(float)":
                raise ModelError(f"input {found.name!r} of the network is a {found.type}")
            # A free size comes as the name that the graph has for it, or as None.
            sizes = (size if type(size) is int else None for size in found.shape)
            self.inputs[found.name] = tuple(sizes)
        self.outputs = tuple(found.name for found in self._session.get_outputs())

    def __call__(
        self, inputs: Mapping[str, Activations], outputs: Sequence[str]
    ) -> list[Activations]:
        """Evaluate the network.

        Args:
            inputs: all of them, by their names.
            outputs: names of those wanted.

        Returns:
            The outputs, in the order of their names.

        Raises:
            ModelError: the network does not take these, or has no such output.
        """
        try:
            results: list[Activations] = self._session.run(list(outputs), dict(inputs))
        except Exception as error:  # as above
            shapes = ", ".join(f"{name} {value.shape}" for name, value in inputs.items())
            raise ModelError(f"onnxruntime fails on inputs of {shapes}: {error}") from error
        return results


def _open(model: bytes, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Windows differ in size: an arena would keep the largest of each for ever.
    options.enable_cpu_mem_arena = False
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # as above
        raise ModelError(f"onnxruntime refuses the network: {error}") from error
