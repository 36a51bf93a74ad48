"""``xrc benchmark``: what the command itself does; the measuring has tests of its own."""

from __future__ import annotations

import pytest
from cli_running import run

from xraycodec.errors import OptionError
from xraycodec.evaluation.benchmark import run as benchmark_run


def test_help_names_every_section_and_all_files():
    done = run("benchmark", "--help")
    assert done.code == 0
    for word in ("crops", "lossless-stage", "figure2", "rd", "benchmark.html", "--quick", "--jobs"):
        assert word in done.out


def test_a_missing_data_folder_is_wrong_usage(tmp_path):
    done = run("benchmark", "--data", tmp_path / "none", "--out", tmp_path / "out")
    assert done.code == 2
    assert "does not exist" in done.err
    assert not (tmp_path / "out").exists()


def test_a_data_folder_without_images_is_an_error(tmp_path):
    (tmp_path / "data").mkdir()
    done = run("benchmark", "--data", tmp_path / "data", "--out", tmp_path / "out")
    assert done.code == 1
    assert "no train images" in done.err
    assert not (tmp_path / "out").exists()


def test_an_unknown_section_is_wrong_usage(tmp_path):
    done = run("benchmark", "--data", tmp_path, "--out", tmp_path / "o", "--only", "figure3")
    assert done.code == 2
    assert "figure3" in done.err


@pytest.fixture
def asked(monkeypatch):
    """What the benchmark was asked for, and what it answers."""
    seen = {"not_available": {}, "failures": []}

    def answer(settings, progress):
        seen["settings"] = settings
        progress("measuring", 10, 10)
        return seen

    monkeypatch.setattr(benchmark_run, "run_benchmark", answer)
    return seen


def test_options_become_settings_and_reports_are_named(tmp_path, asked):
    done = run(
        *("benchmark", "--data", tmp_path, "--out", tmp_path / "o", "--quick", "--fresh"),
        *("--only", "rd", "--only", "crops", "--codec", "avif", "--jobs", "3"),
    )
    assert done.code == 0
    settings = asked["settings"]
    assert settings.sections == ("crops", "rd")
    assert settings.codecs == ("avif",)
    assert (settings.quick, settings.resume, settings.workers) == (True, False, 3)
    assert "benchmark.html" in done.out
    assert "measuring: 10 of 10" in done.err


def test_failures_are_told_and_make_the_exit_code(tmp_path, asked):
    asked["not_available"] = {"toderici": "no model pack"}
    asked["failures"] = [{"job": "rate: avif at 2, a.png", "section": "rd", "error": "no ink"}]
    done = run("benchmark", "--data", tmp_path, "--out", tmp_path / "o", "-q")
    assert done.code == 1
    assert done.out == ""
    assert "toderici: not available: no model pack" in done.err
    assert "rate: avif at 2, a.png: no ink" in done.err


def test_a_refusal_is_one_line(tmp_path, monkeypatch):
    def refuse(settings, progress):
        raise OptionError("no codec 'jpg'; choose from jpeg")

    monkeypatch.setattr(benchmark_run, "run_benchmark", refuse)
    done = run("benchmark", "--data", tmp_path, "--out", tmp_path / "o", "--codec", "jpg")
    assert done.code == 1
    assert done.err.strip() == "Error: no codec 'jpg'; choose from jpeg"
