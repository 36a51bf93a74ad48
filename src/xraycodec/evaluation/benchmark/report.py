"""What the report says: the benchmark's tables in the words of a person."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xraycodec.evaluation.benchmark.document import Block, Heading, Table, Text
from xraycodec.evaluation.benchmark.report_crops import crop_blocks, lossless_stage_blocks
from xraycodec.evaluation.benchmark.report_figure2 import figure2_blocks
from xraycodec.evaluation.benchmark.report_rates import rate_blocks

_QUICK = (
    "This is a quick look: few crops, and of the full images only the middle. Figures differ from"
    " those of a full run."
)


def report(result: dict[str, Any], out: Path) -> list[Block]:
    """Put the report together.

    Args:
        result: what ``benchmark.json`` holds.
        out: folder of the pictures.
    """
    return [
        *_head(result),
        *crop_blocks(result),
        *lossless_stage_blocks(result),
        *figure2_blocks(result, out),
        *rate_blocks(result),
        *_open_ends(result),
        *_method(result),
    ]


def _head(result: dict[str, Any]) -> Iterator[Block]:
    environment = result["environment"]
    yield Heading(1, "Radiograph codecs, measured")
    yield Text(
        f"{environment['processor']}, {environment['cores']} cores,"
        f" commit {(environment['commit'] or 'unknown')[:10]}, {environment['date'][:10]}."
        f" Sections: {', '.join(result['sections'])}. Every rate and ratio is that of real files"
        " unless a row says otherwise."
    )
    if result["quick"]:
        yield Text(_QUICK)
    left = len(result["failures"])
    if left or result["not_available"]:
        parts = [f"{left} measurements failed"] if left else []
        if result["not_available"]:
            parts.append(f"not available: {', '.join(result['not_available'])}")
        yield Text(f"Not everything could be measured: {'; '.join(parts)}. The reasons are below.")


def _open_ends(result: dict[str, Any]) -> Iterator[Block]:
    if result["not_available"]:
        yield Heading(2, "Not available")
        yield Table(
            ("codec", "why"),
            tuple((codec, why) for codec, why in result["not_available"].items()),
            words=2,
        )
    if result["failures"]:
        yield Heading(2, "Failures")
        yield Text(
            "These measurements are in no table above. Running the same command again tries them"
            " once more."
        )
        yield Table(
            ("measurement", "error"),
            tuple((row["job"], row["error"]) for row in result["failures"]),
            words=2,
        )


def _method(result: dict[str, Any]) -> Iterator[Block]:
    environment = result["environment"]
    yield Heading(2, "How it was measured")
    yield Text(
        f"Crops: {result['budget']['crops']} of the paper's 500 test crops for each N, places drawn"
        f" with seed {result['seed']}; no patient of the test split is in the training split."
        " Full images are spread evenly over the test split in order of file names; the deep ones"
        " are those small enough for the time a run may take."
    )
    yield Text(
        "Sizes and fidelity are measured in parallel, each process on one thread; speeds"
        " afterwards, with nothing else running."
    )
    facts = {
        "processor": f"{environment['processor']}, {environment['cores']} cores",
        "system": environment["system"],
        "python": environment["python"],
        **environment["packages"],
        "commit": environment["commit"] or "unknown",
        "seed": str(result["seed"]),
        "date": environment["date"],
    }
    yield Table(("fact", "value"), tuple(facts.items()), words=2)
