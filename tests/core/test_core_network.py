"""Networks in the native core give what the NumPy reference gives, with every variant's kernels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from exact_building import production_graph, random_graph, random_input
from xraycodec.core.library import VARIANTS, load, use_variant
from xraycodec.core.network import ADDITION, CONVOLUTION, CoreNetwork, Operator
from xraycodec.errors import LimitError, ModelError, OptionError
from xraycodec.exact.native import CoreInterpreter
from xraycodec.exact.reference import evaluate


def _has(variant: str) -> bool:
    try:
        use_variant(load(), variant)
    except OptionError:
        return False
    finally:
        use_variant(load(), "")
    return True


@pytest.fixture(params=[variant for variant in VARIANTS if _has(variant)])
def variant(request: pytest.FixtureRequest) -> Iterator[str]:
    use_variant(load(), request.param)
    yield request.param
    use_variant(load(), "")


def test_the_plain_variant_is_always_there() -> None:
    assert _has("plain")


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(OptionError, match="variant 'abacus' of the native core is not available"):
        use_variant(load(), "abacus")


@pytest.mark.parametrize("seed", range(40))
def test_any_graph(variant: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng)
    x = random_input(rng, int(rng.integers(1, 3)), graph.channels, *rng.integers(1, 23, 2))
    found, expected = CoreInterpreter(graph)(x), evaluate(graph, x)
    assert list(found) == list(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
        assert found[name].dtype == values.dtype


@pytest.mark.parametrize("width", [8, 16, 23, 48])
@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (5, 4), (33, 7)])
def test_networks_of_the_codecs(variant: str, width: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(width)
    graph = production_graph(rng, channels=23 + width, width=width, parameters=5)
    x = random_input(rng, 1, graph.channels, *shape)
    found, expected = CoreInterpreter(graph)(x), evaluate(graph, x)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def convolution(**changed: object) -> Operator:
    facts: dict[str, object] = {
        "kind": CONVOLUTION,
        "source": 0,
        "channels": 2,
        "weight": np.ones((2, 3, 1, 1), np.int8),
        "bias": np.zeros(2, np.int32),
        "scale": np.zeros(2, np.int32),
    }
    return Operator(**{**facts, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "operator",
    [
        convolution(weight=np.full((2, 3, 1, 1), 65, np.int8)),
        convolution(bias=np.full(2, 1 << 24, np.int32)),
        convolution(bias=np.full(2, -(2**31), np.int32)),
        convolution(scale=np.full(2, 21, np.int32)),
        convolution(scale=np.full(2, -1, np.int32)),
        convolution(source=1),
        convolution(source=-1),
        convolution(kind=3),
        convolution(weight=np.ones((2, 3, 2, 2), np.int8)),
        Operator(ADDITION, 0, 3, 1),
    ],
    ids=[
        *("weight", "sum", "bias", "shift", "shift below 0", "itself", "no tensor", "kind"),
        *("kernel", "addition to itself"),
    ],
)
def test_what_breaks_a_rule_is_refused(operator: Operator) -> None:
    with pytest.raises(ModelError, match="refuses the network"):
        CoreNetwork(3, [operator])


def test_sizes_beyond_the_limits_are_refused() -> None:
    network = CoreNetwork(3, [convolution()])
    with pytest.raises(LimitError, match="too many for one call"):
        network.run(np.broadcast_to(np.uint8(0), (3, 1, (1 << 16) + 1)), [0])
