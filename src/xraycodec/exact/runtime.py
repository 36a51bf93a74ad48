"""Running exact networks: one class, four interpreters that give the same bits.

===============  ==============================================================================
``onnxruntime``  the default: 8-bit kernels of the processor
``core``         the native core, on one thread; lattice codes whole tiles in it, unless a
                 backend is chosen
``reference``    NumPy, the norm that the others are held to; some ten times slower
``torch``        on a GPU where torch has one; needs torch, environment variable
                 ``XRAYCODEC_DEVICE`` chooses a device, such as ``cuda:1`` or ``cpu``
===============  ==============================================================================

The environment variable ``XRAYCODEC_BACKEND`` chooses for callers that name none.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.errors import ModelError, missing_package
from xraycodec.exact.onnx_reader import read_graph
from xraycodec.exact.operators import Graph, prove, reach
from xraycodec.exact.ort import open_session
from xraycodec.exact.reference import evaluate
from xraycodec.exact.self_test import (
    DIGEST,
    InexactBackendWarning,
    Interpreter,
    self_test_digest,
    self_test_network,
)

DEFAULT = "onnxruntime"
FALLBACK = "reference"
BACKEND_VARIABLE = "XRAYCODEC_BACKEND"
DEVICE_VARIABLE = "XRAYCODEC_DEVICE"
MAX_TENSOR_VALUES = (1 << 31) - 1
"""Of the widest tensor in one call: libraries beneath count in int32."""
BAND_POSITIONS = 1 << 17
"""Of an input that is evaluated at once; lattice's usual tiles have half of that."""

Outputs = Mapping[str, npt.NDArray[Any]]


class BackendError(ModelError):
    """A backend is unknown, not installed, or not exact on this machine."""


