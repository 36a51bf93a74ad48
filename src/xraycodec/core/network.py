"""Networks of integers in the native core (core/xrc_network.h)."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.core.library import aligned, load, pointer
from xraycodec.errors import LimitError, ModelError

CONVOLUTION, ADDITION, HEAD = 0, 1, 2
_LANES = 8  # channels of a pixel are padded to a multiple of it


@dataclass(frozen=True, eq=False)
class Operator:
    """``xrc_operator``: tensor 0 is the input, tensor t the result of operator t - 1.

    Attributes:
        kind: `CONVOLUTION`, `ADDITION` or `HEAD`.
        source: tensor that it reads.
        channels: of its result.
        change: the signed tensor of an addition.
        signed: whether a convolution's result is signed.
        weight: int8, ``(output channel, input channel, kernel, kernel)``; of a head without kernel.
        bias: int32, ``(output channel,)``.
        scale: int32, ``(output channel,)``: shifts of a convolution, exponents of a head.
    """

    kind: int
    source: int
    channels: int
    change: int = 0
    signed: bool = False
    weight: npt.NDArray[np.int8] | None = None
    bias: npt.NDArray[np.int32] | None = None
    scale: npt.NDArray[np.int32] | None = None


class _Operator(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int32) for name in ("kind", "source", "change", "channels", "kernel")),
        ("is_signed", ctypes.c_int32),
        *((name, ctypes.c_void_p) for name in ("weight", "bias", "scale")),
    )


class CoreNetwork:
    """A network laid out for the kernels of this processor; any number of threads may run it."""

    def __init__(self, channels: int, operators: Sequence[Operator]) -> None:
        """Take a network that reads ``channels`` channels.

        Raises:
            MissingCoreError: the core has not been built.
            ModelError: it breaks a rule of spec/network.md.
        """
        library = load()
        self._channels = channels
        self._operators = operators
        held: list[npt.NDArray[Any]] = []
        described = (_Operator * len(operators))(*(_described(one, held) for one in operators))
        size = library.xrc_network_size(channels, len(operators), described)
        self._memory = aligned(size)
        status = library.xrc_network_build(
            channels, len(operators), described, pointer(self._memory), size
        )
        if status:
            raise ModelError(f"the native core refuses the network (status {status})")

    @property
    def address(self) -> int:
        """Where it lies, for other functions of the core; this object must outlive its use."""
        return int(self._memory.ctypes.data)

    def run(
        self, image: npt.NDArray[np.uint8], wanted: Sequence[int]
    ) -> Mapping[int, npt.NDArray[Any]]:
        """Evaluate on ``(channel, row, column)``.

        Args:
            image: the input.
            wanted: operators whose results to return.

        Returns:
            Of each, uint8 or, of a head, int32, ``(channel, row, column)``.

        Raises:
            LimitError: more rows and columns than the core takes at a time.
        """
        library = load()
        _, rows, columns = image.shape
        pixels = np.zeros((rows, columns, _padded(self._channels)), np.uint8)
        pixels[..., : self._channels] = image.transpose(1, 2, 0)
        places = (ctypes.c_void_p * len(self._operators))()
        found: dict[int, npt.NDArray[Any]] = {}
        for number in wanted:
            operator = self._operators[number]
            if operator.kind == HEAD:
                found[number] = np.empty((rows, columns, operator.channels), np.int32)
            else:
                found[number] = np.empty((rows, columns, _padded(operator.channels)), np.uint8)
            places[number] = found[number].ctypes.data
        size = library.xrc_network_scratch(pointer(self._memory), rows, columns)
        if not size:
            raise LimitError(f"{rows} rows x {columns} columns are too many for one call")
        scratch = aligned(size)
        status = library.xrc_network_run(
            pointer(self._memory), rows, columns, pointer(pixels), places, pointer(scratch), size
        )
        assert not status, f"the core gives status {status} for {rows} x {columns} pixels"
        return {
            number: values[..., : self._operators[number].channels].transpose(2, 0, 1)
            for number, values in found.items()
        }


def _padded(channels: int) -> int:
    return -(-channels // _LANES) * _LANES


def _described(operator: Operator, held: list[npt.NDArray[Any]]) -> _Operator:
    """An operator as the core takes it; ``held`` keeps what it points to alive."""
    described = _Operator(
        kind=operator.kind,
        source=operator.source,
        change=operator.change,
        channels=operator.channels,
        is_signed=int(operator.signed),
    )
    if operator.kind != ADDITION:
        assert operator.weight is not None
        arrays = [np.ascontiguousarray(a) for a in (operator.weight, operator.bias, operator.scale)]
        held += arrays
        described.kernel = operator.weight.shape[-1] if operator.kind == CONVOLUTION else 1
        described.weight, described.bias, described.scale = (a.ctypes.data for a in arrays)
    return described
