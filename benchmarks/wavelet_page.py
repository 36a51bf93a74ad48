"""Put wavelet's committed figures into docs/wavelet.md, between its markers.

``xrc benchmark --data DATA --out runs/wavelet --only rd`` with ``--codec`` for wavelet, jpeg2000,
htj2k, jpegxl, avif and avif-psnr makes the figures (``make bench-wavelet``); ``--json`` takes its
``benchmark.json`` into ``benchmarks/results/wavelet.json`` first.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from evaluation_page import only
from readme_tables import RESULTS, ROOT, fill
from xraycodec.evaluation.benchmark.document import markdown
from xraycodec.evaluation.benchmark.report_rates import rate_blocks

PAGE = ROOT / "docs" / "wavelet.md"
KEPT = RESULTS / "wavelet.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="benchmark.json of a new run")
    arguments = parser.parse_args()
    if arguments.json:
        shutil.copyfile(arguments.json, KEPT)
    result = json.loads(KEPT.read_text())
    environment = result["environment"]
    machine = (
        f"{environment['processor']}, {environment['cores']} cores, {environment['date'][:10]},"
        f" commit `{environment['commit'][:10]}`."
    )
    rates = list(rate_blocks(result))
    nih = only(rates, "Full images of the test split")
    text = fill(PAGE.read_text(), "machine", machine)
    for marker, blocks in {
        "bd-rate-nih": nih[:1],
        "bd-rate-deep": only(rates, "Deep images")[:1],
        "curves-nih": nih[1:],
        "speed": only(rates, "Speed"),
    }.items():
        text = fill(text, marker, markdown(blocks).strip())
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
