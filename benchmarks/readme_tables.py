"""Put the committed figures into README.md, between their markers."""

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
    for size, table in result["segments"].items():
        for row in table["rows"]:
            paper = row.get("paper")
            ours = row["rnn_conv"]
            theirs = f"{paper['psnr_db']:.2f}, {paper['ssim']:.4f}" if paper else ""
            lines.append(
                f"| {size} | {row['ratio']} | {theirs} | {row['klt']['psnr_db']:.2f}"
                f" | {row['klt_companded']['psnr_db']:.2f}"
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


def fill(text: str, marker: str, table: str) -> str:
    pattern = re.compile(rf"(<!-- {marker} -->\n).*?(<!-- /{marker} -->)", re.DOTALL)
    return pattern.sub(lambda match: f"{match[1]}{table}\n{match[2]}", text)


def main() -> None:
    readme = ROOT / "README.md"
    text = readme.read_text()
    for marker, name, table in (
        ("rnn-conv-crops", "rnn-conv-crops.json", crops_table),
        ("bench", "latest.json", bench_table),
    ):
        path = RESULTS / name
        if path.exists():
            text = fill(text, marker, table(json.loads(path.read_text())))
    readme.write_text(text)


if __name__ == "__main__":
    main()
