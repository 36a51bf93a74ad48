"""From records of jobs to the tables of the report, as JSON holds them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from xraycodec.evaluation.bd_rate import CurveError, bd_rate
from xraycodec.evaluation.benchmark.crop_tasks import EXACT_DB
from xraycodec.evaluation.benchmark.jobs import Job
from xraycodec.evaluation.benchmark.paper import reported
from xraycodec.evaluation.benchmark.store import Record

Results = Sequence[tuple[Job, dict[str, Any]]]
"""Jobs that passed, with their values."""

ANCHOR = "jpeg2000"
BD_RATES = (0.03, 0.9)
"""Bits per pixel of the anchor that deltas are taken between: those of lossy use, where files are
whole and the ladder of every codec has points."""
OWN = "wavelet"
"""Codec of this package for lossy work, which is set against each of the others as well."""
BD_METRICS = ("psnr_db", "ssim", "ms_ssim", "anatomy_psnr_db")
APPROACHES = {
    "toderici": "Toderici et al.",
    "jpeg2000": "JPEG 2000 (OpenJPEG)",
    "rnn-conv": "RNN-Conv",
    "rnn-conv-paper": "RNN-Conv, the paper's widths",
    "jpeg2000-same-size": "JPEG 2000 at RNN-Conv's file sizes",
    "klt": "KLT, uniform codes",
    "klt-companded": "KLT, companded codes",
}
"""Rows of Tables I and II, in this order."""
_REPORTED_AS = {"rnn-conv-paper": "rnn-conv"}
"""Approaches that the paper has under another name."""
_PEAK = 255


def crop_tables(results: Results) -> dict[str, Any]:
    """Tables I and II: ``{"128": [row, ...], "256": [...]}``, rows by ratio, then approach."""
    parts: dict[tuple[int, int, str], list[dict[str, Any]]] = defaultdict(list)
    for job, values in (*_of("crops", results), *_of("paper-widths", results)):
        for approach, row in values["rows"].items():
            parts[int(job.subject), int(job.quality or 0), approach].append(row)
    tables: dict[str, list[dict[str, Any]]] = {}
    for side, ratio, approach in sorted(parts, key=_table_order):
        row = _crop_row(side, parts[side, ratio, approach])
        paper = reported(side, _REPORTED_AS.get(approach, approach), ratio)
        tables.setdefault(str(side), []).append(
            {
                "ratio": ratio,
                "approach": approach,
                "name": APPROACHES[approach],
                **row,
                "rnn_conv_on_these_crops": _start(
                    parts.get((side, ratio, "rnn-conv"), []), row["crops"]
                ),
                "paper": None if paper is None else {"psnr_db": paper.psnr_db, "ssim": paper.ssim},
            }
        )
    return tables


def _table_order(key: tuple[int, int, str]) -> tuple[int, int, int]:
    side, ratio, approach = key
    return side, ratio, list(APPROACHES).index(approach)


def _crop_row(side: int, parts: list[dict[str, Any]]) -> dict[str, Any]:
    errors = np.array([error for part in parts for error in part["mse"]])
    missed = sum(part["missed"] for part in parts)
    if not errors.size:
        return {"crops": 0, "missed": missed}
    psnr = [_psnr(error) for error in errors]
    pixels = errors.size * side * side
    payloads = [part["payload_bytes"] for part in parts]
    known = all(payload is not None for payload in payloads)
    return {
        "crops": int(errors.size),
        "missed": missed,
        "exact": int((errors == 0).sum()),
        "psnr_db": float(np.mean(psnr)),
        "pooled_psnr_db": _psnr(float(errors.mean())),
        "ssim": float(np.mean([value for part in parts for value in part["ssim"]])),
        "file_ratio": pixels / sum(sum(part["file_bytes"]) for part in parts),
        "payload_ratio": pixels / sum(map(sum, payloads)) if known else None,
    }


def _start(parts: list[dict[str, Any]], crops: int) -> dict[str, float] | None:
    """Means over the first crops, to compare with an approach that was measured on no more."""
    errors = [error for part in parts for error in part["mse"]][:crops]
    similarity = [value for part in parts for value in part["ssim"]][:crops]
    if not crops or len(errors) < crops:
        return None
    return {
        "psnr_db": float(np.mean([_psnr(error) for error in errors])),
        "ssim": float(np.mean(similarity)),
    }


def _psnr(error: float) -> float:
    return EXACT_DB if error == 0 else min(EXACT_DB, 10 * math.log10(_PEAK**2 / error))


def lossless_stage(results: Results) -> list[dict[str, Any]]:
    """Further factors, a row for each codec, N and ratio."""
    rows = []
    for job, values in _of("lossless-stage", results):
        for row in values["rows"]:
            methods = {key: row[key] for key in row if key not in ("ratio", "raw")}
            rows.append(
                {
                    "codec": job.codec,
                    "segment": int(job.subject),
                    "crops": job.count,
                    "ratio": row["ratio"],
                    "raw_bytes": row["raw"],
                    "total_ratio": job.count * int(job.subject) ** 2 / row["ours"],
                    "factors": {key: row["raw"] / size for key, size in methods.items()},
                }
            )
    return sorted(rows, key=lambda row: (row["codec"], row["segment"], row["ratio"]))


def figure2(results: Results) -> list[dict[str, Any]]:
    """Codecs of Fig. 2 with the pictures' files."""
    return [
        {"codec": job.codec, "image": job.subject, **values}
        for job, values in _of("figure2", results)
    ]


