"""Exact networks in the native core."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.core.network import ADDITION, CONVOLUTION, HEAD, CoreNetwork, Operator
from xraycodec.exact.operators import INPUT, Addition, Convolution, Graph, prove


def core_network(graph: Graph) -> CoreNetwork:
    """A network as the core takes it.

    Raises:
        MissingCoreError: the core has not been built.
        ModelError: the network breaks a rule of spec/network.md.
    """
    tensors = prove(graph)
    numbers = {INPUT: 0} | {one.name: n for n, one in enumerate(graph.operators, 1)}
    operators = []
    for one in graph.operators:
        source, channels = numbers[one.source], tensors[one.name].channels
        if isinstance(one, Addition):
            operators.append(Operator(ADDITION, source, channels, numbers[one.change]))
        elif isinstance(one, Convolution):
            operators.append(
                Operator(
                    CONVOLUTION,
                    source,
                    channels,
                    signed=one.signed,
                    weight=one.weight,
                    bias=one.bias,
                    scale=one.shift,
                )
            )
        else:
            operators.append(
                Operator(
                    HEAD, source, channels, weight=one.weight, bias=one.bias, scale=one.exponent
                )
            )
    return CoreNetwork(graph.channels, operators)


class CoreInterpreter:
    """Evaluates a proven network, image by image."""

    def __init__(self, graph: Graph) -> None:
        """Take a proven network; raises as `core_network`."""
        self._network = core_network(graph)
        places = {one.name: n for n, one in enumerate(graph.operators)}
        self._wanted = {name: places[name] for name in graph.outputs}

    def __call__(self, x: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
        results = [self._network.run(image, list(self._wanted.values())) for image in x]
        return {
            name: np.stack([result[number] for result in results])
            for name, number in self._wanted.items()
        }
