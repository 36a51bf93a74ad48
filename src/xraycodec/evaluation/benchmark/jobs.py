"""A job: the smallest piece of the benchmark that is done, kept and counted on its own."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from xraycodec.evaluation.benchmark.store import Record

_TASKS = {
    "cut": "xraycodec.evaluation.benchmark.crop_tasks:cut",
    "crops": "xraycodec.evaluation.benchmark.crop_tasks:measure",
    "paper-widths": "xraycodec.evaluation.benchmark.paper_widths:measure",
    "lossless-stage": "xraycodec.evaluation.benchmark.lossless_stage:measure",
    "figure2": "xraycodec.evaluation.benchmark.figure2:measure",
    "rate": "xraycodec.evaluation.benchmark.full_images:measure",
    "lossless": "xraycodec.evaluation.benchmark.full_images:measure_lossless",
    "speed": "xraycodec.evaluation.benchmark.speed:measure",
}
ERROR_LINES = 6


@dataclass(frozen=True)
class Context:
    """What every job of a run shares; all of it that changes a result is in the fingerprints.

    Attributes:
        data: folder of the images.
        out: folder of the results.
        klt_crops: training crops that the block transform is learned from.
    """

    data: Path
    out: Path
    klt_crops: int

    @property
    def cache(self) -> Path:
        """Folder of the crops."""
        return self.out / "crops"


@dataclass(frozen=True)
class Job:
    """One measurement.

    Attributes:
        task: of `_TASKS`; what is done with the rest.
        section: of the report, for which it is done.
        codec: key of the codec.
        subject: image file below the data folder, several joined by ``|``, or side of the crops.
        quality: the codec's natural control, or the nominal ratio for crops.
        step: place of the quality on the codec's ladder, 0 being the best.
        first: number of the first crop.
        count: how many crops.
        side: of the middle that is cut from an image; 0 for the whole of it.
        repeats: runs of which the fastest counts.
        fingerprint: of all else that the result depends on: models, versions, sources, files.
    """

    task: str
    section: str
    codec: str
    subject: str
    quality: float | None = None
    step: int = 0
    first: int = 0
    count: int = 0
    side: int = 0
    repeats: int = 0
    fingerprint: str = ""

    @property
    def key(self) -> str:
        """Name of the result: equal for equal measurements only."""
        fields = asdict(self)
        del fields["section"], fields["step"]  # for the report; they change no result
        return "/".join("" if value is None else str(value) for value in fields.values())

    @property
    def alone(self) -> bool:
        """Whether nothing else may run at the same time."""
        return self.task == "speed"

    @property
    def title(self) -> str:
        """Short words for a person."""
        quality = "" if self.quality is None else f" at {self.quality:g}"
        crops = f", crops {self.first} to {self.first + self.count - 1}" if self.count else ""
        return f"{self.task}: {self.codec}{quality}, {self.subject}{crops}"


def execute(context: Context, job: Job) -> Record:
    """Do a job; whatever it raises becomes its record, so that one failure stops no other."""
    record: Record = {"key": job.key, "job": asdict(job)}
    started = time.process_time()
    try:
        module, _, name = _TASKS[job.task].partition(":")
        task: Callable[[Context, Job], dict[str, Any]] = getattr(import_module(module), name)
        record["values"] = task(context, job)
    except Exception as error:  # a benchmark of many codecs reports what any of them does
        lines = traceback.format_exception(error)
        record["error"] = f"{type(error).__name__}: {error}"
        record["traceback"] = "".join(lines[-ERROR_LINES:])
    record["core_seconds"] = round(time.process_time() - started, 3)
    return record


def failed(job: Job, why: str) -> Record:
    """Return the record of a job that could not even report its failure."""
    return {"key": job.key, "job": asdict(job), "error": why}
