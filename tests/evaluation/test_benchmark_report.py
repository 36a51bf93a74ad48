from __future__ import annotations

import re
from xml.etree import ElementTree

from xraycodec.evaluation.benchmark.charts import Line, line_chart
from xraycodec.evaluation.benchmark.document import (
    Chart,
    Gallery,
    Heading,
    Picture,
    Table,
    Text,
    html,
    markdown,
)

LINES = (
    Line("A & B", 0, ((0.05, 30.0), (0.4, 40.0), (2.0, 45.5))),
    Line("<paper>", 1, ((2.0, 36.0),), dashed=True),
    Line("nothing", 2, ()),
)


def test_a_chart_is_well_formed_and_stays_within_its_frame():
    svg, _, legend = line_chart(LINES, "bits per pixel", "PSNR dB").partition("<ul")
    root = ElementTree.fromstring(svg)
    width, height = map(float, root.get("viewBox").split()[2:])
    marks = list(root.iter("circle"))
    assert len(marks) == 4
    for mark in marks:
        assert 0 < float(mark.get("cx")) < width
        assert 0 < float(mark.get("cy")) < height
    assert marks[0].find("title").text == "A & B: 0.05, 30.00"
    texts = {text.text for text in root.iter("text")}
    assert {"bits per pixel", "PSNR dB", "0.1", "1", "40"} <= texts
    assert "nothing" not in legend
    assert "&lt;paper&gt;" in legend


def test_higher_values_are_drawn_higher_and_larger_ones_further_right():
    root = ElementTree.fromstring(line_chart(LINES[:1], "x", "y").partition("<ul")[0])
    places = [(float(c.get("cx")), float(c.get("cy"))) for c in root.iter("circle")]
    assert places == sorted(places)
    assert [y for _, y in places] == sorted((y for _, y in places), reverse=True)


def test_a_single_point_and_equal_values_have_a_frame_too():
    for points in (((1.0, 5.0),), ((1.0, 5.0), (2.0, 5.0)), ((1.0, 5.0), (1.0, 6.0))):
        ElementTree.fromstring(line_chart([Line("a", 0, points)], "x", "y").partition("<ul")[0])
    assert line_chart([LINES[2]], "x", "y") == ""


BLOCKS = [
    Heading(1, "Title"),
    Heading(2, "Part <one>"),
    Text("Words & more."),
    Table(("codec", "PSNR"), (("a|b", "1.0"), ("c\nd", "2.0")), marked=frozenset({1})),
    Gallery((Chart("Curve", LINES, "x", "y"), Picture("Seen", b"\x89PNG", "png"))),
]


def test_markdown_has_tables_of_equal_width_and_no_pictures():
    text = markdown(BLOCKS)
    assert text == (
        "# Title\n\n## Part <one>\n\nWords & more.\n\n"
        "| codec | PSNR |\n| --- | ---: |\n| a\\|b | 1.0 |\n| c d | 2.0 |\n"
    )


def test_html_is_one_file_that_loads_nothing():
    page = html(BLOCKS)
    assert page.startswith("<!doctype html>")
    assert "Part &lt;one&gt;" in page
    assert '<a href="#part-one">' in page
    assert 'id="part-one"' in page
    assert page.count('<tr class="marked">') == 1
    assert "<td" in page
    assert "data:image/png;base64,iVBORw==" in page
    assert not re.search(r"https?://|<script|<link|@import|url\(", page)
    assert all(found.startswith("data:") for found in re.findall(r'src="([^"]*)"', page))
    assert "prefers-color-scheme: dark" in page
