"""Running networks of floats in onnxruntime, once their shapes and costs are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from xraycodec.errors import ModelError
from xraycodec.exact.float_reader import read_shapes
from xraycodec.exact.float_shapes import Shape
from xraycodec.exact.ort import open_session

Activations = npt.NDArray[np.float32]


class NamedNetwork:
    """One network with any number of inputs and outputs, each found by its name.

    Attributes:
        inputs, outputs: their shapes.
    """

    def __init__(self, model: bytes, inputs: Mapping[str, Shape], threads: int = 0) -> None:
        """Check and load ``model``; ``threads`` = 0 uses every core.

        Raises:
            ModelError: the network is not of the subset that `read_shapes` allows, or does not
                take ``inputs``.
        """
        self.inputs, self.outputs = read_shapes(model, inputs)
        self._session = open_session(model, threads)

    def __call__(
        self, inputs: Mapping[str, Activations], outputs: Sequence[str]
    ) -> list[Activations]:
        """Evaluate the network.

        Args:
            inputs: all of them, by their names, each ``(batch, channel, height, width)``.
            outputs: names of those wanted.

        Returns:
            The outputs, in the order of their names.

        Raises:
            ModelError: the network does not take these, has no such output, or gives values that
                are not finite.
        """
        try:
            results: list[Activations] = self._session.run(list(outputs), dict(inputs))
        except Exception as error:  # onnxruntime's own exceptions share no public base
            shapes = ", ".join(f"{name} {value.shape}" for name, value in inputs.items())
            raise ModelError(f"onnxruntime fails on inputs of {shapes}: {error}") from error
        for name, result in zip(outputs, results, strict=True):
            if not np.isfinite(result).all():
                raise ModelError(f"the network gives values of {name!r} that are not finite")
        return results


class Network:
    """One network with one input ``x`` and one output, ``(batch, channel, height, width)``."""

    def __init__(self, model: bytes, taken: Shape, given: Shape, threads: int = 0) -> None:
        """Check and load ``model``; ``threads`` = 0 uses every core.

        Raises:
            ModelError: the network is not of the subset that `read_shapes` allows, or does not
                give ``given`` for ``taken``.
        """
        self._network = NamedNetwork(model, {"x": taken}, threads)
        if [*self._network.outputs.values()] != [given]:
            raise ModelError(f"the network gives {self._network.outputs}; needed is one {given}")
        self._outputs = [*self._network.outputs]

    def __call__(self, x: Activations) -> Activations:
        """Evaluate the network on ``(batch, channel, height, width)``.

        Raises:
            ModelError: the network does not take this shape, or gives values that are not finite.
        """
        (y,) = self._network({"x": x}, self._outputs)
        return y
