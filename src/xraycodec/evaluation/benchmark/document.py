"""A report as a list of blocks, and the two forms that it is written in.

What a report says is put together once (`report.py`); Markdown leaves out what it cannot hold,
charts and pictures.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from xraycodec.evaluation.benchmark.charts import Line, line_chart


@dataclass(frozen=True)
class Heading:
    """Title of a section; level 1 is the document's."""

    level: int
    text: str

    @property
    def anchor(self) -> str:
        return "-".join("".join(c if c.isalnum() else " " for c in self.text.lower()).split())


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows of texts; the first ``words`` columns are words, the others figures.

    ``marked`` rows, by their numbers, stand out.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1
    marked: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Chart:
    """Curves over a logarithmic axis."""

    title: str
    lines: tuple[Line, ...]
    x_title: str
    y_title: str
    digits: int = 2


@dataclass(frozen=True)
class Picture:
    """An image file's bytes, PNG or JPEG."""

    caption: str
    data: bytes
    kind: str


@dataclass(frozen=True)
class Gallery:
    """Charts, or pictures, side by side."""

    items: tuple[Chart | Picture, ...]


Block = Heading | Text | Table | Gallery


def markdown(blocks: Sequence[Block]) -> str:
    """Return the blocks as Markdown, without charts and pictures."""
    parts = [text for block in blocks if (text := _markdown_of(block))]
    return "\n\n".join(parts) + "\n"


def _markdown_of(block: Block) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {block.text}"
        case Text():
            return block.text
        case Table():
            aligned = ["---" if k < block.words else "---:" for k in range(len(block.columns))]
            rows = [block.columns, tuple(aligned), *block.rows]
            return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in rows)
        case Gallery():
            return ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def html(blocks: Sequence[Block]) -> str:
    """Return the blocks as one HTML page that loads nothing from anywhere."""
    style = (files("xraycodec.evaluation.benchmark") / "report.css").read_text(encoding="utf-8")
    title = next((block.text for block in blocks if isinstance(block, Heading)), "")
    contents = "".join(
        f'<a href="#{block.anchor}">{escape(block.text)}</a>'
        for block in blocks
        if isinstance(block, Heading) and block.level == 2
    )
    body: list[str] = []
    for block in blocks:
        body.append(_html_of(block))
        if isinstance(block, Heading) and block.level == 1:
            body.append(f"<nav>{contents}</nav>")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style></head>\n<body><main>\n"
        + "\n".join(body)
        + "\n</main></body></html>\n"
    )


def _html_of(block: Block) -> str:
    match block:
        case Heading():
            level = block.level
            return f'<h{level} id="{block.anchor}">{escape(block.text)}</h{level}>'
        case Text():
            return f"<p>{escape(block.text)}</p>"
        case Table():
            return _html_table(block)
        case Gallery():
            return f'<div class="gallery">{"".join(map(_html_figure, block.items))}</div>'


def _html_table(table: Table) -> str:
    kinds = ["word" if k < table.words else "figure" for k in range(len(table.columns))]
    head = "".join(
        f'<th class="{kind}">{escape(text)}</th>'
        for kind, text in zip(kinds, table.columns, strict=True)
    )
    marked = ' class="marked"'
    body = "".join(
        f"<tr{marked if number in table.marked else ''}>"
        + "".join(
            f'<td class="{kind}">{escape(text)}</td>' for kind, text in zip(kinds, row, strict=True)
        )
        + "</tr>"
        for number, row in enumerate(table.rows)
    )
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        "</div>"
    )


def _html_figure(item: Chart | Picture) -> str:
    match item:
        case Chart():
            drawn = line_chart(item.lines, item.x_title, item.y_title, item.digits)
            caption = item.title
        case Picture():
            encoded = base64.b64encode(item.data).decode()
            drawn = (
                f'<img alt="{escape(item.caption)}" src="data:image/{item.kind};base64,{encoded}">'
            )
            caption = item.caption
    return f"<figure>{drawn}<figcaption>{escape(caption)}</figcaption></figure>" if drawn else ""
