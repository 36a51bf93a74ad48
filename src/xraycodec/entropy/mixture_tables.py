"""The integer tables that mixtures are evaluated with: spec/mixture.md, section 2.

They are part of the format. Here they are computed in decimal arithmetic, which rounds alike on
every machine; ``tests/entropy`` holds them against the SHA-256 in the specification.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import cache

import numpy as np
import numpy.typing as npt

SIGMOID_BITS = 30
"""Binary logarithm of one in `sigmoids`."""
SIGMOID_STEPS = 32
"""Entries of `sigmoids` to one unit of its argument."""
SIGMOID_REACH = 24
"""Argument from which on the logistic function counts as one."""
POWER_BITS = 24
"""Binary logarithm of one in `powers`."""
POWER_STEPS = 256
"""Entries of `powers` to one octave."""


def _freeze(values: list[int]) -> npt.NDArray[np.int64]:
    table = np.array(values, np.int64)
    table.setflags(write=False)
    return table


@cache
def sigmoids() -> npt.NDArray[np.int64]:
    """1 / (1 + exp(-k / 32)) in 2^-30, k = -768 to 768: ``(1537,)``; the ends are 0 and 1."""
    last = SIGMOID_REACH * SIGMOID_STEPS
    with localcontext() as context:
        context.prec = 40
        base = (Decimal(1) / SIGMOID_STEPS).exp()
        upper = []
        power = Decimal(1)
        for _ in range(last):
            upper.append(int((Decimal(1 << SIGMOID_BITS) / (1 + 1 / power)).to_integral_value()))
            power *= base
    one = 1 << SIGMOID_BITS
    lower = [one - value for value in upper[:0:-1]]
    return _freeze([0, *lower, *upper, one])


@cache
def powers() -> npt.NDArray[np.int64]:
    """2^(-k / 256) in 2^-24, k = 0 to 255: ``(256,)``."""
    with localcontext() as context:
        context.prec = 40
        values = [
            Decimal(1 << POWER_BITS) * Decimal(2) ** (Decimal(-k) / POWER_STEPS)
            for k in range(POWER_STEPS)
        ]
        return _freeze([int(value.to_integral_value()) for value in values])
