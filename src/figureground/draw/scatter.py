"""A scatter plot as SVG: one thing against another, with intervals and names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from figureground.checks import ArgumentError
from figureground.draw.axes import COLORS, line, opening, steps, text, upright

__all__ = ["Point", "scatter"]

_WIDTH, _HEIGHT = 640, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 150, 20, 55


@dataclass(frozen=True)
class Point:
    """One thing: its name, its place, and the ends of the interval of `y`."""

    name: str
    x: float
    y: float
    low: float
    high: float


def scatter(points: Sequence[Point], *, x_title: str, y_title: str) -> str:
    """The text of an SVG file: `x` on a logarithmic scale, `y` with its intervals.

    Args:
        points: one or more, `x` above 0.
        x_title: below the plot.
        y_title: beside it.

    Raises:
        ArgumentError: no points, or a number that has no place on the scales.
    """
    numbers = [value for point in points for value in (point.x, point.y, point.low, point.high)]
    if not points or not all(map(math.isfinite, numbers)) or min(point.x for point in points) <= 0:
        raise ArgumentError("points must be one or more, of finite numbers and x above 0")
    x_ticks = _decades(min(point.x for point in points), max(point.x for point in points))
    y_ticks = steps(min(point.low for point in points), max(point.high for point in points))
    parts = opening(_WIDTH, _HEIGHT)
    for tick in x_ticks:
        x = _across(tick, x_ticks)
        parts.append(line(x, _TOP, x, _HEIGHT - _BOTTOM, "#e4e4e4"))
        parts.append(text(x, _HEIGHT - _BOTTOM + 18, f"{tick:g}", "middle"))
    for tick in y_ticks:
        y = _down(tick, y_ticks)
        parts.append(line(_LEFT, y, _WIDTH - _RIGHT, y, "#e4e4e4"))
        parts.append(text(_LEFT - 8, y + 4, f"{tick:.4g}", "end"))
    middle = (_LEFT + _WIDTH - _RIGHT) / 2, (_TOP + _HEIGHT - _BOTTOM) / 2
    parts.append(text(middle[0], _HEIGHT - 14, x_title, "middle"))
    parts.append(upright(16, middle[1], y_title))
    for place, point in enumerate(points):
        parts += _mark(point, COLORS[place % len(COLORS)], x_ticks, y_ticks)
    return "\n".join([*parts, "</svg>", ""])


def _mark(point: Point, color: str, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> list[str]:
    x, y = _across(point.x, x_ticks), _down(point.y, y_ticks)
    low, high = _down(point.low, y_ticks), _down(point.high, y_ticks)
    return [
        line(x, low, x, high, color, width=2),
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{color}"><title>{escape(point.name)}</title></circle>',
        text(x + 9, y + 4, point.name, "start"),
    ]


def _across(value: float, ticks: Sequence[float]) -> float:
    share = math.log(value / ticks[0]) / math.log(ticks[-1] / ticks[0])
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _down(value: float, ticks: Sequence[float]) -> float:
    share = (value - ticks[0]) / (ticks[-1] - ticks[0])
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def _decades(low: float, high: float) -> list[float]:
    """1, 2, 5, 10, ... from below `low` to above `high`, two or more."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1
    scale = [mantissa * 10.0**power for power in range(first, last + 1) for mantissa in (1, 2, 5)]
    start = max(place for place, tick in enumerate(scale) if tick <= low * (1 + 1e-9))
    end = min(place for place, tick in enumerate(scale) if tick >= high * (1 - 1e-9) and place > start)
    return scale[start : end + 1]
