# ruff: noqa: E402 - imports follow the check for torch
from __future__ import annotations

import json
import shlex
from dataclasses import asdict, replace

import numpy as np
import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch", reason="training needs torch: xraycodec[train]")
from training_building import randomise, wavy_crops

from xraycodec.cli import xrc
from xraycodec.cli.train_toderici import toderici
from xraycodec.entropy import FrequencyTables
from xraycodec.errors import ModelError
from xraycodec.evaluation.crops import CROP_COUNTS
from xraycodec.exact.ort import open_session
from xraycodec.exact.pack import read_pack
from xraycodec.files import write
from xraycodec.image import XRay
from xraycodec.training.loop import loss_of
from xraycodec.training.toderici.export import (
    bit_counts,
    command_of,
    decoder_graph,
    encoder_graph,
    load_network,
)
from xraycodec.training.toderici.loop import Settings, Trainer, draw_spans
from xraycodec.training.toderici.network import (
    BITS,
    COMPACT,
    CONFIGS,
    PAPER,
    Config,
    ConvLSTM2d,
    Toderici,
    binarize,
    detached,
)

TINY = Config("compact", 4, (6, 8, 8), 8, (8, 8, 8, 4))
SETTINGS = Settings(
    segment=32, steps=3, batch=2, span=2, warm_up=1, validate_every=3, validation_crops=2
)


def parameters(config):
    return sum(value.numel() for value in Toderici(config).parameters())


def test_the_papers_widths_are_those_of_figure_1():
    network = Toderici(PAPER)
    shapes = [tuple(layer.input.weight.shape) for layer in network.encoder.layers]
    assert shapes == [(1024, 64, 3, 3), (2048, 256, 3, 3), (2048, 512, 3, 3)]
    shapes = [tuple(layer.input.weight.shape) for layer in network.decoder.layers]
    assert shapes == [(2048, 512, 3, 3), (2048, 128, 3, 3), (1024, 128, 3, 3), (512, 64, 3, 3)]
    kernels = [layer.hidden for layer in (*network.encoder.layers, *network.decoder.layers)]
    assert kernels == [1, 1, 1, 1, 1, 3, 3]
    # At two bytes each the compact network fits the ten megabytes that a package may take.
    assert 2 * parameters(COMPACT) < 10e6 < 2 * parameters(PAPER)


