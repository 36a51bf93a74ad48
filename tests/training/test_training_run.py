# ruff: noqa: E402 - imports follow the check for torch
from __future__ import annotations

import json
import shlex
from dataclasses import asdict, replace

import numpy as np
import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch", reason="training needs torch: xraycodec[train]")

from training_building import TINY, wavy_crops

from xraycodec.cli import xrc
from xraycodec.cli.train import rnn_conv
from xraycodec.codecs.rnn_conv import model as codec_model
from xraycodec.codecs.rnn_conv.codec import RnnConv
from xraycodec.evaluation.crops import CROP_COUNTS
from xraycodec.exact import pack as pack_module
from xraycodec.exact.pack import read_pack
from xraycodec.files import write
from xraycodec.image import XRay
from xraycodec.training.export import load_network
from xraycodec.training.loop import Settings, Trainer
from xraycodec.training.model_card import command_of
from xraycodec.training.network import CONFIGS, RNNConv
from xraycodec.training.weights import load_weights

SETTINGS = Settings(segment=32, steps=4, batch=2, learning_rate=1e-3, warm_up=1, validate_every=2)


@pytest.fixture(scope="module")
def nih(tmp_path_factory):
    """Six patients' images in NIH's own layout: of these, 49 tests, 8 and 19 validate."""
    folder = tmp_path_factory.mktemp("nih") / "images_001" / "images"
    folder.mkdir(parents=True)
    for patient, pixels in zip((1, 2, 3, 8, 19, 49), wavy_crops(6, 144), strict=True):
        write(XRay(pixels, 8), folder / f"{patient:08}_000.png")
    return folder.parents[1]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Few crops and narrow layers."""
    for split, count in (("train", 8), ("validation", 3)):
        monkeypatch.setitem(CROP_COUNTS, split, count)
    monkeypatch.setitem(CONFIGS, "compact", TINY)


def run(nih, out, *options):
    arguments = ["train", "rnn-conv", "--data", str(nih), "--out", str(out), "--batch", "2"]
    result = CliRunner().invoke(
        xrc, [*arguments, *map(str, options)], standalone_mode=False, catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return result


def averaged_weights(out):
    return torch.load(out / "checkpoint.pt", weights_only=True)["average"]


def same_weights(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


@pytest.fixture(scope="module")
def finished(nih, tmp_path_factory):
    """A folder after ``xrc train rnn-conv --steps 3``."""
    out = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        for split, count in (("train", 8), ("validation", 3)):
            patch.setitem(CROP_COUNTS, split, count)
        patch.setitem(CONFIGS, "compact", TINY)
        run(nih, out, "--steps", 3, "--validate-every", 2, "--seed", 5)
    return out


def test_a_run_leaves_its_settings_metrics_checkpoint_pack_and_card(finished):
    assert {path.name for path in finished.iterdir()} == {
        "settings.json",
        "metrics.jsonl",
        "checkpoint.pt",
        "rnn-conv-compact-128.safetensors",
        "rnn-conv-compact-128.xrcpack",
        "rnn-conv-compact-128.md",
    }
    settings = Settings(**json.loads((finished / "settings.json").read_text()))
    assert (settings.steps, settings.batch, settings.segment, settings.seed) == (3, 2, 128, 5)


def test_the_metrics_are_json_lines(finished):
    lines = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 3]
    for line in lines:
        assert line["steps"] == 3
        assert line["loss"] > 0
        assert [int(beta) for beta in line["psnr_db"]] == [128, 64, 32, 16, 8, 4, 2, 1]
        assert all(0 < psnr < 100 for psnr in line["psnr_db"].values())


@pytest.fixture
def fresh_caches():
    """Packs are cached by digest and name, which a changed search path must not see."""
    cached = (pack_module.find_pack, pack_module.named_pack, codec_model._load)
    for function in cached:
        function.cache_clear()
    yield
    for function in cached:
        function.cache_clear()


def test_the_pack_serves_the_codec(finished, fresh_caches):
    path = finished / "rnn-conv-compact-128.xrcpack"
    pack = read_pack(path)
    assert (pack.name, pack.codec) == ("rnn-conv-compact-128", "RNNC")
    assert pack.properties["training"]["step"] == 3
    encoded = RnnConv(tile=128, model=path).encode(XRay(wavy_crops(1, 70)[0], 8))
    assert encoded.header.model == pack.digest


def test_the_card_names_the_pack_and_its_validation(finished):
    card = (finished / "rnn-conv-compact-128.md").read_text()
    last = json.loads((finished / "metrics.jsonl").read_text().splitlines()[-1])
    assert "# rnn-conv-compact-128" in card
    assert f"| 8 | 32 | {last['psnr_db']['32']:.2f} |" in card
    assert "seed 5" in card


@pytest.mark.parametrize(
    "settings", [Settings(), Settings(augment=True, start="linear", compile=True)]
)
def test_the_cards_command_is_one_that_the_command_line_takes(tmp_path, settings):
    (tmp_path / "DATA").mkdir()
    words = shlex.split(command_of(asdict(settings)).replace("DATA", str(tmp_path / "DATA")))
    assert words[:3] == ["xrc", "train", "rnn-conv"]
    parsed = rnn_conv.make_context("rnn-conv", words[3:]).params
    parsed["compile"], parsed["segment"] = parsed["compiled"], int(parsed["segment"])
    for key, value in asdict(settings).items():
        if key not in ("ema", "checkpoint_seconds"):
            assert parsed[key] == value, key


def test_the_same_seed_gives_the_same_pack(nih, finished, tmp_path):
    run(nih, tmp_path / "run", "--steps", 3, "--validate-every", 2, "--seed", 5)
    name = "rnn-conv-compact-128.xrcpack"
    assert (tmp_path / "run" / name).read_bytes() == (finished / name).read_bytes()


def test_an_interrupted_run_goes_on_as_if_unbroken(nih, tmp_path):
    # Rates do not depend on the number of steps while they warm up.
    run(nih, tmp_path / "a", "--steps", 4)
    run(nih, tmp_path / "b", "--steps", 2)
    resumed = run(nih, tmp_path / "b", "--steps", 4)
    assert "at step 2" in resumed.stderr
    due = averaged_weights(tmp_path / "a")
    same_weights(due, averaged_weights(tmp_path / "b"))
    network, training = load_network(tmp_path / "b" / "checkpoint.pt")
    same_weights(due, network.state_dict())
    assert training["step"] == 4


def test_a_run_that_is_killed_resumes_from_its_last_checkpoint(tmp_path):
    def killed(line):
        raise KeyboardInterrupt

    settings = replace(SETTINGS, augment=True)
    crops = wavy_crops(8, 32)

    def trainer(name, **changes):
        (tmp_path / name).mkdir(exist_ok=True)
        return Trainer(replace(settings, **changes), crops, crops[:3], tmp_path / name)

    unbroken = trainer("unbroken")
    unbroken.run(lambda line: None)
    with pytest.raises(KeyboardInterrupt):
        trainer("broken", checkpoint_seconds=0.0).run(killed)
    resumed = trainer("broken")
    resumed.resume()
    assert 1 <= resumed.step < settings.steps
    resumed.run(lambda line: None)
    same_weights(unbroken.network.state_dict(), resumed.network.state_dict())
    same_weights(unbroken.average, resumed.average)


def test_a_run_can_start_from_another_ones_average(nih, finished, tmp_path):
    run(nih, tmp_path / "run", "--steps", 1, "--init", finished / "checkpoint.pt")
    before, after = averaged_weights(finished), averaged_weights(tmp_path / "run")
    moved = [
        float((after[name] - before[name]).abs().max()) for name in before if name.endswith("bias")
    ]
    assert 0 < max(moved) < 0.01


def test_what_is_exported_can_lie_between_the_start_and_the_end(nih, finished, tmp_path):
    start = finished / "rnn-conv-compact-128.safetensors"
    packs = {}
    for mixing in (1e-9, 0.5, 1):
        out = tmp_path / f"run-{mixing}"
        run(nih, out, "--steps", 2, "--init", start, "--mixing", mixing, "--learning-rate", 0.05)
        packs[mixing] = RNNConv(TINY)
        load_weights(packs[mixing], out / start.name)
    biases = [
        {n: p for n, p in packs[mixing].named_parameters() if n.endswith("bias")}
        for mixing in (1e-9, 0.5, 1)
    ]
    assert any(not torch.allclose(biases[0][n], biases[2][n]) for n in biases[0])
    for name in biases[0]:
        middle = (biases[0][name] + biases[2][name]) / 2
        torch.testing.assert_close(biases[1][name], middle, atol=1e-6, rtol=1e-5)
    beginning = RNNConv(TINY)
    load_weights(beginning, start)
    for name, value in beginning.named_parameters():
        if name.endswith("bias"):
            torch.testing.assert_close(biases[0][name], value, atol=1e-6, rtol=0)
    card = (tmp_path / "run-0.5" / start.name).with_suffix(".md").read_text()
    assert "--mixing 0.5" in card
    assert "0.5 of the way" in card


def test_no_steps_export_what_they_start_from(nih, finished, tmp_path):
    out = tmp_path / "run"
    run(nih, out, "--steps", 0, "--init", finished / "rnn-conv-compact-128.safetensors")
    exported = RNNConv(TINY)
    load_weights(exported, out / "rnn-conv-compact-128.safetensors")
    assert exported.quantiser.remainder.any()
    (line,) = (out / "metrics.jsonl").read_text().splitlines()
    card = (out / "rnn-conv-compact-128.md").read_text()
    assert f"| 256 | 1 | {json.loads(line)['psnr_db']['1']:.2f} |" in card


def test_no_steps_need_a_start(nih, tmp_path):
    arguments = ["train", "rnn-conv", "--data", nih, "--out", tmp_path, "--steps", 0]
    result = CliRunner().invoke(xrc, list(map(str, arguments)))
    assert result.exit_code == 2
    assert "--steps 0 exports the weights of --init" in result.output


def test_mixing_needs_a_start(nih, tmp_path):
    arguments = ["train", "rnn-conv", "--data", nih, "--out", tmp_path, "--mixing", 0.5]
    result = CliRunner().invoke(xrc, list(map(str, arguments)))
    assert result.exit_code == 2
    assert "--init" in result.output


def test_the_average_follows_the_weights(tmp_path):
    settings = replace(SETTINGS, steps=1)
    trainer = Trainer(settings, wavy_crops(8, 32), wavy_crops(3, 32), tmp_path)
    start = {name: value.clone() for name, value in trainer.average.items()}
    trainer.run(lambda line: None)
    decay = 2 / 11  # of the first step
    for name, value in trainer.network.state_dict().items():
        torch.testing.assert_close(trainer.average[name], start[name].lerp(value, 1 - decay))


def test_an_unusable_folder_is_an_error_of_the_command_line(tmp_path):
    result = CliRunner().invoke(
        xrc, ["train", "rnn-conv", "--data", str(tmp_path), "--out", str(tmp_path / "run")]
    )
    assert result.exit_code == 1
    assert "no train images" in result.output
    assert isinstance(result.exception, SystemExit)


def test_an_image_smaller_than_a_crop_is_an_error_of_the_command_line(tmp_path):
    for patient in (1, 8, 49):
        write(XRay(np.zeros((100, 200), np.uint8), 8), tmp_path / f"{patient:08}_000.png")
    result = CliRunner().invoke(
        xrc, ["train", "rnn-conv", "--data", str(tmp_path), "--out", str(tmp_path / "run")]
    )
    assert result.exit_code == 1
    assert "smaller than a crop" in result.output
