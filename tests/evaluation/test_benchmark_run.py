"""The whole benchmark on a small world, in this process, with codecs that take no time."""

from __future__ import annotations

import json

import pytest
from benchmark_building import CROPS, TINY, fake_peer, write_data

from xraycodec.codecs.stored import Stored
from xraycodec.errors import OptionError
from xraycodec.evaluation.benchmark import (
    contestants,
    crop_tasks,
    figure2,
    fingerprints,
    jobs,
    paper_widths,
    plan,
    run,
)
from xraycodec.evaluation.benchmark import settings as settings_module
from xraycodec.evaluation.benchmark.images import find_images
from xraycodec.evaluation.benchmark.jobs import Context, Job
from xraycodec.evaluation.benchmark.settings import SECTIONS, Settings
from xraycodec.evaluation.benchmark.store import ResultStore

NO_PAPER_WIDTHS = "not for this test"
KEYS = ("jpeg2000", "larger", "broken", "absent")


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Settings over a small data folder, nothing measured yet."""
    monkeypatch.setattr(settings_module, "FULL", TINY)
    monkeypatch.setattr(plan, "CROPS", CROPS)
    monkeypatch.setattr(crop_tasks, "CROPS", CROPS)
    monkeypatch.setattr(contestants, "known_codecs", lambda: KEYS)
    monkeypatch.setattr(contestants, "peer", fake_peer)
    monkeypatch.setattr(paper_widths, "why_not", lambda: NO_PAPER_WIDTHS)
    # The size that JPEG 2000 is held to; RNN-Conv's takes seconds to find.
    monkeypatch.setattr(figure2, "our_codec", lambda key, quality, tile: Stored())
    for cached in (contestants.contestant, crop_tasks.paper_crops):
        cached.cache_clear()
    yield Settings(write_data(tmp_path / "data"), tmp_path / "out", workers=0)
    contestants.contestant.cache_clear()


def measured(settings, **changes):
    """Run, and count the jobs done."""
    done = []
    values = {**vars(settings), **changes}
    result = run.run_benchmark(
        Settings(**values), lambda doing, number, total: done.append((doing, number, total))
    )
    return result, sum(number > 0 for _, number, _ in done)


def test_every_table_is_there_and_failures_are_shown(world, tmp_path):
    result, _ = measured(world)
    assert json.loads((world.out / "benchmark.json").read_text()) == result
    assert result["not_available"] == {
        "absent": "no model pack absent.xrcpack",
        "rnn-conv-paper": NO_PAPER_WIDTHS,
    }
    assert set(result["crops"]) == {"128", "256"}
    for rows in result["crops"].values():
        assert [(row["ratio"], row["approach"]) for row in rows] == [
            (2, "jpeg2000"),
            (8, "jpeg2000"),
        ]
        assert all(row["crops"] == TINY.crops for row in rows)
        assert all(row["file_ratio"] >= row["ratio"] for row in rows)
        assert rows[0]["paper"]["psnr_db"] > 25
    assert {row["codec"] for row in result["figure2"]} == {"original", "jpeg2000"}
    rates = result["rd"]
    assert set(rates["nih"]["curves"]) == {"jpeg2000", "larger"}
    assert len(rates["nih"]["images"]) == 2
    assert rates["nih"]["bd_rate"]["larger"]["psnr_db"]["percent"] > 0
    assert set(rates["deep"]["curves"]) == {"jpeg2000", "broken"}
    assert rates["deep"]["images"] == ["deep/hand.dcm"]
    assert [row["codec"] for row in rates["lossless"]] == ["jpeg2000"]
    assert {row["codec"] for row in rates["speed"]} == {"jpeg2000", "larger"}
    assert all(row["one_thread"]["encode_mp_per_s"] > 0 for row in rates["speed"])
    assert result["core_seconds"]["rate"].keys() == {"jpeg2000", "larger", "broken"}
    broken = [row for row in result["failures"] if "no more ink" in row["error"]]
    assert any(row["job"].startswith("rate: broken at 2, test/") for row in broken)
    for name in ("benchmark.md", "benchmark.html"):
        text = (world.out / name).read_text()
        assert "Table II: N = 256" in text
        assert "no more ink" in text
        assert "not available (no model pack" not in text  # absent is in no table of the paper
        assert "no model pack absent.xrcpack" in text
        assert "24.86" in text


def test_nothing_is_written_outside_of_the_folder(world, tmp_path):
    before = sorted(path for path in tmp_path.rglob("*") if world.out not in path.parents)
    measured(world, sections=("crops", "figure2"), codecs=("jpeg2000",))
    after = sorted(path for path in tmp_path.rglob("*") if world.out not in path.parents)
    assert [path for path in after if path != world.out] == before
    names = {str(path.relative_to(world.out)).split("-")[0] for path in world.out.rglob("*.*")}
    assert names == {
        "benchmark.html",
        "benchmark.json",
        "benchmark.md",
        "crops/crops",
        "figure2/original.png",
        "figure2/jpeg2000.png",
        "results.jsonl",
    }


def test_a_second_run_does_nothing_twice(world):
    changes = {"sections": ("rd",), "codecs": ("jpeg2000", "larger")}
    first, done = measured(world, **changes)
    assert done > 10
    again, repeated = measured(world, **changes)
    assert repeated == 0
    assert again["rd"] == first["rd"]


def test_a_run_that_was_stopped_goes_on(world, monkeypatch):
    changes = {"sections": ("rd",), "codecs": ("jpeg2000",)}

    class StoppedError(Exception):
        pass

    def stop(doing, done, total):
        if done == 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        run.run_benchmark(Settings(**{**vars(world), **changes}), stop)
    _, rest = measured(world, **changes)
    _, everything = measured(world, **changes, resume=False)
    assert rest == everything - 3


def test_failures_are_tried_again(world):
    changes = {"sections": ("rd",), "codecs": ("broken",)}
    first, _ = measured(world, **changes)
    _, repeated = measured(world, **changes)
    assert repeated == len(first["failures"]) > 0


def test_another_model_makes_old_results_stale(world, monkeypatch):
    changes = {"sections": ("rd",), "codecs": ("jpeg2000", "larger")}
    _, everything = measured(world, **changes)
    of_codec = fingerprints.of_codec
    monkeypatch.setattr(
        fingerprints,
        "of_codec",
        lambda codec: of_codec(codec) + ("new" if codec == "larger" else ""),
    )
    result, repeated = measured(world, **changes)
    assert 0 < repeated < everything
    points = result["rd"]["nih"]["curves"]["larger"]
    assert all(point["images"] == 2 for point in points)


def test_a_picture_that_is_gone_is_made_again(world):
    changes = {"sections": ("figure2",), "codecs": ("jpeg2000",)}
    measured(world, **changes)
    (world.out / "figure2" / "original.png").unlink()
    _, repeated = measured(world, **changes)
    assert repeated == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codecs": ("jpg",)}, "no codec 'jpg'; choose from jpeg2000, larger"),
        ({"sections": ("figure3",)}, "no section 'figure3'; choose from crops"),
    ],
)
def test_what_does_not_exist_is_refused(world, changes, message):
    with pytest.raises(OptionError, match=message):
        measured(world, **changes)


def test_a_data_folder_without_images_is_refused(world, tmp_path):
    with pytest.raises(OptionError, match="no such folder"):
        measured(world, data=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(OptionError, match="no train images"):
        measured(world, data=tmp_path / "empty")
    assert not world.out.exists()


def test_crops_that_cannot_be_cut_end_the_run(world):
    for path in (world.data / "test").iterdir():
        path.write_bytes(b"no image")
    with pytest.raises(OptionError, match="crops 'test 128' cannot be cut"):
        measured(world, sections=("crops",))


def test_keys_tell_measurements_apart():
    base = Job("rate", "rd", "avif", "a.png", 2.0, fingerprint="f")
    others = [
        Job("lossless", "rd", "avif", "a.png", 2.0, fingerprint="f"),
        Job("rate", "rd", "webp", "a.png", 2.0, fingerprint="f"),
        Job("rate", "rd", "avif", "b.png", 2.0, fingerprint="f"),
        Job("rate", "rd", "avif", "a.png", 3.0, fingerprint="f"),
        Job("rate", "rd", "avif", "a.png", None, fingerprint="f"),
        Job("rate", "rd", "avif", "a.png", 2.0, side=512, fingerprint="f"),
        Job("rate", "rd", "avif", "a.png", 2.0, fingerprint="g"),
    ]
    assert len({job.key for job in (base, *others)}) == len(others) + 1
    assert Job("rate", "other", "avif", "a.png", 2.0, fingerprint="f").key == base.key


@pytest.mark.parametrize(
    ("items", "count", "expected"),
    [
        ("abcdef", 3, "acf"),
        ("abcde", 2, "ae"),
        ("abc", 5, "abc"),
        ("abc", 1, "a"),
        ("abcdefg", 4, "aceg"),
    ],
)
def test_a_subset_is_spread_evenly(items, count, expected):
    assert "".join(plan.spread(items, count)) == expected


@pytest.mark.parametrize(("iterations", "at_2"), [(32, 1), (16, None)])
def test_toderici_is_measured_on_fewer_crops_where_it_needs_many_iterations(
    world, monkeypatch, iterations, at_2
):
    monkeypatch.setattr(contestants, "toderici_iterations", lambda: iterations)
    images = find_images(world)
    planner = plan._Planner(world, Context(world.data, world.out, 1), images, ("toderici",))
    counts = {}
    for job in planner.crops():
        counts[job.subject, job.quality] = counts.get((job.subject, job.quality), 0) + job.count
    assert counts[("128", 8)] == 4
    assert counts.get(("128", 2)) == at_2  # 40 // 32, or more iterations than the model has


def test_every_task_exists():
    for name in jobs._TASKS.values():
        module, _, function = name.partition(":")
        assert callable(getattr(__import__(module, fromlist=[function]), function))


def test_the_sections_of_the_command_are_those_of_the_benchmark():
    from xraycodec.cli.benchmark import _SECTIONS

    assert _SECTIONS == SECTIONS


def test_the_store_names_failures_by_job(world):
    measured(world, sections=("rd",), codecs=("broken",))
    store = ResultStore(world.out / run.RESULTS)
    lines = [json.loads(line) for line in (world.out / run.RESULTS).read_text().splitlines()]
    assert any("error" in line for line in lines)
    assert all(store.get(line["key"])["job"]["codec"] == "broken" for line in lines)