@pytest.mark.parametrize("side", [16, 32, 48])
def test_one_iteration_gives_32_bits_a_block_and_the_whole_image(side):
    network = Toderici(TINY)
    bits, image, states = network.step(torch.rand(2, 1, side, 64), network.start())
    assert bits.shape == (2, BITS, side // 16, 4)
    assert set(bits.detach().unique().tolist()) <= {-1.0, 1.0}
    assert image.shape == (2, 1, side, 64)
    assert [len(group) for group in states] == [3, 4]


def test_the_lstm_follows_its_equations():
    layer = ConvLSTM2d(3, 5, 2, 3)
    randomise(layer, 1, 0.5)
    x, h, c = torch.randn(1, 3, 8, 8), torch.randn(1, 5, 4, 4), torch.randn(1, 5, 4, 4)
    gates = layer.input(x) + layer.recurrent(h)
    f, i, o = (torch.sigmoid(gates[:, k * 5 : (k + 1) * 5]) for k in range(3))
    due = f * c + i * torch.tanh(gates[:, 15:])
    found_h, found_c = layer(x, (h, c))
    torch.testing.assert_close(found_c, due)
    torch.testing.assert_close(found_h, o * torch.tanh(due))


def test_no_state_is_the_state_of_zeros():
    network = randomise(Toderici(TINY), 2)
    r = torch.rand(1, 1, 32, 32)
    none, zeros = network.start(), network.start()
    _, _, shapes = network.step(r, none)
    zeros = tuple(
        [tuple(torch.zeros_like(part) for part in state) for state in group] for group in shapes
    )
    torch.testing.assert_close(network.step(r, none)[1], network.step(r, zeros)[1])


def test_training_draws_bits_whose_mean_is_tanh():
    y = torch.tensor([-2.0, -0.3, 0.0, 0.3, 2.0]).repeat(20_000, 1)
    noise = torch.rand(y.shape, generator=torch.Generator().manual_seed(3))
    drawn = binarize(y, noise)
    assert set(drawn.unique().tolist()) == {-1.0, 1.0}
    torch.testing.assert_close(drawn.mean(0), torch.tanh(y[0]), atol=0.02, rtol=0)


def test_deployed_bits_are_signs_and_gradients_pass_as_of_tanh():
    y = torch.tensor([-2.0, -0.1, 0.0, 0.1], requires_grad=True)
    bits = binarize(y, None)
    assert bits.tolist() == [-1, -1, 1, 1]
    bits.sum().backward()
    torch.testing.assert_close(y.grad, 1 - torch.tanh(y.detach()) ** 2)


def test_spans_are_between_one_and_all():
    rng = np.random.default_rng(0)
    drawn = [draw_spans(rng, 4) for _ in range(4000)]
    shares = [drawn.count(k) / 4000 for k in range(1, 5)]
    assert shares == pytest.approx([0.5, 0.25, 0.125, 0.125], abs=0.03)


def test_no_gradient_passes_detached_states():
    network = Toderici(TINY)
    _, _, states = network.step(torch.rand(1, 1, 16, 16), network.start())
    _, image, _ = network.step(torch.rand(1, 1, 16, 16), detached(states))
    image.sum().backward()
    assert not any(part.requires_grad for group in detached(states) for s in group for part in s)


def test_losses():
    residual = torch.tensor([0.1, -0.3]).view(2, 1, 1, 1)
    assert float(loss_of("l1", residual, torch.zeros(()))) == pytest.approx(0.2)
    due = np.log([0.01 + 2e-6, 0.09 + 2e-6]).mean()
    assert float(loss_of("log-mse", residual, torch.zeros(()))) == pytest.approx(due, rel=1e-5)


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_exported_graphs_compute_what_torch_does(part):
    network = randomise(Toderici(TINY), 4).eval()
    for value in network.parameters():  # the graphs store float16
        if value.ndim == 4:
            value.data = value.data.half().float()
    build = {"encoder": encoder_graph, "decoder": decoder_graph}[part]
    session = open_session(build(getattr(network, part)), 1)
    names = [value.name for value in session.get_inputs()]
    outputs = [value.name for value in session.get_outputs()]
    count = {"encoder": 6, "decoder": 8}[part]
    assert names == [{"encoder": "r", "decoder": "b"}[part], *(f"state_{k}" for k in range(count))]
    assert outputs == [
        {"encoder": "bits", "decoder": "x"}[part],
        *(f"next_{k}" for k in range(count)),
    ]
    x = torch.randn(2, 1, 32, 48) if part == "encoder" else torch.randn(2, BITS, 2, 3).sign()
    states = [None] * (count // 2)
    layers = getattr(network, part).layers
    sides = [(8, 12), (4, 6), (2, 3)] if part == "encoder" else [(2, 3), (4, 6), (8, 12), (16, 24)]
    fed = [
        np.zeros((2, layer.channels, *side), np.float32)
        for layer, side in zip(layers, sides, strict=True)
        for _ in range(2)
    ]
    for _ in range(3):
        with torch.no_grad():
            due, states = getattr(network, part)(x, states)
        found, *fed = session.run(None, dict(zip(names, [x.numpy(), *fed], strict=True)))
        np.testing.assert_allclose(found, due.numpy(), atol=2e-5)
        for ours, theirs in zip(fed, [part for state in states for part in state], strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), atol=2e-5)


def test_bits_are_counted_under_the_two_before_them():
    network = Toderici(TINY).eval()
    crops = wavy_crops(3, 32)
    counts = bit_counts(network, crops, batch=2)
    assert counts.shape == (32, BITS, 4, 2)
    assert (counts.sum((2, 3)) == 3 * 4).all()
    assert not counts[0, :, 1:].any()  # nothing before the first
    assert not counts[1, :, [1, 3]].any()  # one before the second
    ones = counts[0, :, 0, 1]
    assert (counts[1, :, 2].sum(-1) == ones).all()


@pytest.fixture
def small(monkeypatch):
    for split, count in (("train", 8), ("validation", 3)):
        monkeypatch.setitem(CROP_COUNTS, split, count)
    monkeypatch.setitem(CONFIGS, "compact", TINY)


def trained(folder, settings, *, stop=None):
    folder.mkdir(exist_ok=True)
    trainer = Trainer(replace(settings, steps=stop or settings.steps), *crop_sets(), folder)
    if trainer.checkpoint.exists():
        trainer.resume()
    trainer.run(lambda line: None)
    return trainer


def crop_sets():
    return wavy_crops(6, 32), wavy_crops(3, 32, seed=1)


def test_a_resumed_run_ends_as_an_unbroken_one(tmp_path, small):
    settings = replace(SETTINGS, warm_up=100, learning_rate=1e-2)
    whole = trained(tmp_path / "whole", settings)
    # Learning rates follow the share of the schedule, so the first part is stopped, not shortened.
    broken = Trainer(settings, *crop_sets(), tmp_path)
    broken._batch()
    broken.step = 1
    broken.save()
    again = Trainer(settings, *crop_sets(), tmp_path)
    again.resume()
    again.run(lambda line: None)
    for name, value in whole.network.state_dict().items():
        torch.testing.assert_close(again.network.state_dict()[name], value, rtol=0, atol=0)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 3
    assert set(lines[-1]["psnr_db"]) == {"1", "2", "4", "8", "16", "32"}


def test_training_learns(tmp_path, small):
    settings = replace(SETTINGS, steps=60, learning_rate=3e-3, loss="log-mse", validate_every=60)
    first = trained(tmp_path, settings, stop=1)
    start = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])["psnr_db"]
    trainer = trained(tmp_path, settings)
    end = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])["psnr_db"]
    assert first.step == 1
    assert trainer.step == 60
    assert end["1"] > start["1"] + 1


