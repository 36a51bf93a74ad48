from __future__ import annotations

import os

from benchmark_building import misbehave

from xraycodec.evaluation.benchmark.jobs import Context, Job, execute
from xraycodec.evaluation.benchmark.workers import run_jobs


def context(tmp_path):
    return Context(tmp_path, tmp_path, 1)


def test_a_process_that_dies_takes_no_other_job_with_it(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    subjects = ["a", "die", "b", "c"]
    jobs = [Job("rate", "rd", "x", subject) for subject in subjects]
    records = {}
    run_jobs(
        context(tmp_path),
        jobs,
        2,
        lambda record: records.update({record["key"]: record}),
        work=misbehave,
    )
    assert records.keys() == {job.key for job in jobs}
    dead = records.pop(jobs[1].key)
    assert "process died" in dead["error"]
    assert {record["values"]["threads"] for record in records.values()} == {"1"}
    assert "OMP_NUM_THREADS" not in os.environ


def test_all_cores_where_nothing_else_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    records = []
    jobs = [Job("speed", "rd", "x", "a")]
    run_jobs(context(tmp_path), jobs, 1, records.append, one_thread=False, work=misbehave)
    assert records[0]["values"] == {"threads": "7"}
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_what_a_job_raises_is_its_record(tmp_path):
    job = Job("rate", "rd", "jpeg2000", "missing.png", 1.0)
    record = execute(context(tmp_path), job)
    assert record["key"] == job.key
    assert record["job"]["subject"] == "missing.png"
    assert "missing.png" in record["error"]
    assert "Traceback" in record["traceback"] or "File" in record["traceback"]
    assert "values" not in record


def test_no_jobs_are_no_trouble(tmp_path):
    run_jobs(context(tmp_path), [], 2, lambda record: None)
