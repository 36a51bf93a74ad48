"""RNN-Conv in the paper's widths in Table I: a row, or a reason where its model is missing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from benchmark_building import CROPS, TINY, fake_peer, radiograph, write_data

from rnn_conv_building import PAPER_128, models_in, paper_model_in
from xraycodec.codecs.rnn_conv import RnnConv
from xraycodec.evaluation.benchmark import (
    contestants,
    crop_tasks,
    fingerprints,
    paper_widths,
    plan,
    run,
    tables,
)
from xraycodec.evaluation.benchmark import settings as settings_module
from xraycodec.evaluation.benchmark.document import markdown
from xraycodec.evaluation.benchmark.images import find_images
from xraycodec.evaluation.benchmark.jobs import Context, Job
from xraycodec.evaluation.benchmark.report_crops import crop_blocks
from xraycodec.evaluation.benchmark.settings import FULL, QUICK, Settings
from xraycodec.evaluation.metrics import mse
from xraycodec.image import XRay

KEY = paper_widths.KEY


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Settings over a small data folder, nothing measured yet."""
    monkeypatch.setattr(settings_module, "FULL", TINY)
    monkeypatch.setattr(plan, "CROPS", CROPS)
    monkeypatch.setattr(crop_tasks, "CROPS", CROPS)
    monkeypatch.setattr(contestants, "known_codecs", lambda: ("jpeg2000",))
    monkeypatch.setattr(contestants, "peer", fake_peer)
    for cached in (contestants.contestant, crop_tasks.paper_crops):
        cached.cache_clear()
    yield Settings(write_data(tmp_path / "data"), tmp_path / "out", workers=0)
    contestants.contestant.cache_clear()


