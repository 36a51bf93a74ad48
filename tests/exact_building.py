"""Random exact networks, and shorthand for small ones."""

from __future__ import annotations

import numpy as np

from xraycodec.exact.operators import Addition, Convolution, Graph, Head


def vector(*values):
    return np.array(values, np.int32)


def pointwise(rows, *, bias=0, shift=0, signed=False, name="y", source="x"):
    """A 1x1 convolution; ``rows`` are its weights ``(output channel, input channel)``."""
    weight = np.array(rows, np.int8)[:, :, None, None]
    full = (np.full(len(rows), value, np.int32) for value in (bias, shift))
    return Convolution(name, source, weight, *full, signed)


def single(operator, channels=1):
    return Graph(channels, (operator,), (operator.name,))


def random_input(rng, *shape):
    """Half of the values 0 or 255, where clipping and the bounds are."""
    return rng.integers(-128, 384, shape).clip(0, 255).astype(np.uint8)


def random_convolution(rng, name, source, channels, result, *, signed):
    """Weights to the bounds, shifts that leave some channels clipped and others not."""
    kernel = int(rng.choice([1, 3]))
    size = int(rng.integers(1, 65))
    weight = rng.integers(-size, size + 1, (result, channels, kernel, kernel)).astype(np.int8)
    spread = 150 * size * np.sqrt(channels * kernel * kernel / 3)
    shift = np.log2(spread / 100) + rng.normal(0, 2, result)
    bias = rng.normal(0, spread, result).clip(-(2**20), 2**20)
    return Convolution(
        name,
        source,
        weight,
        bias.astype(np.int32),
        shift.clip(0, 20).astype(np.int32),
        signed,
    )


def random_graph(rng):
    """Any directed acyclic graph of the operators; all its results are outputs or read."""
    channels = int(rng.integers(1, 20))
    unsigned, signed, operators = {"x": channels}, {}, []
    for n in range(int(rng.integers(3, 9))):
        name = f"t{n}"
        source = str(rng.choice(list(unsigned)))
        changes = [change for change in signed if signed[change] == unsigned[source]]
        kind = rng.choice(["unsigned", "signed", "addition", "addition", "head"])
        if kind == "addition" and changes:
            operators.append(Addition(name, source, str(rng.choice(changes))))
            unsigned[name] = unsigned[source]
        elif kind == "head":
            weight = rng.integers(-64, 65, (int(rng.integers(1, 12)), unsigned[source]))
            bias, exponent = (
                rng.integers(low, high, len(weight)) for low, high in ((-9999, 9999), (0, 9))
            )
            operators.append(
                Head(
                    name,
                    source,
                    weight.astype(np.int8),
                    bias.astype(np.int32),
                    exponent.astype(np.int32),
                )
            )
        else:
            # Results as wide as a tensor that there is, so that additions find a partner.
            width = int(rng.choice([*unsigned.values(), int(rng.integers(1, 40))]))
            operators.append(
                random_convolution(
                    rng, name, source, unsigned[source], width, signed=kind == "signed"
                )
            )
            (signed if kind == "signed" else unsigned)[name] = width
    read = {name for op in operators for name in (op.source, getattr(op, "change", op.source))}
    outputs = [op.name for op in operators if op.name not in read or rng.random() < 0.3]
    return Graph(channels, tuple(operators), tuple(outputs))


def production_graph(rng, channels=71, width=48, parameters=8, pairs=2):
    """The shape that codecs use: entry, residual pairs, head."""

    def convolution(name, source, inputs, kernel, *, signed=False):
        weight = rng.integers(-20, 21, (width, inputs, kernel, kernel)).astype(np.int8)
        bias, shift = rng.integers(-1000, 1000, width), rng.integers(8, 12, width)
        return Convolution(
            name, source, weight, bias.astype(np.int32), shift.astype(np.int32), signed
        )

    operators = [convolution("entry", "x", channels, 1)]
    state = "entry"
    for n in range(pairs):
        operators.append(convolution(f"inner{n}", state, width, 3))
        operators.append(convolution(f"change{n}", f"inner{n}", width, 3, signed=True))
        operators.append(Addition("state" if n == pairs - 1 else f"h{n}", state, f"change{n}"))
        state = operators[-1].name
    weight = rng.integers(-20, 21, (parameters, width)).astype(np.int8)
    bias, exponent = (rng.integers(0, high, parameters).astype(np.int32) for high in (1000, 5))
    operators.append(Head("parameters", state, weight, bias, exponent))
    return Graph(channels, tuple(operators), ("state", "parameters"))