class OnnxruntimeInterpreter:
    """A network in onnxruntime, on the processor."""

    def __init__(self, model: bytes, threads: int = 0, optimisation: str = "ENABLE_ALL") -> None:
        """Load ``model``; ``threads`` = 0 uses every core.

        ``optimisation`` names one of onnxruntime's graph optimisation levels. All of them give the
        same bits; the others are there to prove it.

        Raises:
            ModelError: onnxruntime refuses the network.
        """
        # Waiting threads would spin on the cores that the coder works on between networks.
        self._session: Any = open_session(model, threads, spinning=False, optimisation=optimisation)
        (only,) = self._session.get_inputs()
        self._input: str = only.name
        self._outputs: list[str] = [output.name for output in self._session.get_outputs()]

    def __call__(self, x: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
        try:
            values = self._session.run(None, {self._input: x})
        except Exception as error:  # onnxruntime's own exceptions share no public base
            raise ModelError(f"onnxruntime fails on an input of {x.shape}: {error}") from error
        return dict(zip(self._outputs, values, strict=True))


def _onnxruntime(model: bytes, _graph: Graph, threads: int, _device: str) -> Interpreter:
    return OnnxruntimeInterpreter(model, threads)


def _reference(_model: bytes, graph: Graph, _threads: int, _device: str) -> Interpreter:
    return lambda x: evaluate(graph, x)


def _torch(_model: bytes, graph: Graph, _threads: int, device: str) -> Interpreter:
    try:
        from xraycodec.exact.torch_backend import TorchInterpreter
    except ImportError as error:
        raise BackendError(missing_package("backend 'torch' needs", "torch", "torch")) from error
    return TorchInterpreter(graph, device)


def _core(_model: bytes, graph: Graph, _threads: int, _device: str) -> Interpreter:
    from xraycodec.exact.native import CoreInterpreter

    return CoreInterpreter(graph)


Opener = Callable[[bytes, Graph, int, str], Interpreter]
BACKENDS: dict[str, Opener] = {
    "onnxruntime": _onnxruntime,
    "core": _core,
    "reference": _reference,
    "torch": _torch,
}


def codes_in_core() -> bool:
    """Whether codecs that can code whole tiles in the native core do: no other backend is chosen.

    Raises:
        BackendError: the core fails its self-test.
        MissingCoreError: it has not been built.
    """
    chosen = os.environ.get(BACKEND_VARIABLE, "")
    return chosen in ("", "core") and _trusted_backend("core", "", chosen=True) == "core"


@lru_cache
def _fault(opener: Opener, device: str) -> str:
    """Run the self-test once in a process; return what is wrong, or nothing."""
    model = self_test_network()
    try:
        found = self_test_digest(opener(model, read_graph(model), 1, device))
    except ModelError as error:
        return str(error)
    return "" if found == DIGEST else f"its self-test gives {found}, not {DIGEST}"


def _trusted_backend(name: str, device: str, *, chosen: bool) -> str:
    """Return ``name`` if it passes its self-test, or what takes its place."""
    if name not in BACKENDS:
        raise BackendError(f"no backend {name!r}; there are {', '.join(BACKENDS)}")
    fault = _fault(BACKENDS[name], device)
    if not fault:
        return name
    message = f"backend {name!r} cannot be trusted with exact networks here: {fault}"
    if chosen or name == FALLBACK:
        raise BackendError(message)
    warnings.warn(f"{message}; {FALLBACK!r} runs instead", InexactBackendWarning, stacklevel=3)
    return _trusted_backend(FALLBACK, "", chosen=True)


class ExactNetwork:
    """A network whose results are the same integers everywhere.

    Attributes:
        graph: its operators, proven exact.
        tensors: what each name in the graph stands for.
        reach: how far an output sees, in rows and columns each way.
        backend: name of the interpreter that runs it.
    """

    def __init__(
        self,
        model: bytes,
        threads: int = 0,
        backend: str | None = None,
        device: str | None = None,
    ) -> None:
        """Read, prove and load an ONNX file of the subset in spec/network.md.

        Args:
            model: the file.
            threads: of ``onnxruntime``; 0 uses every core. NumPy and torch have their own settings.
            backend: one of ``BACKENDS``; by default ``XRAYCODEC_BACKEND``, else ``onnxruntime``.
            device: of ``torch``; by default ``XRAYCODEC_DEVICE``, else CUDA if there is any.

        Raises:
            ModelError: no network of the subset, or one that is not proven exact.
            BackendError: the backend chosen is not there, or fails its self-test. A backend that
                nobody chose gives way to ``reference`` with an ``InexactBackendWarning``.
        """
        chosen = backend or os.environ.get(BACKEND_VARIABLE, "")
        where = os.environ.get(DEVICE_VARIABLE, "") if device is None else device
        self.graph = read_graph(model)
        self.tensors = prove(self.graph)
        self.reach = reach(self.graph)
        self._widest = max(tensor.channels for tensor in self.tensors.values())
        self.backend = _trusted_backend(chosen or DEFAULT, where, chosen=bool(chosen))
        self._interpreter = BACKENDS[self.backend](model, self.graph, threads, where)

    def __call__(self, x: npt.NDArray[np.uint8]) -> Outputs:
        """Evaluate on uint8 ``(batch, channel, row, column)``.

        Returns:
            The outputs by name, in the order of the graph, ``(batch, channel, row, column)``:
            uint8 or, of a head, int32.

        Raises:
            ModelError: another type or shape, or a size beyond what the libraries beneath count.
        """
        if x.dtype != np.uint8 or x.ndim != 4 or x.shape[1] != self.graph.channels or not x.size:
            raise ModelError(
                f"input of {x.dtype} {x.shape}; needed is uint8 (batch, {self.graph.channels}, row,"
                " column), none of them 0"
            )
        rows, columns = x.shape[2:]
        if x.shape[0] * rows * columns > BAND_POSITIONS and rows > 1:
            return self._in_bands(x, max(1, BAND_POSITIONS // (x.shape[0] * columns)))
        return self._evaluate(x)

    def _in_bands(self, x: npt.NDArray[np.uint8], band: int) -> Outputs:
        """Evaluate some rows at a time, and what they see: what is inside takes much memory."""
        rows = x.shape[2]
        outputs: dict[str, npt.NDArray[Any]] = {}
        for top in range(0, rows, band):
            bottom = min(top + band, rows)
            first = max(0, top - self.reach)
            found = self._evaluate(x[:, :, first : min(rows, bottom + self.reach)])
            for name, values in found.items():
                if name not in outputs:
                    shape = (*values.shape[:2], *x.shape[2:])
                    outputs[name] = np.empty(shape, values.dtype)
                outputs[name][:, :, top:bottom] = values[:, :, top - first : bottom - first]
        return outputs

    def _evaluate(self, x: npt.NDArray[np.uint8]) -> Outputs:
        values = x.shape[0] * x.shape[2] * x.shape[3] * self._widest
        if values > MAX_TENSOR_VALUES:
            raise ModelError(
                f"input of {x.shape} makes a tensor of {values} values; the limit is"
                f" {MAX_TENSOR_VALUES}: split it into tiles"
            )
        return self._interpreter(np.ascontiguousarray(x))
