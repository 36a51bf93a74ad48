"""Put the committed figures into README.md and docs/, between their markers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"


def crops_table(result: dict[str, Any]) -> str:
    lines = [
        "| N | ratio | paper PSNR, SSIM | KLT | KLT (c) | RNN-Conv PSNR, SSIM | file |",
        "|---|---|---|---|---|---|---|",
    ]
    for size, rows in result["crops"].items():
        found = {(row["ratio"], row["approach"]): row for row in rows}
        for ratio in sorted({ratio for ratio, approach in found if approach == "rnn-conv"}):
            ours = found[ratio, "rnn-conv"]
            paper = ours["paper"]
            theirs = f"{paper['psnr_db']:.2f}, {paper['ssim']:.4f}" if paper else ""
            floors = [found[ratio, name]["psnr_db"] for name in ("klt", "klt-companded")]
            lines.append(
                f"| {size} | {ratio} | {theirs} | {floors[0]:.2f} | {floors[1]:.2f}"
                f" | **{ours['psnr_db']:.2f}**, {ours['ssim']:.4f} | {ours['payload_ratio']:.1f} |"
            )
    return "\n".join(lines)


def bench_table(result: dict[str, Any]) -> str:
    lines = [
        f"{result['processor']}, {result['cores']} cores, commit `{result['commit'][:10]}`.",
        "",
        "| what | figure |",
        "|---|---|",
        f"| `import xraycodec` | {result['import_seconds']:.3f} s |",
    ]
    coder = result["entropy"]
    lines.append(
        f"| entropy coder, one core | {coder['encode_msymbols_per_s']:.0f} Msymbol/s encoding,"
        f" {coder['decode_msymbols_per_s']:.0f} decoding |"
    )
    lines += [
        f"| {name} | {speed['encode_mp_per_s']:.2f} MP/s encoding, {speed['decode_mp_per_s']:.2f}"
        f" decoding, {speed['rate_bpp']:.3f} bpp |"
        for name, speed in result["codecs"].items()
    ]
    lines += [
        f"| whole NIH test images ({row['images']}) in files of {row['ratio']:.1f}:1"
        f" ({name}) | rnn-conv {row['rnn_conv_psnr_db']:.2f} dB, OpenJPEG"
        f" {row['jpeg2000_psnr_db']:.2f} dB |"
        for name, row in result.get("beside_jpeg2000", {}).items()
    ]
    lines.append(
        f"| peak memory, 5000 x 5000 at 16 bits, both ways | {result['memory']['peak_mb']:.0f} MB |"
    )
    return "\n".join(lines)


def lossless_table(result: dict[str, Any]) -> str:
    rows = result["lossless_nih_test"]
    reference = rows["JPEG XL e9"]["bpp"]
    lines = [
        f"{result['processor']}, {result['cores']} cores, commit `{result['commit'][:10]}`,"
        f" {result['images']} images."
        + "".join(
            f" {name}: added in a later run on the same kind of machine, commit"
            f" `{run['commit'][:10]}`."
            for name, run in result.get("added", {}).items()
        ),
        "",
        "| codec | bits per pixel | against JPEG XL e9 | encode MP/s | decode MP/s |",
        "|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        bold = "**" if name.startswith("lattice") else ""
        lines.append(
            f"| {bold}{name}{bold} | {bold}{row['bpp']:.3f}{bold} |"
            f" {100 * (row['bpp'] / reference - 1):+.1f} % | {row['encode_mp_per_s']:.1f} |"
            f" {row['decode_mp_per_s']:.1f} |"
        )
    return "\n".join(lines)


def near_table(result: dict[str, Any]) -> str:
    table = result["near_lossless_nih_test"]
    names = list(next(iter(table.values())))
    lines = [
        f"| maximum error | {' | '.join(names)} | best against JPEG-LS |",
        "|---" * (len(names) + 2) + "|",
    ]
    for error, row in table.items():
        gain = 100 * (row["lattice best"] / row["JPEG-LS"] - 1)
        rates = " | ".join(f"{row[name]:.3f}" for name in names)
        lines.append(f"| {error} | {rates} | {gain:+.0f} % |")
    return "\n".join(lines)


def deep_table(result: dict[str, Any]) -> str:
    table = result["lossless_deep"]
    names = [
        "JPEG-LS (CharLS)",
        "JPEG XL e7",
        "JPEG XL e9",
        "JPEG XL e7, packed",
        "JPEG XL e9, packed",
        *(name for name in next(iter(table.values())) if name.startswith("lattice")),
    ]
    lines = [f"| image | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for image, row in table.items():
        lines.append(f"| {image} | {' | '.join(f'{row[name]:.3f}' for name in names)} |")
    means = [sum(row[name] for row in table.values()) / len(table) for name in names]
    lines.append(f"| **mean** | {' | '.join(f'**{mean:.3f}**' for mean in means)} |")
    return "\n".join(lines)


def ablation_table(result: dict[str, Any]) -> str:
    variants = result["variants"]
    base = next(iter(variants.values()))
    lines = [
        f"{result['processor']}, {result['steps']} steps each.",
        "",
        "| variant | lossless bpp | against base | maximum error 2 | MP a core second, each way |",
        "|---|---|---|---|---|",
    ]
    for name, row in variants.items():
        change = 100 * (row["lossless_bpp"] / base["lossless_bpp"] - 1)
        speed = (
            f"{row['encode_mp_per_core_s']:.2f}, {row['decode_mp_per_core_s']:.2f}"
            if "encode_mp_per_core_s" in row
            else ""
        )
        lines.append(
            f"| {name} | {row['lossless_bpp']:.4f} | {change:+.2f} % | {row['near_bpp']:.4f} |"
            f" {speed} |"
        )
    return "\n".join(lines)


def fill(text: str, marker: str, table: str) -> str:
    pattern = re.compile(rf"(<!-- {marker} -->\n).*?(<!-- /{marker} -->)", re.DOTALL)
    return pattern.sub(lambda match: f"{match[1]}{table}\n{match[2]}", text)


PAGES = {
    "README.md": (
        ("rnn-conv-crops", "evaluation.json", crops_table),
        ("bench", "latest.json", bench_table),
        ("lossless", "lossless.json", lossless_table),
        ("near", "lossless.json", near_table),
        ("deep", "lossless.json", deep_table),
    ),
    "docs/decisions/0005-lattice.md": (("ablation", "lattice-ablation.json", ablation_table),),
}


def main() -> None:
    for page, tables in PAGES.items():
        text = (ROOT / page).read_text()
        for marker, name, table in tables:
            path = RESULTS / name
            if path.exists():
                text = fill(text, marker, table(json.loads(path.read_text())))
        (ROOT / page).write_text(text)


if __name__ == "__main__":
    main()
