"""Put the committed figures of ``xrc benchmark`` into docs/evaluation.md, between its markers.

``xrc benchmark --data DATA --out runs/evaluation`` makes the figures; ``--json`` takes its
``benchmark.json`` into ``benchmarks/results/evaluation.json`` first.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from readme_tables import RESULTS, ROOT, fill
from xraycodec.evaluation.benchmark.document import Block, Heading, Table, markdown
from xraycodec.evaluation.benchmark.report_crops import crop_blocks, lossless_stage_blocks
from xraycodec.evaluation.benchmark.report_rates import rate_blocks

PAGE = ROOT / "docs" / "evaluation.md"
KEPT = RESULTS / "evaluation.json"


def only(blocks: Iterable[Block], heading: str) -> list[Block]:
    """Return what follows a heading, up to the next of its level or above, tables only."""
    kept: list[Block] = []
    level = 0
    for block in blocks:
        if isinstance(block, Heading):
            if block.text.startswith(heading):
                level = block.level
            elif block.level <= level:
                level = 0
        elif level and isinstance(block, Table):
            kept.append(block)
    return kept


def parts(result: dict[str, Any]) -> dict[str, list[Block]]:
    """Return the tables of each marker of the page."""
    rates = list(rate_blocks(result))
    crops = list(crop_blocks(result))
    nih = only(rates, "Full images of the test split")
    deep = only(rates, "Deep images")
    return {
        "table-128": only(crops, "Table I:"),
        "table-256": only(crops, "Table II:"),
        "lossless-stage": only(lossless_stage_blocks(result), "The lossless stage"),
        "bd-rate-nih": nih[:1],
        "bd-rate-deep": deep[:1],
        "curves-nih": nih[1:],
        "lossless": only(rates, "Lossless"),
        "speed": only(rates, "Speed"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="benchmark.json of a new run")
    arguments = parser.parse_args()
    if arguments.json:
        shutil.copyfile(arguments.json, KEPT)
    result = json.loads(KEPT.read_text())
    text = PAGE.read_text()
    environment = result["environment"]
    machine = (
        f"{environment['processor']}, {environment['cores']} cores, {environment['date'][:10]},"
        f" commit `{environment['commit'][:10]}`."
    )
    text = fill(text, "machine", machine)
    for marker, blocks in parts(result).items():
        text = fill(text, marker, markdown(blocks).strip())
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
