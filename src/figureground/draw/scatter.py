"""A scatter plot as SVG: one thing against another, with intervals and names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from figureground.checks import ArgumentError

__all__ = ["Point", "scatter"]

_WIDTH, _HEIGHT = 640, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 150, 20, 55
_COLORS = ("#4287f5", "#ef5350", "#2e9e5b", "#ab47bc", "#ff9800", "#26a6c6", "#795548", "#607d8b")


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
    y_ticks = _steps(min(point.low for point in points), max(point.high for point in points))
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
    ]
    for tick in x_ticks:
        x = _across(tick, x_ticks)
        parts.append(_line(x, _TOP, x, _HEIGHT - _BOTTOM, "#e4e4e4"))
        parts.append(_text(x, _HEIGHT - _BOTTOM + 18, f"{tick:g}", "middle"))
    for tick in y_ticks:
        y = _down(tick, y_ticks)
        parts.append(_line(_LEFT, y, _WIDTH - _RIGHT, y, "#e4e4e4"))
        parts.append(_text(_LEFT - 8, y + 4, f"{tick:.4g}", "end"))
    middle = (_LEFT + _WIDTH - _RIGHT) / 2, (_TOP + _HEIGHT - _BOTTOM) / 2
    parts.append(_text(middle[0], _HEIGHT - 14, x_title, "middle"))
    parts.append(
        f'<text transform="translate(16 {middle[1]:.1f}) rotate(-90)" text-anchor="middle">{escape(y_title)}</text>'
    )
    for place, point in enumerate(points):
        parts += _mark(point, _COLORS[place % len(_COLORS)], x_ticks, y_ticks)
    return "\n".join([*parts, "</svg>", ""])


def _mark(point: Point, color: str, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> list[str]:
    x, y = _across(point.x, x_ticks), _down(point.y, y_ticks)
    low, high = _down(point.low, y_ticks), _down(point.high, y_ticks)
    return [
        _line(x, low, x, high, color, width=2),
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{color}"><title>{escape(point.name)}</title></circle>',
        _text(x + 9, y + 4, point.name, "start"),
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


def _steps(low: float, high: float) -> list[float]:
    """About five round numbers from below `low` to above `high`."""
    span = max(high - low, 1e-3)
    unit = 10.0 ** math.floor(math.log10(span / 4))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor * 5 >= span)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(step * count, 10) for count in range(first, max(last, first + 1) + 1)]


def _line(x0: float, y0: float, x1: float, y1: float, color: str, width: int = 1) -> str:
    return f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="{color}" stroke-width="{width}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