def curves(results: Results, chosen: Callable[[Job], bool]) -> dict[str, Any]:
    """Rate-distortion curves over the chosen images, and Bjøntegaard deltas to the anchor.

    A point is the mean over the images at one step of the codec's ladder of settings, which is
    the same setting for images of the same depth. Deltas are taken image by image, over the
    qualities that both curves reach within `BD_RATES` of the first, and averaged.
    """
    points: dict[str, dict[int, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    single: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for job, values in _of("rate", results):
        if chosen(job):
            points[job.codec][job.step].append({**values, "quality": job.quality})
            single[job.codec][job.subject].append(values)
    images = sorted({name for by_image in single.values() for name in by_image})
    return {
        "images": images,
        "curves": {
            codec: sorted(
                (_point(found) for found in by_step.values()),
                key=lambda point: -point["rate_bpp"],
            )
            for codec, by_step in points.items()
        },
        "bd_rate": {
            codec: {
                metric: _mean_bd_rate(single[ANCHOR], by_image, metric) for metric in BD_METRICS
            }
            for codec, by_image in single.items()
            if codec != ANCHOR and ANCHOR in single
        },
        "own": OWN,
        "own_bd_rate": {
            codec: _mean_bd_rate(by_image, single[OWN], BD_METRICS[0])
            for codec, by_image in single.items()
            if codec != OWN and OWN in single
        },
        "bd_rates_bpp": list(BD_RATES),
    }


def _point(found: list[dict[str, Any]]) -> dict[str, Any]:
    metrics = found[0]["metrics"]
    return {
        "qualities": sorted({values["quality"] for values in found}),
        "images": len(found),
        "rate_bpp": float(np.mean([values["rate_bpp"] for values in found])),
        "ratio": float(np.mean([values["ratio"] for values in found])),
        "metrics": {key: _mean(values["metrics"][key] for values in found) for key in metrics},
    }


def _mean(values: Iterable[float | None]) -> float | None:
    """Mean, ``None`` (infinite) if any of the values is."""
    listed = list(values)
    finite = [value for value in listed if value is not None]
    return float(np.mean(finite)) if len(finite) == len(listed) else None


def _mean_bd_rate(
    anchor: dict[str, list[dict[str, Any]]], test: dict[str, list[dict[str, Any]]], metric: str
) -> dict[str, Any]:
    """Percent of rate that the test needs more than the anchor at equal quality."""
    found, why = [], None
    common = sorted(anchor.keys() & test.keys())
    for name in common:
        try:
            pair = (*_curve(anchor[name], metric), *_curve(test[name], metric))
            found.append(bd_rate(*pair, between=BD_RATES))
        except CurveError as error:
            why = str(error)
    return {
        "percent": float(np.mean(found)) if found else None,
        "images": len(found),
        "of": len(common),
        "why_not": why,
    }


def _curve(points: list[dict[str, Any]], metric: str) -> tuple[list[float], list[float]]:
    """Rates and qualities of one image, both rising.

    Left out are points of infinite quality, and points that cost more than another and are no
    better: nobody would choose them, and a Bjøntegaard delta has no place for them.
    """
    rates: list[float] = []
    qualities: list[float] = []
    for rate, quality in sorted(
        (point["rate_bpp"], point["metrics"][metric])
        for point in points
        if point["metrics"].get(metric) is not None
    ):
        if not qualities or (quality > qualities[-1] and rate > rates[-1]):
            rates.append(rate)
            qualities.append(quality)
    return rates, qualities


def lossless(results: Results) -> list[dict[str, Any]]:
    """Lossless coding, the smallest files first."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for job, values in _of("lossless", results):
        found[job.codec].append(values)
    rows = [
        {
            "codec": codec,
            "images": len(values),
            "rate_bpp": float(np.mean([value["rate_bpp"] for value in values])),
            "ratio": float(np.mean([value["ratio"] for value in values])),
        }
        for codec, values in found.items()
    ]
    return sorted(rows, key=lambda row: row["rate_bpp"])


def speeds(results: Results) -> list[dict[str, Any]]:
    """Encoding and decoding speeds of every codec, with and without loss."""
    return [
        {"codec": job.codec, "quality": job.quality, **values}
        for job, values in _of("speed", results)
    ]


def failures(jobs: Iterable[Job], get: Callable[[str], Record | None]) -> list[dict[str, Any]]:
    """Jobs that did not pass, with the reason."""
    rows = []
    for job in jobs:
        record = get(job.key)
        if record is None or "values" not in record:
            error = "not run" if record is None else record["error"]
            rows.append({"job": job.title, "section": job.section, "error": error})
    return rows


def costs(jobs: Iterable[Job], get: Callable[[str], Record | None]) -> dict[str, dict[str, float]]:
    """Processor seconds by task and codec: where the time of a run goes."""
    found: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for job in jobs:
        record = get(job.key)
        if record is not None:
            found[job.task][job.codec] += record.get("core_seconds", 0.0)
    return {
        task: {codec: round(value, 1) for codec, value in by_codec.items()}
        for task, by_codec in found.items()
    }


def _of(task: str, results: Results) -> list[tuple[Job, dict[str, Any]]]:
    return [(job, values) for job, values in results if job.task == task]
