"""Tables I and II of the paper beside ours, and the lossless stage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from xraycodec.evaluation.benchmark.charts import Line
from xraycodec.evaluation.benchmark.contestants import TODERICI_BITS_RATIO
from xraycodec.evaluation.benchmark.document import Block, Chart, Gallery, Heading, Table, Text
from xraycodec.evaluation.benchmark.paper import FURTHER_FACTOR, TABLES
from xraycodec.evaluation.benchmark.paper_widths import KEY as PAPER_WIDTHS
from xraycodec.evaluation.benchmark.paper_widths import TRAINED
from xraycodec.evaluation.benchmark.tables import APPROACHES

_NUMERALS = {"128": "I", "256": "II"}
_COLUMNS = (
    "ratio",
    "approach",
    "PSNR dB",
    "SSIM",
    "pooled PSNR dB",
    "file ratio",
    "without headers",
    "crops",
    "paper PSNR dB",
    "paper SSIM",
)
METHODS = {
    "gzip_each": "GZip, each crop",
    "gzip_all": "GZip, all crops",
    "zstd_each": "zstd 19, each crop",
    "zstd_all": "zstd 19, all crops",
    "ours": "ours, each crop",
}
_COLOURS = {approach: number for number, approach in enumerate(APPROACHES)}


def crop_blocks(result: dict[str, Any]) -> Iterator[Block]:
    """Tables I and II."""
    tables: dict[str, list[dict[str, Any]]] = result.get("crops") or {}
    if not tables:
        return
    yield Heading(2, "The paper's tables")
    yield Text(
        "Each test crop of N x N pixels is coded on its own. The ratio is the paper's: pixels of 8"
        " bits to 8-bit codes before any lossless stage. The file ratio is what the files really"
        " take, with their headers, which weigh much on so small an image; for the KLT, the linear"
        " floor, which has no files here, it is the nominal one. PSNR is the mean over crops, an"
        " exact crop counting as 100 dB; the pooled PSNR is that of the mean squared error over"
        " all crops."
    )
    yield Text(
        "JPEG 2000 is OpenJPEG with a file of at most the nominal size, headers included, lossless"
        " where that fits; a second row gives it only the bytes that RNN-Conv's file of the same"
        " crop takes. Of some crops no file of it is so small; the rows are over the others. The"
        " paper's figures for JPEG 2000 fall below any working encoder's."
    )
    yield Text(
        "RNN-Conv is the compact network that is part of the package. The row of the paper's widths"
        " is a network of the paper's 62 million parameters; only N = 128 is trained, and for its"
        " cost it is measured on the first crops only, as the column of crops says."
    )
    for side, rows in tables.items():
        yield Heading(3, f"Table {_NUMERALS.get(side, '')}: N = {side}")
        yield from _sentences(rows)
        yield from _paper_widths_sentence(rows)
        yield _table(result, int(side), rows)
        yield Gallery(_charts(int(side), rows))


def _table(result: dict[str, Any], side: int, rows: list[dict[str, Any]]) -> Table:
    texts = []
    marked = set()
    for ratio in sorted({row["ratio"] for row in rows}):
        texts += [
            (f"{ratio}", f"{APPROACHES[codec]}: not available ({why})", *[""] * 8)
            for codec, why in result["not_available"].items()
            if codec in APPROACHES and (codec != PAPER_WIDTHS or side in TRAINED)
        ]
        if any(row["approach"] == "toderici" for row in rows) and not any(
            (row["approach"], row["ratio"]) == ("toderici", ratio) for row in rows
        ):
            why = f"{TODERICI_BITS_RATIO // ratio} iterations are more than the model has"
            texts.append(
                (f"{ratio}", f"{APPROACHES['toderici']}: not available ({why})", *[""] * 8)
            )
        for row in rows:
            if row["ratio"] != ratio:
                continue
            if row["approach"] == "rnn-conv":
                marked.add(len(texts))
            texts.append(_texts(row))
    return Table(_COLUMNS, tuple(texts), words=2, marked=frozenset(marked))


def _texts(row: dict[str, Any]) -> tuple[str, ...]:
    head = (f"{row['ratio']}", row["name"])
    paper = row["paper"]
    theirs = (f"{paper['psnr_db']:.2f}", f"{paper['ssim']:.4f}") if paper else ("", "")
    crops = f"{row['crops']}"
    if row["missed"]:
        crops += f" of {row['crops'] + row['missed']}"
    if not row["crops"]:
        return (*head, *[""] * 5, crops, *theirs)
    return (
        *head,
        f"{row['psnr_db']:.2f}",
        f"{row['ssim']:.4f}",
        f"{row['pooled_psnr_db']:.2f}",
        f"{row['file_ratio']:.2f}",
        "" if row["payload_ratio"] is None else f"{row['payload_ratio']:.2f}",
        crops,
        *theirs,
    )


def _sentences(rows: list[dict[str, Any]]) -> Iterator[Text]:
    """The answer to what the tables are for, at the paper's ratio of 8."""
    at_8 = {row["approach"]: row for row in rows if row["ratio"] == 8 and row["crops"]}
    ours = at_8.get("rnn-conv")
    if ours is None:
        return
    others = []
    for approach in APPROACHES:
        row = at_8.get(approach)
        # Rows that miss crops from the midst of the others cannot be compared crop by crop.
        if row is None or approach == "rnn-conv" or row["missed"]:
            continue
        same = row["rnn_conv_on_these_crops"]
        if same is not None:
            others.append(
                (APPROACHES[approach], same["psnr_db"] - row["psnr_db"], same["ssim"] - row["ssim"])
            )
    if ours["paper"]:
        theirs = ours["paper"]
        others.append(
            (
                "the paper's RNN-Conv",
                ours["psnr_db"] - theirs["psnr_db"],
                ours["ssim"] - theirs["ssim"],
            )
        )
    listed = "; ".join(
        f"{name} {psnr:+.2f} dB and {similarity:+.4f}" for name, psnr, similarity in others
    )
    yield Text(
        f"At ratio 8 RNN-Conv has {ours['psnr_db']:.2f} dB and SSIM {ours['ssim']:.4f}, in files of"
        f" {ours['file_ratio']:.1f}:1."
        + (f" Its distance, on the same crops, from {listed}." if listed else "")
    )


