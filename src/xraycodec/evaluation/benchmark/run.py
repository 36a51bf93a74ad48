"""The benchmark from end to end: plan, measure what is missing, write the reports."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from xraycodec.errors import OptionError
from xraycodec.evaluation.benchmark import contestants, tables
from xraycodec.evaluation.benchmark.document import html, markdown
from xraycodec.evaluation.benchmark.environment import describe_environment
from xraycodec.evaluation.benchmark.images import find_images
from xraycodec.evaluation.benchmark.jobs import Context, Job
from xraycodec.evaluation.benchmark.plan import Plan, plan, plan_cuts
from xraycodec.evaluation.benchmark.report import report
from xraycodec.evaluation.benchmark.settings import SECTIONS, SEED, Settings
from xraycodec.evaluation.benchmark.store import Record, ResultStore, finite
from xraycodec.evaluation.benchmark.workers import run_jobs
from xraycodec.files.atomic import write_atomically

Progress = Callable[[str, int, int], None]
"""Called with what is going on, the jobs done and the jobs in all."""

RESULTS = "results.jsonl"
JSON, MARKDOWN, HTML = "benchmark.json", "benchmark.md", "benchmark.html"


def run_benchmark(settings: Settings, progress: Progress) -> dict[str, Any]:
    """Measure what ``settings`` ask for and write the reports.

    Results are kept in ``settings.out`` as they come in; what an earlier run measured under the
    same conditions is not measured again. Nothing is written anywhere else.

    Args:
        settings: the request.
        progress: called before the first job and after each.

    Returns:
        What ``benchmark.json`` holds.

    Raises:
        OptionError: an unknown section or codec, or a data folder without the images.
    """
    for section in settings.sections:
        if section not in SECTIONS:
            raise OptionError(f"no section {section!r}; choose from {', '.join(SECTIONS)}")
    images = find_images(settings)
    settings.out.mkdir(parents=True, exist_ok=True)
    context = Context(settings.data.resolve(), settings.out.resolve(), settings.budget.klt_crops)
    path = settings.out / RESULTS
    if not settings.resume:
        path.unlink(missing_ok=True)
    store = ResultStore(path)
    cuts = plan_cuts(settings, images)
    uncut = [job for job in cuts if not _done(job, store, settings.out)]
    _run(context, uncut, store, settings.workers, "cutting crops", progress)
    _check_cuts(cuts, store)
    planned = plan(settings, context, images)
    missing = [job for job in planned.jobs if not _done(job, store, settings.out)]
    together = [job for job in missing if not job.alone]
    alone = [job for job in missing if job.alone]
    _run(context, together, store, settings.workers, "measuring", progress)
    _run(context, alone, store, min(settings.workers, 1), "timing", progress, one_thread=False)
    result: dict[str, Any] = finite(summarise(settings, context, planned, store))
    write_reports(result, settings.out)
    return result


def _run(
    context: Context,
    jobs: Sequence[Job],
    store: ResultStore,
    workers: int,
    doing: str,
    progress: Progress,
    *,
    one_thread: bool = True,
) -> None:
    done = 0

    def on_record(record: Record) -> None:
        nonlocal done
        store.add(record)
        done += 1
        progress(doing, done, len(jobs))

    if jobs:
        progress(doing, 0, len(jobs))
        run_jobs(context, jobs, workers, on_record, one_thread=one_thread)


def _check_cuts(cuts: Sequence[Job], store: ResultStore) -> None:
    for job in cuts:
        record = store.get(job.key)
        if record is None or "values" not in record:
            why = "it was not cut" if record is None else record["error"]
            raise OptionError(f"the crops {job.subject!r} cannot be cut: {why}")


def _done(job: Job, store: ResultStore, out: Path) -> bool:
    record = store.get(job.key)
    if record is None or "values" not in record:
        return False
    return all((out / name).exists() for name in record["values"].get("files", ()))


def summarise(
    settings: Settings, context: Context, planned: Plan, store: ResultStore
) -> dict[str, Any]:
    """Put the records of a plan's jobs into tables; records of other jobs do not count."""
    results = [
        (job, record["values"])
        for job in planned.jobs
        if (record := store.get(job.key)) is not None and "values" in record
    ]
    measured = {job.codec for job in planned.jobs}
    deep = {name for name, _ in planned.images.deep}
    return {
        "environment": describe_environment(),
        "seed": SEED,
        "quick": settings.quick,
        "budget": asdict(settings.budget),
        "sections": list(settings.sections),
        "codecs": {
            key: contestants.name_of(key, context)
            for key in contestants.known_codecs()
            if key in measured
        },
        "crops": tables.crop_tables(results),
        "lossless_stage": tables.lossless_stage(results),
        "figure2": tables.figure2(results),
        "rd": {
            "nih": tables.curves(results, lambda job: job.subject not in deep),
            "deep": tables.curves(results, lambda job: job.subject in deep),
            "lossless": tables.lossless(results),
            "speed": tables.speeds(results),
        },
        "core_seconds": tables.costs(planned.jobs, store.get),
        "not_available": planned.unavailable,
        "failures": tables.failures(planned.jobs, store.get),
    }


def write_reports(result: dict[str, Any], out: Path) -> None:
    """Write the three forms of the report."""
    blocks = report(result, out)
    for name, text in (
        (JSON, json.dumps(result, indent=1, allow_nan=False) + "\n"),
        (MARKDOWN, markdown(blocks)),
        (HTML, html(blocks)),
    ):
        write_atomically(out / name, text.encode(), overwrite=True)
