"""Exact networks as data: three integer operators, the graph of them, and the proof of exactness.

::

    x ──▶ Convolution ──▶ Convolution (unsigned) ──▶ Convolution (signed) ──┐
              │                                                              ▼
              └────────────────────────────────────────────────────────▶ Addition ──▶ Head

``spec/network.md`` defines what each operator computes. A graph that passes :func:`prove` gives
the same integers in every interpreter, whatever the order of its sums.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from xraycodec.errors import ModelError

INPUT = "x"
WEIGHT_LIMIT = 64
"""2 x 255 x 64 = 32640: pairs of products fit int16, where x86's ``vpmaddubsw`` would saturate."""
SUM_LIMIT = 1 << 24
"""float32 holds every integer of a smaller absolute value."""
SHIFT_LIMIT = 20
EXPONENT_LIMIT = 30
OUTPUT_LIMIT = 1 << 31
ACTIVATION_LIMIT = 255
ZERO_POINT = 128
"""Stored value of 0 in a signed tensor."""
KERNELS = (1, 3)
MAX_OPERATORS = 256
MAX_CHANNELS = 1024
MAX_MULTIPLICATIONS = 1 << 24
"""For a pixel: operators may share weights, so that the size of a file bounds nothing."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")

Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


class Kind(StrEnum):
    """What the numbers of a tensor mean."""

    UNSIGNED = "unsigned"
    """uint8, the values themselves."""
    SIGNED = "signed"
    """uint8, the values plus 128."""
    WIDE = "wide"
    """int32, the values themselves."""


@dataclass(frozen=True, eq=False)
class Convolution:
    """Convolution, zero padded to keep the size, and requantisation to 8 bits.

    Attributes:
        name: the result.
        source: an unsigned tensor.
        weight: int8 ``(output channel, input channel, kernel, kernel)``, kernel 1 or 3.
        bias: int32 ``(output channel,)``.
        shift: int32 ``(output channel,)``, 0 to 20; sums are divided by 2^shift and rounded, ties
            to even.
        signed: whether results are clipped to -128..127 and stored plus 128, or to 0..255.
    """

    name: str
    source: str
    weight: Int8
    bias: Int32
    shift: Int32
    signed: bool = False


@dataclass(frozen=True)
class Addition:
    """``clip(source + change, 0, 255)`` of an unsigned and a signed tensor; unsigned."""

    name: str
    source: str
    change: str


@dataclass(frozen=True, eq=False)
class Head:
    """Pointwise convolution to int32, every channel times a power of two.

    Attributes:
        name: the result, a wide tensor.
        source: an unsigned tensor.
        weight: int8 ``(output channel, input channel)``.
        bias: int32 ``(output channel,)``.
        exponent: int32 ``(output channel,)``, 0 to 30; sums are multiplied by 2^exponent.
    """

    name: str
    source: str
    weight: Int8
    bias: Int32
    exponent: Int32


Operator = Convolution | Addition | Head


@dataclass(frozen=True, eq=False)
class Graph:
    """Operators in an order in which they can run.

    Attributes:
        channels: of the input ``x``, an unsigned tensor.
        operators: each reads ``x`` or results of those before it.
        outputs: names of results, in the order in which interpreters return them.
    """

    channels: int
    operators: tuple[Operator, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Tensor:
    """What a name in a graph stands for."""

    channels: int
    kind: Kind


def sources(operator: Operator) -> tuple[str, ...]:
    """Return the names that an operator reads."""
    if isinstance(operator, Addition):
        return (operator.source, operator.change)
    return (operator.source,)


def spent(graph: Graph) -> tuple[tuple[str, ...], ...]:
    """For every operator, the tensors that nothing after it needs: an interpreter frees them."""
    last = {name: n for n, operator in enumerate(graph.operators) for name in sources(operator)}
    freed: list[list[str]] = [[] for _ in graph.operators]
    for name, n in last.items():
        if name not in graph.outputs:
            freed[n].append(name)
    return tuple(map(tuple, freed))


def reach(graph: Graph) -> int:
    """How far an output sees, in pixels each way: tiles cut with this margin agree inside it."""
    seen = {INPUT: 0}
    for operator in graph.operators:
        radius = operator.weight.shape[-1] // 2 if isinstance(operator, Convolution) else 0
        seen[operator.name] = radius + max(seen[name] for name in sources(operator))
    return max(seen[name] for name in graph.outputs)


def prove(graph: Graph) -> dict[str, Tensor]:
    """Check the form of a graph and the bounds that make it exact (spec/network.md, 2 to 4).

    Returns:
        What every name in the graph stands for.

    Raises:
        ModelError: the graph is malformed, or a channel breaks a bound.
    """
    if not 1 <= graph.channels <= MAX_CHANNELS:
        raise ModelError(f"input of {graph.channels} channels; allowed are 1 to {MAX_CHANNELS}")
    if not 1 <= len(graph.operators) <= MAX_OPERATORS:
        raise ModelError(f"{len(graph.operators)} operators; allowed are 1 to {MAX_OPERATORS}")
    tensors = {INPUT: Tensor(graph.channels, Kind.UNSIGNED)}
    read: set[str] = set()
    for operator in graph.operators:
        if not _NAME.fullmatch(operator.name):
            raise ModelError(f"name {operator.name!r} is not of the form {_NAME.pattern}")
        if operator.name in tensors:
            raise ModelError(f"{operator.name!r} is the name of two tensors")
        tensors[operator.name] = _result(operator, tensors)
        read.update(sources(operator))
    work = sum(each.weight.size for each in graph.operators if not isinstance(each, Addition))
    if work > MAX_MULTIPLICATIONS:
        raise ModelError(
            f"the network takes {work} multiplications for a pixel; the limit is"
            f" {MAX_MULTIPLICATIONS}"
        )
    _check_outputs(graph, tensors, read)
    return tensors


def _check_outputs(graph: Graph, tensors: dict[str, Tensor], read: set[str]) -> None:
    results = tensors.keys() - {INPUT}
    unknown = [name for name in graph.outputs if name not in results]
    if unknown or not graph.outputs or len(set(graph.outputs)) != len(graph.outputs):
        raise ModelError(
            f"outputs {graph.outputs}; needed are one or more results of operators, each once"
        )
    idle = sorted(results - read - set(graph.outputs))
    if idle:
        raise ModelError(f"results {idle} are neither outputs nor read by an operator")


def _result(operator: Operator, tensors: dict[str, Tensor]) -> Tensor:
    source = _lookup(operator.name, operator.source, Kind.UNSIGNED, tensors)
    if isinstance(operator, Addition):
        change = _lookup(operator.name, operator.change, Kind.SIGNED, tensors)
        if source.channels != change.channels:
            raise ModelError(
                f"{operator.name!r} adds {change.channels} channels to {source.channels}"
            )
        return source
    if isinstance(operator, Convolution):
        shape: tuple[int, ...] = (*operator.weight.shape[:1], source.channels)
        kernel = operator.weight.shape[-1] if operator.weight.ndim == 4 else 0
        if kernel not in KERNELS or operator.weight.shape != (*shape, kernel, kernel):
            raise ModelError(
                f"{operator.name!r} has weights {operator.weight.shape}; needed are"
                f" (channels, {source.channels}, kernel, kernel) with kernel 1 or 3"
            )
        _check_sums(operator)
        _check_range(operator.name, "shift", operator.shift, SHIFT_LIMIT)
        kind = Kind.SIGNED if operator.signed else Kind.UNSIGNED
        return Tensor(len(operator.weight), kind)
    if operator.weight.ndim != 2 or operator.weight.shape[1] != source.channels:
        raise ModelError(
            f"{operator.name!r} has weights {operator.weight.shape}; needed are (channels,"
            f" {source.channels})"
        )
    peak = _check_sums(operator)
    _check_range(operator.name, "exponent", operator.exponent, EXPONENT_LIMIT)
    product = peak << operator.exponent.astype(np.int64)
    _refuse(operator.name, product >= OUTPUT_LIMIT, product, "peak x 2^exponent", "below 2^31")
    return Tensor(len(operator.weight), Kind.WIDE)


def _lookup(reader: str, name: str, kind: Kind, tensors: dict[str, Tensor]) -> Tensor:
    if name not in tensors:
        raise ModelError(f"{reader!r} reads {name!r}, which is no result before it")
    if tensors[name].kind != kind:
        raise ModelError(f"{reader!r} reads {name!r}, which is {tensors[name].kind}, not {kind}")
    return tensors[name]


def _check_sums(operator: Convolution | Head) -> Int64:
    """Check weights and bias; return the peak of the sums, ``(output channel,)``."""
    name, channels = operator.name, len(operator.weight)
    if not 1 <= channels <= MAX_CHANNELS:
        raise ModelError(f"{name!r} has {channels} channels; allowed are 1 to {MAX_CHANNELS}")
    if operator.weight.dtype != np.int8:
        raise ModelError(f"{name!r} has weights of {operator.weight.dtype}, not int8")
    _check_vector(name, "bias", operator.bias, channels)
    scale = operator.shift if isinstance(operator, Convolution) else operator.exponent
    _check_vector(name, "scale", scale, channels)
    weight = np.abs(operator.weight.astype(np.int64)).reshape(channels, -1)
    largest = weight.max(axis=1)
    _refuse(name, largest > WEIGHT_LIMIT, largest, "|weight|", f"up to {WEIGHT_LIMIT}")
    peak: Int64 = weight.sum(axis=1) * ACTIVATION_LIMIT + np.abs(operator.bias.astype(np.int64))
    _refuse(name, peak >= SUM_LIMIT, peak, "sum |weight| x 255 + |bias|", "below 2^24")
    return peak


def _check_vector(name: str, what: str, vector: Int32, channels: int) -> None:
    if vector.dtype != np.int32 or vector.shape != (channels,):
        raise ModelError(
            f"{name!r} has a {what} of {vector.dtype} {vector.shape}; needed is int32 ({channels},)"
        )


def _check_range(name: str, what: str, values: Int32, limit: int) -> None:
    outside = (values < 0) | (values > limit)
    _refuse(name, outside, values.astype(np.int64), what, f"0 to {limit}")


def _refuse(
    name: str,
    broken: npt.NDArray[np.bool_],
    values: Int64,
    what: str,
    allowed: str,
) -> None:
    if broken.any():
        channel = int(broken.argmax())
        raise ModelError(
            f"channel {channel} of {name!r} has {what} {values[channel]}; allowed is {allowed}"
        )
