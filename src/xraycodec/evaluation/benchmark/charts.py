"""Line charts as SVG text: no library, no scripts, colours from the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 16, 14, 46
_MARKS = 6
COLOURS = 12
"""Classes ``c0`` ... of the style sheet."""


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        name: in the legend.
        colour: number of the colour, below `COLOURS`.
        points: ``(x, y)``, x above 0.
        dashed: for what is no measurement of ours, or of the same kind.
    """

    name: str
    colour: int
    points: tuple[tuple[float, float], ...]
    dashed: bool = False


def line_chart(lines: Sequence[Line], x_title: str, y_title: str, digits: int = 2) -> str:
    """Draw curves over a logarithmic horizontal axis.

    Args:
        lines: curves; those without a point are left out.
        x_title: below the horizontal axis.
        y_title: beside the vertical axis.
        digits: decimals of values in the tips that a pointer raises.

    Returns:
        An ``<svg>`` element, empty text if there is nothing to draw.
    """
    drawn = [line for line in lines if line.points]
    if not drawn:
        return ""
    xs = [x for line in drawn for x, _ in line.points]
    ys = [y for line in drawn for _, y in line.points]
    frame = _Frame(*_padded(math.log10(min(xs)), math.log10(max(xs))), *_padded(min(ys), max(ys)))
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' aria-label="{escape(y_title)} over {escape(x_title)}">',
        *_axes(frame, x_title, y_title),
        *(_drawn(frame, line, digits) for line in drawn),
        "</svg>",
    ]
    return "".join(parts) + _legend(drawn)


@dataclass(frozen=True)
class _Frame:
    left: float
    right: float
    bottom: float
    top: float

    def x(self, log_value: float) -> float:
        share = (log_value - self.left) / (self.right - self.left)
        return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        share = (value - self.bottom) / (self.top - self.bottom)
        return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 1)


def _padded(low: float, high: float) -> tuple[float, float]:
    room = 0.04 * (high - low) or 0.5
    return low - room, high + room


def _axes(frame: _Frame, x_title: str, y_title: str) -> list[str]:
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    parts = []
    for value in _log_ticks(frame.left, frame.right):
        x = frame.x(math.log10(value))
        parts.append(f'<line class="grid" x1="{x}" y1="{_TOP}" x2="{x}" y2="{bottom}"/>')
        parts.append(f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{value:g}</text>')
    for value in _ticks(frame.bottom, frame.top):
        y = frame.y(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y}" x2="{right}" y2="{y}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{value:g}</text>')
    middle = (_TOP + bottom) / 2
    return [
        *parts,
        f'<text x="{(_LEFT + right) / 2}" y="{HEIGHT - 8}" text-anchor="middle">'
        f"{escape(x_title)}</text>",
        f'<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_title)}</text>",
    ]


def _drawn(frame: _Frame, line: Line, digits: int) -> str:
    places = [
        (frame.x(math.log10(x)), frame.y(y), f"{line.name}: {x:.3g}, {y:.{digits}f}")
        for x, y in sorted(line.points)
    ]
    path = " ".join(f"{x},{y}" for x, y, _ in places)
    marks = "".join(
        f'<circle cx="{x}" cy="{y}" r="3"><title>{escape(tip)}</title></circle>'
        for x, y, tip in places
    )
    dashed = " dashed" if line.dashed else ""
    return f'<g class="c{line.colour % COLOURS}{dashed}"><polyline points="{path}"/>{marks}</g>'


def _legend(lines: Sequence[Line]) -> str:
    items = "".join(
        f'<li class="c{line.colour % COLOURS}{" dashed" if line.dashed else ""}">'
        f"<span></span>{escape(line.name)}</li>"
        for line in lines
    )
    return f'<ul class="legend">{items}</ul>'


def _ticks(low: float, high: float) -> list[float]:
    """Round values between two limits, about `_MARKS` of them."""
    raw = (high - low) / _MARKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw)
    first = math.ceil(low / step)
    return [round(k * step, 10) for k in range(first, math.floor(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten between two decimal logarithms."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    values = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    return [value for value in values if low <= math.log10(value) <= high]
