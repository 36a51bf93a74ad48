"""Full images: rate-distortion curves, Bjøntegaard deltas, lossless sizes and speeds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from xraycodec.evaluation.benchmark.charts import Line
from xraycodec.evaluation.benchmark.document import Block, Chart, Gallery, Heading, Table, Text
from xraycodec.evaluation.benchmark.tables import ANCHOR, BD_METRICS, BD_RATES, OWN

_METRICS = {
    "psnr_db": ("PSNR dB", 2),
    "ssim": ("SSIM", 4),
    "ms_ssim": ("MS-SSIM", 5),
    "anatomy_psnr_db": ("PSNR dB within the anatomy", 2),
    "anatomy_ssim": ("SSIM within the anatomy", 4),
    "edge_preservation": ("edges kept", 4),
    "max_error": ("largest error", 1),
}
_COLUMNS = {
    "psnr_db": "PSNR dB",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "anatomy_psnr_db": "anatomy PSNR dB",
    "anatomy_ssim": "anatomy SSIM",
    "edge_preservation": "edges kept",
    "max_error": "largest error",
}
_SETS = {
    "nih": "Full images of the test split, 8 bits",
    "deep": "Deep images, 9 bits and more",
}


def rate_blocks(result: dict[str, Any]) -> Iterator[Block]:
    """Everything of the section ``rd``."""
    rates: dict[str, Any] = result.get("rd") or {}
    names: dict[str, str] = result["codecs"]
    shown = [key for key in _SETS if rates.get(key, {}).get("curves")]
    if shown:
        yield Heading(2, "Rate and distortion")
        yield Text(
            "Every point is the mean over the images at one setting of a codec, in bits per pixel"
            " of whole files. The anatomy is what the collimator left open, background excluded,"
            " seen through a window of its grey levels; edges kept is the correlation of"
            " high-passed images, 1 being all. The largest error is in grey levels."
        )
    for key in shown:
        yield Heading(3, _SETS[key])
        yield from _curve_blocks(rates[key], names)
    if rates.get("lossless"):
        yield from _lossless(rates["lossless"], names)
    if rates.get("speed"):
        yield from _speeds(rates["speed"], names)


def _curve_blocks(found: dict[str, Any], names: dict[str, str]) -> Iterator[Block]:
    curves: dict[str, list[dict[str, Any]]] = found["curves"]
    yield Text(f"{len(found['images'])} images: {', '.join(found['images'])}.")
    yield Gallery(
        tuple(
            Chart(
                title,
                tuple(_line(names, codec, points, metric) for codec, points in curves.items()),
                "bits per pixel",
                title,
                digits,
            )
            for metric, (title, digits) in _METRICS.items()
        )
    )
    if found["bd_rate"]:
        anchor, own = names.get(ANCHOR, ANCHOR), names.get(OWN, OWN)
        against: dict[str, Any] = found.get("own_bd_rate", {})
        yield Text(
            f"Bytes needed for equal quality, against {anchor}: the Bjøntegaard delta of the rate,"
            " taken image by image over the qualities that both reach, where"
            f" {anchor} takes {BD_RATES[0]:g} to {BD_RATES[1]:g} bits per pixel. Less than 0 is"
            " better. In parentheses, where not all, the images of which the curves overlap enough."
            + (
                f" The last column has {own} against the codec of the row, over the same rates of"
                " that codec."
                if against
                else ""
            )
        )
        last = [f"{own} against it, PSNR"] if against else []
        yield Table(
            ("codec", *(_COLUMNS[metric] for metric in BD_METRICS), *last),
            tuple(
                (
                    names.get(codec, codec),
                    *(_delta(deltas[metric]) for metric in BD_METRICS),
                    *([_delta(against[codec]) if codec in against else ""] if last else []),
                )
                for codec, deltas in sorted(found["bd_rate"].items(), key=_by_delta)
            ),
        )
    yield Table(
        ("codec", "setting", "bits per pixel", "ratio", *_COLUMNS.values()),
        tuple(
            (
                names.get(codec, codec),
                " to ".join(f"{quality:g}" for quality in _ends(point["qualities"])),
                f"{point['rate_bpp']:.3f}",
                f"{point['ratio']:.1f}",
                *(
                    _metric(point["metrics"].get(metric), digits)
                    for metric, (_, digits) in _METRICS.items()
                ),
            )
            for codec, points in curves.items()
            for point in points
        ),
    )


def _line(names: dict[str, str], codec: str, points: list[dict[str, Any]], metric: str) -> Line:
    return Line(
        names.get(codec, codec),
        list(names).index(codec) if codec in names else 0,
        tuple(
            (point["rate_bpp"], point["metrics"][metric])
            for point in points
            if point["metrics"].get(metric) is not None
        ),
    )


def _ends(qualities: list[float]) -> list[float]:
    return qualities if len(qualities) < 2 else [qualities[0], qualities[-1]]


def _by_delta(item: tuple[str, dict[str, Any]]) -> tuple[bool, float]:
    percent = item[1][BD_METRICS[0]]["percent"]
    return percent is None, percent or 0.0


def _delta(delta: dict[str, Any]) -> str:
    if delta["percent"] is None:
        return "no overlap"
    part = "" if delta["images"] == delta["of"] else f" ({delta['images']} of {delta['of']})"
    return f"{delta['percent']:+.1f} %{part}"


def _metric(value: float | None, digits: int) -> str:
    return "exact" if value is None else f"{value:.{digits}f}"


def _lossless(rows: list[dict[str, Any]], names: dict[str, str]) -> Iterator[Block]:
    yield Heading(2, "Lossless")
    yield Text(
        f"Whole files of {rows[0]['images']} images of the test split, each decoded and compared"
        " with the original."
    )
    yield Table(
        ("codec", "images", "bits per pixel", "ratio"),
        tuple(
            (
                names.get(row["codec"], row["codec"]),
                f"{row['images']}",
                f"{row['rate_bpp']:.3f}",
                f"{row['ratio']:.2f}",
            )
            for row in rows
        ),
    )


def _speeds(rows: list[dict[str, Any]], names: dict[str, str]) -> Iterator[Block]:
    yield Heading(2, "Speed")
    yield Text(
        "Megapixels per second, all pixels over all seconds, the fastest of a few runs after one"
        f" that does not count, over {rows[0]['images']} images in memory. Several threads are as"
        f" many as there are cores, {rows[0]['threads']}; a codec that has no threads of its own"
        " shows the same figure twice."
    )
    yield Table(
        (
            "codec",
            "setting",
            "bits per pixel",
            "encode, one thread",
            "decode, one thread",
            f"encode, {rows[0]['threads']} threads",
            f"decode, {rows[0]['threads']} threads",
        ),
        tuple(
            (
                names.get(row["codec"], row["codec"]),
                "lossless" if row["quality"] is None else f"{row['quality']:g}",
                f"{row['rate_bpp']:.3f}",
                *(
                    f"{row[threads][way]:.2f}"
                    for threads in ("one_thread", "all_threads")
                    for way in ("encode_mp_per_s", "decode_mp_per_s")
                ),
            )
            for row in rows
        ),
    )
