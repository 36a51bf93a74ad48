from __future__ import annotations

import json
import math

from xraycodec.evaluation.benchmark.store import ResultStore, finite


def test_results_come_back_and_failures_do_not_count_as_done(tmp_path):
    path = tmp_path / "results.jsonl"
    store = ResultStore(path)
    store.add({"key": "a", "values": {"x": 1}})
    store.add({"key": "b", "error": "no memory"})
    again = ResultStore(path)
    assert again.done("a")
    assert not again.done("b")
    assert not again.done("c")
    assert again.get("b") == {"key": "b", "error": "no memory"}
    again.add({"key": "b", "values": {}})
    assert ResultStore(path).done("b")


def test_a_line_torn_by_a_kill_is_passed_over_and_not_written_into(tmp_path):
    path = tmp_path / "results.jsonl"
    store = ResultStore(path)
    store.add({"key": "a", "values": {}})
    store.add({"key": "b", "values": {"long": "x" * 50}})
    path.write_bytes(path.read_bytes()[:-20])
    store = ResultStore(path)
    assert store.done("a")
    assert not store.done("b")
    store.add({"key": "c", "values": {}})
    store.add({"key": "d", "values": {}})
    again = ResultStore(path)
    assert [again.done(key) for key in "abcd"] == [True, False, True, True]


def test_lines_of_something_else_are_passed_over(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_bytes(b'[1]\n{"values": {}}\nnull\n\xff\xfe\n{"key": "a", "values": {}}\n')
    assert ResultStore(path).done("a")


def test_infinities_are_null_in_the_file_and_in_memory(tmp_path):
    store = ResultStore(tmp_path / "results.jsonl")
    store.add({"key": "a", "values": {"psnr": math.inf, "more": (1.5, math.nan)}})
    expected = {"key": "a", "values": {"psnr": None, "more": [1.5, None]}}
    assert store.get("a") == expected
    assert json.loads((tmp_path / "results.jsonl").read_text()) == expected


def test_finite_keeps_what_json_holds():
    assert finite({1: [0, "a", None, True, -math.inf]}) == {"1": [0, "a", None, True, None]}
