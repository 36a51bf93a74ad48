"""The report as one HTML file that loads nothing from anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #1b1f24; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse } th, td { padding: .25rem .8rem; text-align: left;
  border-bottom: 1px solid #d5d9de; vertical-align: top } td.n, th.n { text-align: right;
  font-variant-numeric: tabular-nums } code { overflow-wrap: anywhere }
svg { max-width: 100%; height: auto } .bar { fill: #3a6ea5 } .axis { font-size: 11px; fill: #555 }
p.note { color: #555 }
"""
_BAR, _GAP, _HEIGHT, _FOOT = 22, 4, 180, 36


def to_html(report: dict[str, Any]) -> str:
    """Return the page of what `summarise` gave."""
    files, storage = report["files"], report["storage"]
    currency = escape(str(storage["currency"]))
    settings = ", ".join(f"{name} {value}" for name, value in report["settings"].items())
    parts = [
        "<h1>Archive report</h1>",
        f'<p class="note"><code>{_text(report["manifest"])}</code>, {_text(report["date"])},'
        f" xraycodec {_text(report['xraycodec'])}, codec {_text(report['codec'])}"
        f"{_text(f' ({settings})') if settings else ''}</p>",
        "<h2>Files</h2>",
        _table(("state", "files"), [(state, f"{count:,}") for state, count in files.items()]),
        "<h2>Sizes</h2>",
        _table(
            ("what", "figure"),
            [
                ("original files", f"{report['size_bytes']:,} bytes"),
                ("archive", f"{report['output_bytes']:,} bytes"),
                ("saved", f"{report['saved_bytes']:,} bytes"),
                ("original files to archive", _ratio(report["file_ratio"])),
                ("pixels at their bits stored to archive", _ratio(report["ratio"])),
                ("decoded and compared", f"{report['verified']:,} files"),
                ("core time", f"{report['core_seconds'] / 3600:,.3f} hours"),
            ],
        ),
        "<h2>Ratios</h2>",
        _bars(report["ratios"]),
        "<h2>Failures</h2>",
        _failures(report["failures"]),
        "<h2>Cost of storage</h2>",
        _table(
            ("what", currency),
            [
                ("original files, a month", f"{storage['originals_per_month']:,.2f}"),
                ("archive, a month", f"{storage['archive_per_month']:,.2f}"),
                ("saved, a year", f"{storage['saved_per_year']:,.2f}"),
            ],
        ),
        f'<p class="note">At {storage["price_per_terabyte_month"]:,.2f} {currency} for a terabyte'
        " (10<sup>12</sup> bytes) and month; requests and transfer are not in it.</p>",
    ]
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Archive report</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n"
        "</body>\n</html>\n"
    )


def _text(value: object) -> str:
    """As HTML; bytes of file names that are no text become "?"."""
    return escape(str(value).encode(errors="replace").decode())


def _ratio(value: float | None) -> str:
    return "none yet" if value is None else f"{value:.2f}:1"


def _table(columns: tuple[str, str], rows: Iterable[tuple[str, str]]) -> str:
    head = f'<tr><th>{columns[0]}</th><th class="n">{columns[1]}</th></tr>'
    lines = [
        f'<tr><td>{_text(name)}</td><td class="n">{_text(value)}</td></tr>' for name, value in rows
    ]
    return "\n".join(("<table>", head, *lines, "</table>"))


def _failures(failures: list[dict[str, Any]]) -> str:
    if not failures:
        return "<p>None.</p>"
    lines = [
        f'<tr><td>{_text(each["class"])}</td><td class="n">{each["files"]:,}</td>'
        f"<td><code>{_text(each['example'])}</code>: {_text(each['error'])}</td></tr>"
        for each in failures
    ]
    head = '<tr><th>class</th><th class="n">files</th><th>example</th></tr>'
    return "\n".join(("<table>", head, *lines, "</table>"))


def _bars(ratios: list[dict[str, float]]) -> str:
    """A histogram; every bar says its figures to who points at it, and to screen readers."""
    if not ratios:
        return "<p>No file is done yet.</p>"
    most = max(each["files"] for each in ratios)
    step = _BAR + _GAP
    width = max(step * len(ratios) + _GAP, 3 * step)
    every = max(1, len(ratios) // 8)
    shapes = []
    for number, each in enumerate(ratios):
        height = _HEIGHT * each["files"] / most
        x = _GAP + number * step
        title = f"{each['from']:g} to {each['to']:g}: {each['files']:,} files"
        shapes.append(
            f'<rect class="bar" x="{x}" y="{_HEIGHT - height:.1f}" width="{_BAR}"'
            f' height="{height:.1f}"><title>{title}</title></rect>'
        )
        if number % every == 0:
            shapes.append(f'<text class="axis" x="{x}" y="{_HEIGHT + 14}">{each["from"]:g}</text>')
    shapes.append(
        f'<text class="axis" x="{_GAP}" y="{_HEIGHT + 30}">ratio; tallest {most:,}</text>'
    )
    return (
        f'<svg viewBox="0 0 {width} {_HEIGHT + _FOOT}" width="{width}" role="img"'
        f' aria-label="Files by ratio">{"".join(shapes)}</svg>'
    )