def _paper_widths_sentence(rows: list[dict[str, Any]]) -> Iterator[Text]:
    """The paper's network trained by us, beside the same network as the paper reports it."""
    found = [
        row for row in rows if row["approach"] == PAPER_WIDTHS and row["crops"] and row["paper"]
    ]
    if not found:
        return
    listed = "; ".join(
        f"at ratio {row['ratio']} {row['psnr_db']:.2f} dB"
        f" ({row['psnr_db'] - row['paper']['psnr_db']:+.2f}) and SSIM {row['ssim']:.4f}"
        f" ({row['ssim'] - row['paper']['ssim']:+.4f})"
        for row in found
    )
    yield Text(
        f"In the paper's widths, on {_crops_of(found)} crops, and with the distance from what the"
        f" paper reports of its own, RNN-Conv has {listed}."
    )


def _crops_of(rows: list[dict[str, Any]]) -> str:
    fewest, most = min(row["crops"] for row in rows), max(row["crops"] for row in rows)
    return f"{most}" if fewest == most else f"{fewest} to {most}"


def _charts(side: int, rows: list[dict[str, Any]]) -> tuple[Chart, ...]:
    by_ratio, by_rate = [], []
    for approach, name in APPROACHES.items():
        found = [row for row in rows if row["approach"] == approach and row["crops"]]
        colour = _COLOURS[approach]
        nominal = tuple((float(row["ratio"]), row["psnr_db"]) for row in found)
        if approach != "jpeg2000-same-size":
            by_ratio.append(Line(name, colour, nominal))
        by_rate.append(
            Line(name, colour, tuple((8 / row["file_ratio"], row["psnr_db"]) for row in found))
        )
        reported = TABLES[side].get(approach, {})
        points = tuple((float(ratio), values.psnr_db) for ratio, values in reported.items())
        by_ratio.append(Line(f"{name}, in the paper", colour, points, dashed=True))
    return (
        Chart("By the paper's ratio", tuple(by_ratio), "ratio before lossless stage", "PSNR dB"),
        Chart("By the size of the files", tuple(by_rate), "bits per pixel", "PSNR dB"),
    )


def lossless_stage_blocks(result: dict[str, Any]) -> Iterator[Block]:
    """Further factors of the lossless stage."""
    rows: list[dict[str, Any]] = result.get("lossless_stage") or []
    if not rows:
        return
    yield Heading(2, "The lossless stage")
    yield Text(
        "How many times smaller the 8-bit tensors that RNN-Conv puts out, and the bits of Toderici"
        f" et al., become without loss. The paper says {FURTHER_FACTOR:g}, by GZip, and not whether"
        " file by file. GZip runs at level 9, crop by crop and over all crops in one piece; zstd at"
        " level 19 likewise; ours is the range coder with trained tables, crop by crop, as in our"
        " files."
    )
    methods = [key for key in METHODS if any(key in row["factors"] for row in rows)]
    yield Table(
        ("codec", "N", "ratio", *(METHODS[key] for key in methods), "ours, in all"),
        tuple(
            (
                row["codec"],
                f"{row['segment']}",
                f"{row['ratio']}",
                *(_factor(row["factors"].get(key)) for key in methods),
                f"{row['total_ratio']:.1f}:1",
            )
            for row in rows
        ),
    )
    yield Gallery(
        tuple(
            Chart(
                f"{codec}, N = {side}",
                tuple(
                    Line(
                        METHODS[key],
                        number,
                        tuple(
                            (float(row["ratio"]), row["factors"][key])
                            for row in rows
                            if (row["codec"], row["segment"]) == (codec, side)
                            and key in row["factors"]
                        ),
                    )
                    for number, key in enumerate(methods)
                ),
                "ratio before lossless stage",
                "further factor",
            )
            for codec, side in sorted({(row["codec"], row["segment"]) for row in rows})
        )
    )


def _factor(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