def test_other_checkpoints_are_refused(tmp_path, small):
    trainer = trained(tmp_path, SETTINGS, stop=1)
    trainer.settings = replace(SETTINGS, config="paper")
    with pytest.raises(ModelError, match="configuration 'compact'; this run is 1, 'paper'"):
        trainer.resume()


def test_the_command_trains_resumes_and_exports_a_pack(tmp_path, small):
    folder = tmp_path / "nih" / "images_001" / "images"
    folder.mkdir(parents=True)
    for patient, pixels in zip((1, 2, 3, 8, 19, 49), wavy_crops(6, 144), strict=True):
        write(XRay(pixels, 8), folder / f"{patient:08}_000.png")
    out = tmp_path / "runs" / "one"
    arguments = ["train", "toderici", "--data", str(tmp_path / "nih"), "--out", str(out)]
    arguments += ["--segment", "32", "--batch", "2", "--span", "2", "--steps", "2", "--augment"]
    for stderr in ("", "resuming"):
        result = CliRunner().invoke(xrc, arguments, standalone_mode=False, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        assert stderr in result.stderr
    pack = read_pack(out / "toderici-compact.xrcpack")
    assert pack.codec == "TODE"
    assert pack.properties["bits"] == BITS
    assert set(pack.members) == {"encoder.onnx", "decoder.onnx", "frequencies.bin"}
    tables = FrequencyTables.from_bytes(pack.members["frequencies.bin"])
    assert len(tables) == 32 * BITS * 4
    card = (out / "toderici-compact.md").read_text()
    assert "--augment" in card
    assert "| 64 | 1 |" in card

    other = tmp_path / "runs" / "two"
    start = ["--init", str(out / "toderici-compact.safetensors")]
    arguments[arguments.index(str(out))] = str(other)
    result = CliRunner().invoke(xrc, [*arguments, *start], standalone_mode=False)
    assert result.exit_code == 0, result.output


def test_the_cards_command_gives_the_same_settings(tmp_path):
    settings = replace(SETTINGS, augment=True, minutes=3.0, loss="log-mse")
    command = command_of({**asdict(settings), "step": 3}).replace("DATA", str(tmp_path))
    words = shlex.split(command)
    assert words[:3] == ["xrc", "train", "toderici"]
    found = toderici.make_context("toderici", words[3:]).params
    assert int(found.pop("segment")) == settings.segment
    assert int(found.pop("span")) == settings.span
    for name in ("augment", "minutes", "loss", "seed", "batch", "learning_rate", "warm_up"):
        assert found[name] == getattr(settings, name)


def test_load_network_takes_the_average(tmp_path, small):
    trainer = trained(tmp_path, replace(SETTINGS, ema=0.5))
    network, training = load_network(trainer.checkpoint)
    assert training["step"] == 3
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, trainer.average[name])
