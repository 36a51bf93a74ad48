"""Packs that do not fit are refused when they are loaded (spec/model-pack.md, section 7)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lattice_building import (
    COEFFICIENTS,
    forget_models,
    members,
    phase_graph,
    properties,
    smooth,
)

from codec_building import CHANNELS, changed_pack, wrong_numbers
from model_folders import stand_in
from xraycodec.codecs.lattice import Lattice
from xraycodec.codecs.lattice.model import CODEC_ID, model_by_digest, model_by_name
from xraycodec.errors import ModelError
from xraycodec.exact.operators import Graph
from xraycodec.exact.pack import named_pack
from xraycodec.pipeline import compress, decompress

Load = Callable[..., None]


@pytest.fixture(scope="module")
def to_onnx() -> Callable[[Graph], bytes]:
    exact_export = pytest.importorskip("xraycodec.training.exact_export", reason="needs onnx")
    convert: Callable[[Graph], bytes] = exact_export.to_onnx
    return convert


@pytest.fixture(scope="module")
def sound(to_onnx: Callable[[Graph], bytes]) -> dict[str, bytes]:
    return members(to_onnx)


@pytest.fixture
def load(sound: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Load a pack that differs from a sound one in what is given."""

    def run(changed: dict[str, Any], codec: str = CODEC_ID, **networks: bytes | None) -> None:
        pack = changed_pack(sound, changed, codec, networks)
        (tmp_path / "lattice-best.xrcpack").write_bytes(pack)
        model_by_name("lattice-best", 1)

    stand_in(monkeypatch, tmp_path, "lattice-best")
    forget_models()
    yield run
    forget_models()


def test_a_sound_pack_loads(load: Load) -> None:
    load(properties(steps=7))
    model = model_by_name("lattice-best", 1)
    assert model is model_by_digest(named_pack("lattice-best").digest, 1)
    assert (model.channels, model.components) == ((CHANNELS,) * 3, 2)
    assert model.parameter_bits == 16


def test_each_set_may_have_a_width_of_its_own(load: Load) -> None:
    load(properties(channels=[CHANNELS] * 3))
    assert model_by_name("lattice-best", 1).channels == (CHANNELS,) * 3
    for wrong in ([CHANNELS] * 2, [CHANNELS, CHANNELS, 0], [CHANNELS, CHANNELS, True], [257] * 3):
        forget_models()
        with pytest.raises(ModelError, match=r"has channels = .* or 3 such numbers"):
            load(properties(channels=wrong))
    forget_models()  # networks of 8 channels do not fit a state of 16
    with pytest.raises(ModelError, match="needed are"):
        load(properties(channels=[CHANNELS, CHANNELS, 2 * CHANNELS]))


def test_another_codec(load: Load) -> None:
    with pytest.raises(ModelError, match="'odd' serves codec 'RNNC', not 'LTTC'"):
        load(properties(), codec="RNNC")


@wrong_numbers
def test_numbers(load: Load, field: str, value: object) -> None:
    said = re.escape(f"'odd' has {field} = {value!r}; allowed are ")
    with pytest.raises(ModelError, match=said):
        load(properties(**{field: value}))


def coefficients(number: int, index: int, values: object) -> list[list[object]]:
    sets: list[list[object]] = [list(phases) for phases in COEFFICIENTS]
    sets[number][index] = values
    return sets


@pytest.mark.parametrize(
    "found",
    [
        None,
        7,
        "coefficients",
        {"0": []},
        [],
        COEFFICIENTS[:2],
        [*COEFFICIENTS, COEFFICIENTS[0]],
        [phases[:2] for phases in COEFFICIENTS],
        coefficients(1, 2, COEFFICIENTS[1][2][:-1]),
        coefficients(1, 2, 128),
        coefficients(0, 0, [8.0] * 16),
        coefficients(0, 0, ["8"] * 16),
        coefficients(0, 0, [True] * 16),
        coefficients(0, 0, [[8]] * 16),
    ],
    ids=lambda value: str(value)[:30],
)
def test_coefficients_of_another_form(load: Load, found: object) -> None:
    with pytest.raises(ModelError, match=r"lacks coefficients, or they are not 3 lists"):
        load(properties(coefficients=found))


@pytest.mark.parametrize(
    "values",
    [[8] * 15 + [9], [128, *[0] * 15], [-128, 127, 127, 2, *[0] * 12], [10**30, *[8] * 15]],
)
def test_coefficients_outside_of_their_bounds(load: Load, values: list[int]) -> None:
    with pytest.raises(ModelError, match="set 2, phase 1 of model pack 'odd' add up to"):
        load(properties(coefficients=coefficients(2, 1, values)))


def test_a_member_is_missing(load: Load) -> None:
    with pytest.raises(ModelError, match=r"'odd' has no member 'set-2-phase-1\.onnx'"):
        load(properties(), set_2_phase_1=None)


def test_a_member_is_no_network(load: Load) -> None:
    with pytest.raises(ModelError):
        load(properties(), set_1_phase_0=b"network")


def test_networks_for_other_sizes(load: Load, to_onnx: Callable[[Graph], bytes]) -> None:
    """What decodes with these would write beyond its arrays."""
    rng = np.random.default_rng(0)
    for graph in (
        phase_graph(rng, 20),
        phase_graph(rng, 16, channels=CHANNELS + 1),
        phase_graph(rng, 16, components=1),
        phase_graph(rng, 16, components=100),
    ):
        with pytest.raises(ModelError, match=r"'set-0-phase-1\.onnx' of model pack 'odd' takes"):
            load(properties(), set_0_phase_1=to_onnx(graph))
        forget_models()


def test_networks_with_other_outputs(load: Load, to_onnx: Callable[[Graph], bytes]) -> None:
    graph = phase_graph(np.random.default_rng(0), 16)
    for outputs in (("parameters",), ("state", "parameters", "h0")):
        changed = Graph(graph.channels, graph.operators, outputs)
        with pytest.raises(ModelError, match=r"needed are 27 and 'state' \(8 channels, unsigned\)"):
            load(properties(), set_1_phase_1=to_onnx(changed))
        forget_models()


def test_outputs_in_any_order(load: Load, to_onnx: Callable[[Graph], bytes]) -> None:
    graph = phase_graph(np.random.default_rng(0), 16)
    changed = Graph(graph.channels, graph.operators, ("parameters", "state"))
    load(properties(), set_1_phase_1=to_onnx(changed))


@pytest.mark.parametrize(("components", "parameter_bits"), [(1, 8), (8, 24), (3, 15)])
def test_any_number_of_components(
    load: Load, to_onnx: Callable[[Graph], bytes], components: int, parameter_bits: int
) -> None:
    found = members(to_onnx, 3, components=components)
    networks = {name[:-5].replace("-", "_"): data for name, data in found.items()}
    load(properties(components=components, parameter_bits=parameter_bits), **networks)
    image = smooth(33, 29, 10)
    result = decompress(compress(image, Lattice(threads=1)), threads=1)
    np.testing.assert_array_equal(result.pixels, image.pixels)
