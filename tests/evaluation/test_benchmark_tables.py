from __future__ import annotations

import math

import pytest

from xraycodec.evaluation.benchmark import tables
from xraycodec.evaluation.benchmark.jobs import Job
from xraycodec.evaluation.benchmark.paper import RATIOS, SEGMENTS, TABLES, reported


def crop_job(first, rows, side=128, ratio=8):
    job = Job("crops", "crops", "rnn-conv", str(side), ratio, first, 2)
    return job, {"rows": rows}


def row(mse, ssim, file_bytes, payload_bytes=None, missed=0):
    return {
        "mse": mse,
        "ssim": ssim,
        "file_bytes": file_bytes,
        "payload_bytes": payload_bytes,
        "missed": missed,
    }


def test_crop_rows_join_the_parts_of_their_jobs():
    results = [
        crop_job(0, {"rnn-conv": row([0.0, 4.0], [1.0, 0.9], [1000, 3000], [900, 2900])}),
        crop_job(2, {"rnn-conv": row([16.0], [0.8], [2000], [1900], missed=1)}),
    ]
    found = tables.crop_tables(results)
    assert list(found) == ["128"]
    (only,) = found["128"]
    psnr = [100.0, 10 * math.log10(255**2 / 4), 10 * math.log10(255**2 / 16)]
    assert only["psnr_db"] == pytest.approx(sum(psnr) / 3)
    assert only["pooled_psnr_db"] == pytest.approx(10 * math.log10(255**2 / (20 / 3)))
    assert only["ssim"] == pytest.approx(0.9)
    assert only["file_ratio"] == pytest.approx(3 * 128**2 / 6000)
    assert only["payload_ratio"] == pytest.approx(3 * 128**2 / 5700)
    assert (only["crops"], only["missed"], only["exact"]) == (3, 1, 1)
    assert only["paper"] == {"psnr_db": 35.9325, "ssim": 0.9579}


def test_crop_rows_are_in_the_papers_order_and_go_on_past_its_ratios():
    rows = {"klt": row([1.0], [0.9], [100.0]), "toderici": row([1.0], [0.9], [100], [90])}
    results = [crop_job(0, rows, 256, ratio) for ratio in (64, 2)]
    found = tables.crop_tables(results)["256"]
    assert [(r["ratio"], r["approach"]) for r in found] == [
        (2, "toderici"),
        (2, "klt"),
        (64, "toderici"),
        (64, "klt"),
    ]
    assert found[0]["paper"]["psnr_db"] == 31.9197
    assert [r["paper"] for r in found[1:]] == [None, None, None]
    assert found[1]["payload_ratio"] is None


def test_rnn_conv_is_compared_on_the_crops_that_the_other_has():
    rows = {"rnn-conv": row([1.0, 4.0], [0.9, 0.7], [100, 100], [90, 90])}
    results = [
        crop_job(0, rows),
        crop_job(0, {"toderici": row([16.0], [0.5], [100], [90])}),
    ]
    toderici, ours = tables.crop_tables(results)["128"]
    assert toderici["rnn_conv_on_these_crops"] == {
        "psnr_db": pytest.approx(10 * math.log10(255**2)),
        "ssim": 0.9,
    }
    assert ours["rnn_conv_on_these_crops"]["psnr_db"] == pytest.approx(ours["psnr_db"])
    (alone,) = tables.crop_tables(results[1:])["128"]
    assert alone["rnn_conv_on_these_crops"] is None


def test_a_row_without_any_crop_says_so():
    (only,) = tables.crop_tables([crop_job(0, {"jpeg2000": row([], [], [], missed=3)}, ratio=64)])[
        "128"
    ]
    assert only["crops"] == 0
    assert only["missed"] == 3
    assert "psnr_db" not in only


def test_the_papers_tables_are_whole():
    for side in SEGMENTS:
        assert set(TABLES[side]) == {"toderici", "jpeg2000", "rnn-conv"}
        assert all(tuple(rows) == RATIOS for rows in TABLES[side].values())
    assert reported(128, "rnn-conv", 16) is None
    assert reported(128, "klt", 2) is None


def rate_job(codec, image, quality, rate, psnr):
    metrics = dict.fromkeys(("psnr_db", "ssim", "ms_ssim", "anatomy_psnr_db"), psnr)
    values = {"size_bytes": 1, "pixels": 8, "rate_bpp": rate, "ratio": 8 / rate}
    return Job("rate", "rd", codec, image, quality, int(quality)), {**values, "metrics": metrics}


