"""A fixed network on fixed input, whose results tell whether an interpreter is exact here.

The bounds of spec/network.md leave an interpreter no room to differ, but processors, libraries and
drivers have faults. The network meets what is likely to break: weights of +-64 against inputs of
255, sums just below 2^24, ties, both ends of both clippings, sizes that fill no vector register.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

Interpreter = Callable[[npt.NDArray[np.uint8]], Mapping[str, npt.NDArray[Any]]]

CHANNELS = 5
SHAPES = ((2, CHANNELS, 11, 13), (1, CHANNELS, 1, 1), (1, CHANNELS, 3, 37))
DIGEST = "2448b2b87ba66fb7aa183f0a2b52a9de4a3ed426782a4e1e9062e313d3020fac"
"""SHA-256 of what the reference gives."""


class InexactBackendWarning(RuntimeWarning):
    """The default backend is not exact on this machine, and a slower one takes its place."""


def self_test_network() -> bytes:
    """Return the ONNX file of the self-test."""
    return (files(__package__) / "self_test.onnx").read_bytes()


def linear_congruential(count: int, seed: int) -> npt.NDArray[np.int64]:
    """``count`` numbers of 0 to 65535: the high halves of x' = 1664525 x + 1013904223 mod 2^32."""
    numbers = np.empty(count, np.int64)
    for n in range(count):
        seed = (1664525 * seed + 1013904223) & 0xFFFFFFFF
        numbers[n] = seed >> 16
    return numbers


def self_test_inputs() -> list[npt.NDArray[np.uint8]]:
    """Return the inputs, each ``(batch, channel, row, column)``, about half of it 0 or 255."""
    inputs = []
    for seed, shape in enumerate(SHAPES):
        numbers = linear_congruential(int(np.prod(shape)), seed).reshape(shape)
        inputs.append(np.clip((numbers >> 7) - 128, 0, 255).astype(np.uint8))
    return inputs


def self_test_digest(interpreter: Interpreter) -> str:
    """SHA-256 of an interpreter's outputs: names, types, shapes, values."""
    digest = hashlib.sha256()
    for x in self_test_inputs():
        for name, values in interpreter(x).items():
            digest.update(f"{name} {values.dtype.name} {values.shape}\n".encode())
            little_endian = values.dtype.newbyteorder("<")
            digest.update(np.ascontiguousarray(values, little_endian).tobytes())
    return digest.hexdigest()
