"""Runs of lattice's and wavelet's networks: schedule, average, checkpoints, weights of others."""

# ruff: noqa: E402 - imports follow the check for torch
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: xraycodec[train]")

from session_building import KINDS, LATTICE, Kind

from xraycodec.errors import ModelError
from xraycodec.training import session


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


def test_a_killed_run_goes_on_as_an_unbroken_one(kind: Kind, tmp_path: Path) -> None:
    def kill(line: session.Progress) -> None:
        if line.step == 4:
            raise KeyboardInterrupt

    whole = kind.trainer(tmp_path / "whole")
    whole.run(lambda line: None)
    first = kind.trainer(tmp_path / "parts", replace(kind.settings, checkpoint_seconds=0))
    with pytest.raises(KeyboardInterrupt):
        first.run(kill)
    second = kind.trainer(tmp_path / "parts")
    second.resume()
    assert second.step == 3
    second.run(lambda line: None)
    assert second.step == whole.step == 4
    for name, value in whole.average.items():
        assert torch.equal(value, second.average[name]), name
    assert not list(tmp_path.glob("*/*.partial"))


def test_a_checkpoint_of_other_sizes_is_refused(kind: Kind, tmp_path: Path) -> None:
    kind.trainer(tmp_path / "run").save()
    other = kind.trainer(tmp_path / "run", replace(kind.settings, shape=kind.wider))
    with pytest.raises(ModelError, match="channels"):
        other.resume()


def test_a_checkpoint_of_another_version_is_refused(kind: Kind, tmp_path: Path) -> None:
    run = kind.trainer(tmp_path / "run")
    run.save()
    state = torch.load(run.checkpoint, weights_only=True)
    torch.save({**state, "version": 2}, run.checkpoint)
    with pytest.raises(ModelError, match=r"checkpoint version 2; this run has .*, 1"):
        run.resume()


def test_weights_to_go_on_from(kind: Kind, tmp_path: Path) -> None:
    run = kind.trainer(tmp_path / "run")
    run.run(lambda line: None)
    file = tmp_path / "w.safetensors"
    kind.save_weights(run.average, run.settings.shape, file)
    for source in (file, run.checkpoint):
        other = kind.trainer(tmp_path / "other", replace(kind.settings, seed=1))
        other.start_from(source)
        assert other.step == 0
        for name, value in run.average.items():
            assert torch.equal(value, other.average[name])
            assert torch.equal(value, other.network.state_dict()[name])
    with pytest.raises(ModelError, match="channels"):
        kind.load_weights(file, kind.wider)
    for path in (run.checkpoint, tmp_path / "none.safetensors"):
        with pytest.raises(ModelError, match="no weights"):
            kind.load_weights(path, run.settings.shape)


def test_metrics_are_the_lines_that_are_reported(kind: Kind, tmp_path: Path) -> None:
    run = kind.trainer(tmp_path / "run", replace(kind.settings, validate_every=3))
    seen: list[Any] = []
    run.run(seen.append)
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    assert [line["step"] for line in lines] == [line.step for line in seen] == [3, 4]
    for line in lines:
        assert list(line)[:5] == [
            "step", "loss", "learning_rate", "megapixels_per_second", "minutes",
        ]  # fmt: skip
        assert line["loss"] > 0


def test_a_schedule_ends_by_steps_or_by_time() -> None:
    assert session.share_done(LATTICE, 1, 99.0) == 0.25
    limited = replace(LATTICE, minutes=10.0)
    assert session.share_done(limited, 1, 2.0) == 0.25
    assert session.share_done(limited, 1, 5.0) == 0.5
    assert session.share_done(limited, 5, 0.0) == session.share_done(limited, 0, 11.0) == 1


def test_learning_rates_warm_up_and_fall_to_a_hundredth() -> None:
    settings = replace(LATTICE, learning_rate=1.0, warm_up=4)
    rates = [session.learning_rate_at(settings, step, 0.0) for step in range(6)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])
    rates = [session.learning_rate_at(settings, 9, share) for share in (0.5, 1.0)]
    assert rates == pytest.approx([0.505, 0.01])
    assert session.learning_rate_at(replace(settings, warm_up=0), 0, 0.0) == 1


def test_averages_follow_fast_at_first() -> None:
    network = torch.nn.Linear(1, 1)
    for steps, decay in ((1, 0.1), (11, 0.55), (10**6, 0.9)):
        average = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
        session.follow(average, network, 0.9, steps)
        for name, value in network.state_dict().items():
            torch.testing.assert_close(average[name], (1 - decay) * value)


def test_a_step_is_of_the_given_rate_and_clipped() -> None:
    network = torch.nn.Linear(1, 1)
    before = session.weights_of(network)
    optimiser = torch.optim.SGD(network.parameters(), 99.0)
    loss = 30 * network.weight.sum() + 40 * network.bias.sum()
    assert session.descend(network, optimiser, loss, 0.1) == pytest.approx(float(loss.detach()))
    moved = {name: before[name] - value for name, value in network.state_dict().items()}
    assert float(moved["weight"]) == pytest.approx(0.06, rel=1e-4)
    assert float(moved["bias"]) == pytest.approx(0.08, rel=1e-4)