def curve(codec, image, factor):
    return [rate_job(codec, image, float(q), factor * 0.1 * 2**q, 30.0 + 3 * q) for q in range(5)]


def test_deltas_are_taken_image_by_image():
    results = [
        *curve("jpeg2000", "a", 1.0),
        *curve("jpeg2000", "b", 1.0),
        *curve("avif", "a", 0.8),
        *curve("avif", "b", 0.6),
    ]
    found = tables.curves(results, lambda job: True)
    assert found["images"] == ["a", "b"]
    delta = found["bd_rate"]["avif"]["psnr_db"]
    assert delta["percent"] == pytest.approx(-30.0)
    assert (delta["images"], delta["of"]) == (2, 2)
    assert "jpeg2000" not in found["bd_rate"]
    points = found["curves"]["avif"]
    assert [point["qualities"] for point in points] == [[4], [3], [2], [1], [0]]
    assert points[0]["rate_bpp"] == pytest.approx(0.7 * 1.6)
    assert points[0]["images"] == 2


def test_deltas_are_of_the_rates_of_lossy_use():
    """The test needs half of the anchor's rate below 0.9 bits per pixel, and the same above."""
    anchor = [rate_job("jpeg2000", "a", float(q), 0.1 * 2**q, 30.0 + 3 * q) for q in range(7)]
    halved = [
        rate_job("avif", "a", float(q), 0.1 * 2**q * (0.5 if q < 4 else 1), 30.0 + 3 * q)
        for q in range(7)
    ]
    delta = tables.curves([*anchor, *halved], lambda job: True)["bd_rate"]["avif"]["psnr_db"]
    assert delta["percent"] == pytest.approx(-50, abs=1)


def test_our_codec_is_set_against_each_of_the_others():
    results = [
        *curve("jpeg2000", "a", 1.0),
        *curve("avif", "a", 0.8),
        *curve("wavelet", "a", 0.6),
    ]
    found = tables.curves(results, lambda job: True)
    assert found["own"] == "wavelet"
    assert found["own_bd_rate"].keys() == {"jpeg2000", "avif"}
    assert found["own_bd_rate"]["jpeg2000"]["percent"] == pytest.approx(-40.0)
    assert found["own_bd_rate"]["avif"]["percent"] == pytest.approx(-25.0)
    assert not tables.curves(results[:10], lambda job: True)["own_bd_rate"]


def test_points_that_nobody_would_choose_have_no_part_in_a_delta():
    dear_and_worse = rate_job("avif", "a", 9.0, 3.0, 35.0)
    exact = rate_job("avif", "a", 10.0, 4.0, None)
    results = [*curve("jpeg2000", "a", 1.0), *curve("avif", "a", 0.5), dear_and_worse, exact]
    found = tables.curves(results, lambda job: True)
    assert found["bd_rate"]["avif"]["ssim"]["percent"] == pytest.approx(-50.0)
    assert found["curves"]["avif"][0]["metrics"]["psnr_db"] is None


def test_curves_that_have_no_delta_tell_why():
    results = [*curve("jpeg2000", "a", 1.0), rate_job("avif", "a", 1.0, 1.0, 33.0)]
    delta = tables.curves(results, lambda job: True)["bd_rate"]["avif"]["psnr_db"]
    assert delta["percent"] is None
    assert (delta["images"], delta["of"]) == (0, 1)
    assert "1 points" in delta["why_not"]


def test_the_lossless_stage_gives_factors():
    job = Job("lossless-stage", "lossless-stage", "rnn-conv", "128", count=5)
    rows = [{"ratio": 8, "raw": 1000, "gzip_each": 500, "ours": 250}]
    (found,) = tables.lossless_stage([(job, {"rows": rows})])
    assert found["factors"] == {"gzip_each": 2.0, "ours": 4.0}
    assert found["total_ratio"] == 5 * 128**2 / 250
    assert (found["codec"], found["segment"], found["crops"]) == ("rnn-conv", 128, 5)


def test_jobs_that_failed_or_never_ran_are_listed():
    jobs = [Job("rate", "rd", codec, "a.png", 2.0) for codec in ("good", "bad", "never")]
    records = {jobs[0].key: {"values": {}}, jobs[1].key: {"error": "ValueError: no"}}
    assert tables.failures(jobs, records.get) == [
        {"job": "rate: bad at 2, a.png", "section": "rd", "error": "ValueError: no"},
        {"job": "rate: never at 2, a.png", "section": "rd", "error": "not run"},
    ]