@pytest.fixture
def models(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def planned(world, **changes):
    settings = Settings(**{**vars(world), **changes})
    context = Context(settings.data, settings.out, settings.budget.klt_crops)
    return plan.plan(settings, context, find_images(settings))


def with_reason(monkeypatch, why):
    monkeypatch.setattr(paper_widths, "why_not", lambda: why)


def test_its_crops_are_fewer_for_its_cost():
    assert 0 < QUICK.paper_widths_crops < FULL.paper_widths_crops < FULL.crops


def test_it_is_planned_at_128_for_every_ratio_and_changes_no_other_job(world, monkeypatch):
    with_reason(monkeypatch, "not here")
    without = planned(world)
    assert without.unavailable == {KEY: "not here"}
    with_reason(monkeypatch, None)
    found = planned(world)
    assert found.unavailable == {}
    ours = [job for job in found.jobs if job.codec == KEY]
    assert [job for job in found.jobs if job.codec != KEY] == list(without.jobs)
    assert {job.section for job in without.jobs} == {"crops", "figure2", "rd"}
    assert {(job.task, job.section, job.subject) for job in ours} == {
        ("paper-widths", "crops", "128")
    }
    assert [(job.quality, job.first, job.count) for job in ours] == [(2, 0, 2), (8, 0, 2)]


def test_a_budget_of_fewer_crops_holds_for_it_too(world, monkeypatch):
    with_reason(monkeypatch, None)
    images = find_images(world)
    planner = plan._Planner(world, Context(world.data, world.out, 1), images, ())
    monkeypatch.setattr(settings_module, "FULL", replace(TINY, crops=1))
    assert {job.count for job in planner.paper_widths()} == {1}
    large = replace(TINY, crops=500, chunk=50, paper_widths_crops=120)
    monkeypatch.setattr(settings_module, "FULL", large)
    at_8 = [(job.first, job.count) for job in planner.paper_widths() if job.quality == 8]
    assert at_8 == [(0, 50), (50, 50), (100, 20)]


@pytest.mark.parametrize(
    "changes", [{"sections": ("rd", "figure2", "lossless-stage")}, {"codecs": ("jpeg2000",)}]
)
def test_it_is_not_even_tried_where_nobody_asks_for_it(world, monkeypatch, changes):
    def tried():
        raise AssertionError

    monkeypatch.setattr(paper_widths, "why_not", tried)
    found = planned(world, **changes)
    assert found.unavailable == {}
    assert KEY not in {job.codec for job in found.jobs}


def test_the_reason_names_what_to_set(models):
    with models_in(models):
        why = paper_widths.why_not()
    assert why.startswith(f"no model pack {PAPER_128} in {models}; ")
    assert "set XRAYCODEC_MODELS to the folder that holds it" in why
    with paper_model_in(models):
        assert paper_widths.why_not() is None


def test_its_own_model_codes_each_crop_into_a_file(models, monkeypatch, tmp_path):
    crops = np.stack([radiograph(seed, 128).pixels for seed in (1, 2, 3)])
    monkeypatch.setattr(paper_widths, "paper_crops", lambda context, side: crops)
    job = Job("paper-widths", "crops", KEY, "128", 8, first=1, count=2)
    with paper_model_in(models) as digest:
        row = paper_widths.measure(Context(tmp_path, tmp_path, 1), job)["rows"][KEY]
        encoded = [RnnConv(8, 128, 1, "paper").encode(XRay(crop, 8)) for crop in crops[1:]]
    assert {each.header.model for each in encoded} == {digest}
    expected = [mse(crop, each.pixels[0]) for crop, each in zip(crops[1:], encoded, strict=True)]
    assert row["mse"] == pytest.approx(expected)
    assert row["payload_bytes"] == [sum(map(len, each.payloads)) for each in encoded]
    gains = np.subtract(row["file_bytes"], row["payload_bytes"])
    assert (gains > 50).all()
    assert row["missed"] == 0
    assert all(0.5 < value < 1 for value in row["ssim"])


def test_a_file_that_decodes_to_other_pixels_is_a_failure(models, monkeypatch, tmp_path):
    image = radiograph(1, 128)
    monkeypatch.setattr(paper_widths, "paper_crops", lambda context, side: image.pixels[None])
    monkeypatch.setattr(crop_tasks, "decompress", lambda data, threads: image)
    job = Job("paper-widths", "crops", KEY, "128", 64, count=1)
    with (
        paper_model_in(models),
        pytest.raises(ValueError, match="the file of crop 0 decodes to other pixels"),
    ):
        paper_widths.measure(Context(tmp_path, tmp_path, 1), job)


def test_from_the_model_to_the_report(world, models):
    settings = Settings(**{**vars(world), "sections": ("crops",), "codecs": (KEY,)})
    with paper_model_in(models):
        result = run.run_benchmark(settings, lambda doing, done, total: None)
    assert result["failures"] == []
    assert list(result["crops"]) == ["128"]
    rows = result["crops"]["128"]
    assert [(row["ratio"], row["approach"], row["crops"]) for row in rows] == [
        (2, KEY, 2),
        (8, KEY, 2),
    ]
    assert result["core_seconds"]["paper-widths"][KEY] > 0
    text = (world.out / "benchmark.md").read_text()
    assert "In the paper's widths, on 2 crops, and with the distance" in text


def test_its_fingerprint_is_its_own(models, tmp_path, monkeypatch):
    others = ("jpeg2000", "rnn-conv", "toderici")
    with models_in(models):
        before = {key: fingerprints.of_codec(key) for key in (*others, KEY)}
    with paper_model_in(models):
        after = {key: fingerprints.of_codec(key) for key in (*others, KEY)}
    assert {key for key in before if before[key] != after[key]} == {KEY}

    folder = tmp_path / "evaluation" / "benchmark"
    folder.mkdir(parents=True)
    monkeypatch.setattr(fingerprints, "_PACKAGE", tmp_path)
    found = []
    for text in ("1", "2"):
        (folder / "paper_widths.py").write_text(text)
        fingerprints._sources.cache_clear()
        found.append({key: fingerprints.of_codec(key) for key in (*others, KEY)})
    fingerprints._sources.cache_clear()
    assert {key for key in before if found[0][key] != found[1][key]} == {KEY}


def crop_job(key, mse_of_crops, ratio=8, side=128):
    task = "paper-widths" if key == KEY else "crops"
    row = {
        "mse": mse_of_crops,
        "ssim": [0.9] * len(mse_of_crops),
        "file_bytes": [2000.0] * len(mse_of_crops),
        "payload_bytes": [1900.0] * len(mse_of_crops),
        "missed": 0,
    }
    return Job(task, "crops", key, str(side), ratio, 0, len(mse_of_crops)), {"rows": {key: row}}


RESULTS = [
    crop_job("rnn-conv", [4.0, 16.0, 1.0]),
    crop_job("rnn-conv", [4.0], side=256),
    crop_job(KEY, [1.0, 4.0]),
    crop_job(KEY, [1.0, 1.0], ratio=64),
]


def psnr(*errors):
    return sum(10 * math.log10(255**2 / error) for error in errors) / len(errors)


def test_its_row_stands_beside_the_papers_figures_and_compact_on_the_same_crops():
    compact, ours, at_64 = tables.crop_tables(RESULTS)["128"]
    assert [row["approach"] for row in (compact, ours, at_64)] == ["rnn-conv", KEY, KEY]
    assert ours["paper"] == compact["paper"] == {"psnr_db": 35.9325, "ssim": 0.9579}
    assert at_64["paper"] is None
    assert (compact["crops"], ours["crops"]) == (3, 2)
    assert ours["rnn_conv_on_these_crops"]["psnr_db"] == pytest.approx(psnr(4, 16))


def test_the_report_compares_it_with_the_papers_own_figures():
    result = {"crops": tables.crop_tables(RESULTS), "not_available": {}}
    text = markdown(list(crop_blocks(result)))
    ours = psnr(1, 4)
    assert (
        "In the paper's widths, on 2 crops, and with the distance from what the paper reports of"
        f" its own, RNN-Conv has at ratio 8 {ours:.2f} dB ({ours - 35.9325:+.2f}) and SSIM 0.9000"
        " (-0.0579)."
    ) in text
    distance = psnr(4, 16) - ours
    assert f"from RNN-Conv, the paper's widths {distance:+.2f} dB and +0.0000" in text
    assert f"| 8 | RNN-Conv, the paper's widths | {ours:.2f} | 0.9000 |" in text


def test_the_report_says_why_it_is_missing_where_it_belongs():
    result = {"crops": tables.crop_tables(RESULTS[:2]), "not_available": {KEY: "no model pack"}}
    text = markdown(list(crop_blocks(result)))
    first, _, second = text.partition("Table II")
    assert "| 8 | RNN-Conv, the paper's widths: not available (no model pack) |" in first
    assert "not available" not in second
    assert "In the paper's widths, on" not in text
