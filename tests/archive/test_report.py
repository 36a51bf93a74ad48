"""Reports: figures that add up, a page that parses and loads nothing."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from xraycodec.archive.manifest import Manifest
from xraycodec.archive.records import Compressed, Failure, Found, Outcome
from xraycodec.archive.report import Price, summarise
from xraycodec.archive.report_html import to_html

VOID = {"meta", "br", "link", "img"}


class Strict(HTMLParser):
    """Remembers what is open, and every attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.bars = 0
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        self.bars += tag == "rect"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(page: str) -> Strict:
    parser = Strict()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    opened = Manifest(tmp_path / "m.sqlite3", write=True)
    opened.set(codec={"name": "stored", "settings": {"level": 6}}, target=".", xraycodec="1")
    ratios = [1.0, 1.02, 2.5, 4.0]
    names = [*(f"/in/{n}.png" for n in range(4)), "/in/<b>&.png", "/in/\udcff.png"]
    opened.add(Found(name, f"{n}.xrc", 10**9, 1, True) for n, name in enumerate(names))
    outcomes = [
        Outcome(n + 1, 1, 9.0, Compressed(10**9, 1, "", "", 10**8, "", ratio * 10**8, n < 3))
        for n, ratio in enumerate(ratios)
    ]
    failures = [
        Outcome(5, 1, 1.0, Failure("CorruptImageError", "<script>alert(1)</script>", "final")),
        Outcome(6, 3, 1.0, Failure("OSError", "I/O error \udcff", "transient")),
    ]
    opened.claim(9)
    opened.record([*outcomes, *failures], 3)
    return opened


def test_figures_add_up(manifest: Manifest) -> None:
    with manifest:
        found = summarise(manifest, Price(50.0, "EUR"))
    assert found["files"] == {"pending": 0, "running": 0, "done": 4, "failed": 2, "skipped": 0}
    assert (found["size_bytes"], found["output_bytes"]) == (4 * 10**9, 4 * 10**8)
    assert (found["file_ratio"], found["ratio"]) == (10.0, 2.13)
    assert (found["verified"], found["core_seconds"]) == (3, 36.0)
    assert sum(bar["files"] for bar in found["ratios"]) == 4
    for bar, following in zip(found["ratios"], found["ratios"][1:], strict=False):
        assert bar["to"] == following["from"]
    assert [(each["class"], each["files"]) for each in found["failures"]] == [
        ("CorruptImageError", 1),
        ("OSError", 1),
    ]
    assert found["storage"] == {
        "price_per_terabyte_month": 50.0,
        "currency": "EUR",
        "originals_per_month": 0.2,
        "archive_per_month": 0.02,
        "saved_per_year": 2.16,
    }
    json.dumps(found, allow_nan=False)


def test_the_page_parses_and_loads_nothing(manifest: Manifest) -> None:
    with manifest:
        found = summarise(manifest, Price())
    page = to_html(found)
    page.encode()
    parser = parsed(page)
    assert parser.bars == len(found["ratios"])
    assert not {name for name, _ in parser.attributes} & {"src", "href", "onload", "onclick"}
    assert "url(" not in page
    assert "<script" not in page
    assert "<script>alert(1)</script>" in parser.text
    assert "4,000,000,000 bytes" in parser.text


def test_an_empty_archive_has_a_report(tmp_path: Path) -> None:
    with Manifest(tmp_path / "m.sqlite3", write=True) as empty:
        found = summarise(empty, Price())
    assert (found["ratio"], found["ratios"], found["failures"]) == (None, [], [])
    assert "No file is done yet." in parsed(to_html(found)).text
