"""Put the committed figures of ``benchmarks/archive.py`` into docs/scale.md, between its markers.

``--json`` takes a new run's file into ``benchmarks/results/archive.json`` first. The table of
docs/python.md comes from ``benchmarks/results/loader.json``, which ``benchmarks/loader.py`` writes.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from readme_tables import RESULTS, ROOT, fill
from xraycodec.archive.report import DEFAULT_CURRENCY, DEFAULT_PRICE, MONTHS_A_YEAR, TERABYTE

PAGE = ROOT / "docs" / "scale.md"
PYTHON_PAGE = ROOT / "docs" / "python.md"
KEPT = RESULTS / "archive.json"

NIH_IMAGES = 112_120
DEEP_IMAGES = 400_000
CORE_HOUR_PRICE = 0.05
"""In the currency of the storage's price; an example, as that is."""


def machine(part: dict[str, Any]) -> str:
    found = part["environment"]
    return (
        f"{found['processor']}, {found['cores']} cores, {found['date'][:10]},"
        f" commit `{str(found['commit'])[:10]}`."
    )


def manifest_table(part: dict[str, Any]) -> str:
    lines = [
        machine(part),
        "",
        "| what | figure |",
        "|---|---|",
        f"| entries | {part['entries']:,} |",
        f"| scan into an empty manifest | {part['scan_seconds']:.1f} s |",
        f"| claim and record each, 16 a time | {part['record_seconds']:.1f} s |",
        f"| scan again, nothing changed | {part['rescan_seconds']:.1f} s |",
        f"| peak memory of the process | {part['peak_bytes'] / 1e6:.0f} MB, of which"
        f" {part['before_bytes'] / 1e6:.0f} MB before the first entry |",
        f"| manifest | {part['manifest_bytes'] / 1e6:.0f} MB |",
    ]
    return "\n".join(lines)


def overhead_table(part: dict[str, Any]) -> str:
    return "\n".join(
        (
            machine(part),
            "",
            "| what | ms a file |",
            "|---|---|",
            "| `xrc archive build --codec stored --no-verify`, one worker |"
            f" {part['file_ms']:.2f} |",
            f"| reading, decoding and compressing alone | {part['codec_ms']:.2f} |",
            f"| **overhead** | **{part['overhead_ms']:.2f}** |",
            f"| of which processor time | {part['overhead_cpu_ms']:.2f} |",
        )
    )


def throughput_table(part: dict[str, Any]) -> str:
    lines = [
        f"{machine(part)} {part['images']} radiographs of NIH ChestX-ray8 as PNG files, "
        f"{part['png_bytes'] / 1e6:.1f} MB, {part['jobs']} processes of one thread.",
        "",
        "| contestant | images a second | MP a second | MB | against PNG | run as |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {row['images_per_s']:.2f} | {row['mp_per_s']:.2f} |"
        f" {row['size_bytes'] / 1e6:.1f} |"
        f" {100 * (row['size_bytes'] / part['png_bytes'] - 1):+.1f} % | {row['how']} |"
        for name, row in part["rows"].items()
    ]
    return "\n".join(lines)


def scaling_table(part: dict[str, Any]) -> str:
    first = part["scaling"][0]["images_per_s"]
    lines = ["| processes | images a second | against one |", "|---|---|---|"]
    lines += [
        f"| {row['jobs']} | {row['images_per_s']:.2f} | {row['images_per_s'] / first:.2f} |"
        for row in part["scaling"]
    ]
    return "\n".join(lines)


def projection(
    images: int, measured: int, original_bytes: float, rows: dict[str, tuple[float, float]]
) -> str:
    """Return a table that multiplies means of what was measured.

    Args:
        images: of the archive.
        measured: images that figures are of.
        original_bytes: of these.
        rows: bytes and core seconds of these, by name.
    """
    share = images / measured
    original = original_bytes * share
    currency = DEFAULT_CURRENCY
    lines = [
        f"| | core hours | computing, {currency} | TB | storage, {currency} a year |"
        f" saved, {currency} a year |",
        "|---|---|---|---|---|---|",
        f"| originals | | | {original / TERABYTE:.3f} | {yearly(original):,.2f} | |",
    ]
    for name, (size_bytes, core_seconds) in rows.items():
        hours = core_seconds * share / 3600
        size = size_bytes * share
        lines.append(
            f"| {name} | {hours:,.1f} | {hours * CORE_HOUR_PRICE:,.2f} | {size / TERABYTE:.3f} |"
            f" {yearly(size):,.2f} | {yearly(original - size):,.2f} |"
        )
    return "\n".join(lines)


def yearly(size_bytes: float) -> float:
    return size_bytes / TERABYTE * DEFAULT_PRICE * MONTHS_A_YEAR


def nih_table(part: dict[str, Any]) -> str:
    rows = {
        name: (row["size_bytes"], row["core_seconds"])
        for name, row in part["rows"].items()
        if "stored" not in name
    }
    return projection(NIH_IMAGES, part["images"], part["png_bytes"], rows)


def deep_table(part: dict[str, Any]) -> str:
    rows = {
        f"xrc archive, {name}": (row["size_bytes"], row["core_seconds"])
        for name, row in part["rows"].items()
    }
    size = part["megapixels"] / part["images"]
    return "\n".join(
        (
            f"{machine(part)} {part['images']} radiographs of 12 bits, {size:.1f} megapixels"
            " each in the mean; originals are DICOM files as they came.",
            "",
            projection(DEEP_IMAGES, part["images"], part["file_bytes"], rows),
        )
    )


def loader_table(result: dict[str, Any]) -> str:
    found = result["loader"]
    lines = [
        f"{machine({'environment': result})} {found['images']} images of {found['rows']} x"
        f" {found['columns']} pixels, {found['bits_stored']} bits, {found['workers']} workers,"
        f" batches of {found['batch']}.",
        "",
        "| format | bits per pixel | images a second | a quarter of the size |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {each['bpp']:.3f} | {each['images_per_s_scale_1']:.1f}"
        f" | {each['images_per_s_scale_4']:.1f} |"
        for name, each in found["formats"].items()
    ]
    return "\n".join(lines)


TABLES = {
    "manifest": ("manifest", manifest_table),
    "overhead": ("overhead", overhead_table),
    "throughput": ("throughput", throughput_table),
    "scaling": ("throughput", scaling_table),
    "nih": ("throughput", nih_table),
    "deep": ("deep", deep_table),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="archive.json of a new run")
    arguments = parser.parse_args()
    if arguments.json and arguments.json.resolve() != KEPT.resolve():
        shutil.copyfile(arguments.json, KEPT)
    parts = json.loads(KEPT.read_text())["parts"]
    text = PAGE.read_text()
    for marker, (name, table) in TABLES.items():
        if name in parts:
            text = fill(text, marker, table(parts[name]))
    PAGE.write_text(text)
    loader = json.loads((RESULTS / "loader.json").read_text())
    PYTHON_PAGE.write_text(fill(PYTHON_PAGE.read_text(), "loader", loader_table(loader)))


if __name__ == "__main__":
    main()
