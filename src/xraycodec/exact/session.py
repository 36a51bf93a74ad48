"""Running an ONNX network in onnxruntime."""

from __future__ import annotations

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
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Windows differ in size: an arena would keep the largest of each for ever.
        options.enable_cpu_mem_arena = False
        try:
            self._session: Any = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own exceptions share no public base
            raise ModelError(f"onnxruntime refuses the network: {error}") from error
        self._input: str = self._session.get_inputs()[0].name

    def __call__(self, x: Activations) -> Activations:
        """Evaluate the network on ``(batch, channel, height, width)``.

        Raises:
            ModelError: the network does not take this shape.
        """
        try:
            (y,) = self._session.run(None, {self._input: x})
        except Exception as error:  # as above
            raise ModelError(f"onnxruntime fails on an input of {x.shape}: {error}") from error
        result: Activations = y
        return result
