"""Builds ``src/xraycodec/exact/self_test.onnx``; run it to write the file and print the digest."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from xraycodec.exact import self_test
from xraycodec.exact.operators import Addition, Convolution, Graph, Head
from xraycodec.exact.reference import evaluate
from xraycodec.exact.self_test import CHANNELS, linear_congruential, self_test_digest
from xraycodec.training.exact_export import to_onnx

PATH = Path(self_test.__file__).with_name("self_test.onnx")
WIDE, NARROW = 17, 15  # neither fills registers of 8 or 16
EDGE = 254 * 65536 + 32768  # below 2^24, half way between two results of a shift by 16


def weights(seed, *shape):
    """-64 to 64; of the first output channels all 64, all -64, and in turn 64 and -64."""
    numbers = linear_congruential(int(np.prod(shape)), seed) % 129 - 64
    weight = numbers.astype(np.int8).reshape(shape)
    flat = weight.reshape(len(weight), -1)
    flat[0], flat[1] = 64, -64
    flat[2, ::2], flat[2, 1::2] = 64, -64
    return weight


def vector(*values, length):
    return np.resize(np.array(values, np.int32), length)


def convolution(name, source, seed, shape, shift, *, signed=False):
    bias = (linear_congruential(shape[0], seed + 100) - 32768).astype(np.int32)
    return Convolution(name, source, weights(seed, *shape), bias, shift, signed)


def ties(name, source, channels, *, signed):
    """Halves of a channel's values, where every odd one is a tie, and sums at the bounds' edge."""
    weight = np.zeros((channels, channels, 1, 1), np.int8)
    np.fill_diagonal(weight[:, :, 0, 0], vector(32, -32, 32, -32, 1, -1, length=channels))
    bias = vector(0, 0, 64, -64, EDGE, -EDGE, length=channels)
    shift = vector(6, 6, 6, 6, 16, 16, length=channels)
    return Convolution(name, source, weight, bias, shift, signed)


def build():
    wide = vector(0, 8, 9, 10, 11, 12, 20, length=WIDE)
    narrow = vector(13, 12, 7, 9, 10, 11, length=NARROW)
    head = weights(9, 6, WIDE)
    bias = vector(
        0, -1, 3, 2**24 - 1 - WIDE * 64 * 255, 77, -(2**24) + 1 + WIDE * 64 * 255, length=6
    )
    operators = (
        convolution("entry", "x", 1, (WIDE, CHANNELS, 1, 1), wide),
        convolution("up", "entry", 2, (NARROW, WIDE, 3, 3), narrow),
        convolution("change", "up", 3, (WIDE, NARROW, 3, 3), wide[::-1].copy(), signed=True),
        Addition("sum", "entry", "change"),
        ties("halves", "sum", WIDE, signed=False),
        ties("minus", "halves", WIDE, signed=True),
        Addition("state", "halves", "minus"),
        Head("parameters", "sum", head, bias, vector(0, 1, 6, 7, 5, 3, length=6)),
    )
    return Graph(CHANNELS, operators, ("state", "change", "minus", "parameters"))


if __name__ == "__main__":
    network = build()
    PATH.write_bytes(to_onnx(network))
    sys.stdout.write(f"DIGEST = {self_test_digest(lambda x: evaluate(network, x))}\n")
