"""Packs that do not fit are refused when they are loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the tiny model is built with onnx")
import toderici_building as building
from xraycodec import ModelError, Toderici, compress, decompress
from xraycodec.codecs.toderici.model import Model, model_for, named_model
from xraycodec.entropy import FrequencyTables

Load = Callable[..., Model]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """Load the tiny model with properties and members changed, as the codec does."""
    with building.models_in(tmp_path):

        def loaded(**changes: Any) -> Model:
            (tmp_path / f"{building.NAME}.xrcpack").write_bytes(building.tiny_pack(**changes))
            return named_model("compact", 1)

        yield loaded


def test_the_tiny_model(load: Load) -> None:
    model = load()
    assert (model.bits, model.iterations, len(model.tables)) == (10, 12, 480)
    assert model.encoder.channels == (2, 2, 3, 3, 4, 4)
    assert model.decoder.channels == (10, 10, 3, 3, 2, 2, 1, 1)
    shapes = [state.shape for state in model.decoder.start(3, (2, 5))]
    assert shapes[::2] == [(3, 10, 2, 5), (3, 3, 4, 10), (3, 2, 8, 20), (3, 1, 16, 40)]
    assert [state.shape[2:] for state in model.encoder.start(1, (1, 2))][::2] == [
        *((4, 8), (2, 4), (1, 2))
    ]
    assert model_for(model.digest, 1) is model


FEWER = FrequencyTables.from_counts([np.array([1, 1, 1])] * 5, [0] * 5).to_bytes()
THREE_SYMBOLS = FrequencyTables.from_counts([np.array([1, 1, 1, 1])] * 480, [0] * 480).to_bytes()
FROM_ONE = FrequencyTables.from_counts([np.array([1, 1, 1])] * 480, [1] * 480).to_bytes()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"codec": "OTHR"}, "serves codec 'OTHR', not 'TODE'"),
        ({"properties": {"block": 8}}, "has block = 8; allowed are 16 to 16"),
        ({"properties": {"bits": 0}}, "has bits = 0; allowed are 1 to 64"),
        ({"properties": {"bits": 65}}, "has bits = 65"),
        ({"properties": {"bits": "10"}}, "has bits = '10'"),
        ({"properties": {"bits": 8}}, "'encoder.onnx' of .* gives .*; needed are"),
        ({"properties": {"iterations": 33}}, "has iterations = 33; allowed are 1 to 32"),
        ({"properties": {"iterations": True}}, "has iterations = True"),
        ({"properties": {"iterations": None}}, "has iterations = None"),
        ({"properties": {"iterations": 11}}, "480 frequency tables; needed are 11 x 10 x 4 = 440"),
        ({"members": {"encoder.onnx": None}}, r"has no member 'encoder\.onnx'"),
        ({"members": {"decoder.onnx": None}}, r"has no member 'decoder\.onnx'"),
        ({"members": {"frequencies.bin": None}}, r"has no member 'frequencies\.bin'"),
        ({"members": {"frequencies.bin": b"XRFT"}}, "frequency tables of 4 bytes"),
        ({"members": {"frequencies.bin": FEWER}}, "5 frequency tables; needed are 12 x 10 x 4"),
        ({"members": {"frequencies.bin": THREE_SYMBOLS}}, "each of the symbols 0 and 1"),
        ({"members": {"frequencies.bin": FROM_ONE}}, "each of the symbols 0 and 1"),
        ({"members": {"encoder.onnx": b"no network"}}, "'encoder.onnx' of .*: the model has field"),
        (
            {"members": {"encoder.onnx": building.decoder()}},
            "takes b, state_0, .* needed are r, st",
        ),
        (
            {"members": {"encoder.onnx": building.encoder(9)}},
            "'encoder.onnx' of .* gives .*9.*; needed",
        ),
        ({"members": {"decoder.onnx": building.decoder(9)}}, "'b' is declared with 9 channels; it"),
    ],
)
def test_a_pack_that_does_not_fit(load: Load, changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ModelError, match=match):
        load(**changes)


def small_graph(states: dict[str, Any], outputs: tuple[str, ...] = ()) -> bytes:
    """A network that hands its states on, with shapes that a test chooses."""
    graph = building.Graph()
    graph.add("Identity", "b", to="x")
    for name in states:
        graph.add("Identity", name, to=name.replace("state", "next"))
    inputs = {"b": building.BITS, **states}
    given = {name.replace("state", "next").replace("b", "x"): c for name, c in inputs.items()}
    return graph.model(inputs, {k: v for k, v in given.items() if k not in outputs})


STATES = {f"state_{number}": 2 for number in range(8)}


@pytest.mark.parametrize(
    ("network", "match"),
    [
        (small_graph(STATES | {"state_3": "c"}), "'state_3' has 0 channels; allowed are 1 to 4096"),
        (small_graph(STATES | {"state_5": 4097}), "'state_5' has 4097 channels; allowed are"),
        (
            small_graph(STATES | {"state_8": 2}),
            "takes b, state_0, .* state_8; needed are b, state_0",
        ),
        (small_graph({k: v for k, v in STATES.items() if k != "state_7"}), "needed are b, state_0"),
        (small_graph(STATES, ("next_2",)), "gives .*; needed are .*next_2"),
        (small_graph(STATES), r"gives .*'x': Shape\(channels=10, cells=1\).*; needed"),
    ],
)
def test_a_network_of_other_states(load: Load, network: bytes, match: str) -> None:
    with pytest.raises(ModelError, match=match):
        load(members={"decoder.onnx": network})


@pytest.mark.filterwarnings("ignore:.*(overflow|invalid value):RuntimeWarning")
def test_a_network_that_gives_no_numbers(load: Load) -> None:
    load(members={"decoder.onnx": building.decoder(gain=5e37)})
    with pytest.raises(ModelError, match="gives values of 'next_0' that are not"):
        compress(building.waves((20, 20)), Toderici(12, 16))


def test_a_stream_needs_its_own_model(load: Load, tmp_path: Path) -> None:
    load()
    data = compress(building.waves((20, 20)), Toderici(2, 16))
    digest = named_model("compact").digest.hex()
    building.forget_models()
    (tmp_path / f"{building.NAME}.xrcpack").write_bytes(
        building.tiny_pack(properties={"configuration": "another"})
    )
    with pytest.raises(ModelError, match=f"no model pack {digest}"):
        decompress(data)
