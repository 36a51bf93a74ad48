"""Packs that do not fit are refused when they are loaded (spec/wavelet.md, section 5)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from wavelet_building import (
    CORRECTIONS,
    cell_graph,
    finish_graph,
    forget_models,
    members,
    mixtures,
    properties,
    smooth,
)

from codec_building import CHANNELS, changed_pack, wrong_numbers
from model_folders import stand_in
from xraycodec.codecs.wavelet import Wavelet
from xraycodec.codecs.wavelet.model import CODEC_ID, model_by_digest, model_by_name
from xraycodec.errors import ModelError
from xraycodec.exact.operators import Graph
from xraycodec.exact.pack import named_pack
from xraycodec.pipeline import compress, decompress, verify

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
        (tmp_path / "wavelet.xrcpack").write_bytes(pack)
        model_by_name("wavelet", 1)

    stand_in(monkeypatch, tmp_path, "wavelet")
    forget_models()
    yield run
    forget_models()


def test_a_sound_pack_loads(load: Load) -> None:
    load(properties(training={"steps": 7}))
    model = model_by_name("wavelet", 1)
    assert model is model_by_digest(named_pack("wavelet").digest, 1)
    assert (model.channels, model.components, model.parameter_bits) == (CHANNELS, 2, 16)
    assert [len(phases) for phases in model.phases] == [4, 4, 4]
    assert len(model.syntheses) == 3


@pytest.mark.parametrize("sets", [1, 2, 5, 8])
def test_sets_are_as_many_as_the_pack_says(
    load: Load, to_onnx: Callable[[Graph], bytes], sets: int
) -> None:
    wanted = members(to_onnx, sets=sets)
    missing = {name.removesuffix(".onnx"): wanted.get(name) for name in members(to_onnx) | wanted}
    load(properties(sets=sets), **missing)
    model = model_by_name("wavelet", 1)
    assert (len(model.phases), len(model.syntheses)) == (sets, sets)


@pytest.mark.parametrize("sets", [0, 9, -1, True, "3", 2.0])
def test_sets_out_of_range(load: Load, sets: object) -> None:
    with pytest.raises(ModelError, match=r"has sets = .*; allowed are 1 to 8"):
        load(properties(sets=sets))


def test_another_codec(load: Load) -> None:
    with pytest.raises(ModelError, match="'odd' serves codec 'LTTC', not 'WAVE'"):
        load(properties(), codec="LTTC")


@wrong_numbers
def test_numbers(load: Load, field: str, value: object) -> None:
    said = re.escape(f"'odd' has {field} = {value!r}; allowed are ")
    with pytest.raises(ModelError, match=said):
        load(properties(**{field: value}))


@pytest.mark.parametrize("member", ["set_2_phase_3", "set_0_synthesis", "finish"])
def test_a_member_is_missing(load: Load, member: str) -> None:
    name = member.replace("_", "-")
    with pytest.raises(ModelError, match=rf"'odd' has no member '{name}\.onnx'"):
        load(properties(), **{member: None})


def test_a_member_is_no_network(load: Load) -> None:
    with pytest.raises(ModelError):
        load(properties(), set_1_phase_0=b"network")


def graphs(rng: np.random.Generator) -> dict[str, list[Graph]]:
    """For each kind of member, networks that are sound but do not fit it."""
    return {
        "set_0_phase_1": [
            cell_graph(rng, mixtures(), CHANNELS + 1),
            cell_graph(rng, mixtures(1)),
            cell_graph(rng, CORRECTIONS),
            cell_graph(rng, mixtures(), carry=False),
        ],
        "set_1_synthesis": [
            cell_graph(rng, CORRECTIONS - 4),
            cell_graph(rng, CORRECTIONS, features=21),
        ],
        "finish": [
            cell_graph(rng, 4, features=10),
            finish_graph(rng, 16),
        ],
    }


@pytest.mark.parametrize("member", ["set_0_phase_1", "set_1_synthesis", "finish"])
def test_networks_for_other_sizes(
    load: Load, to_onnx: Callable[[Graph], bytes], member: str
) -> None:
    """What decodes with these would read and write beyond its arrays."""
    name = member.replace("_", "-")
    for graph in graphs(np.random.default_rng(0))[member]:
        with pytest.raises(ModelError, match=rf"'{name}\.onnx' of model pack 'odd' takes"):
            load(properties(), **{member: to_onnx(graph)})
        forget_models()


def test_outputs_in_any_order(load: Load, to_onnx: Callable[[Graph], bytes]) -> None:
    graph = cell_graph(np.random.default_rng(0), mixtures())
    changed = Graph(graph.channels, graph.operators, ("numbers", "state"))
    load(properties(), set_1_phase_1=to_onnx(changed))


@pytest.mark.parametrize(("components", "parameter_bits"), [(1, 8), (8, 24)])
def test_any_number_of_components(
    load: Load, to_onnx: Callable[[Graph], bytes], components: int, parameter_bits: int
) -> None:
    found = members(to_onnx, 3, components=components)
    networks = {name[:-5].replace("-", "_"): data for name, data in found.items()}
    load(properties(components=components, parameter_bits=parameter_bits), **networks)
    data = compress(smooth(33, 29, 10), Wavelet(threads=1))
    decompress(data, threads=1)
    assert verify(data, threads=1).identical
