"""Curves as SVG: numbers over time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from figureground.checks import ArgumentError
from figureground.draw.axes import COLORS, line, opening, steps, text, upright

__all__ = ["curves"]

_WIDTH, _HEIGHT = 760, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 230, 16, 48
_ROW = 17


def curves(courses: Mapping[str, Sequence[tuple[float, float]]], *, x_title: str, y_title: str) -> str:
    """The text of an SVG file with one curve for each name, and a list of the names beside them.

    Args:
        courses: (x, y) of each curve in the order of x, finite; one point is drawn as a dot.
        x_title: below the plot.
        y_title: beside it.

    Raises:
        ArgumentError: nothing to draw, or a number that is not finite.
    """
    numbers = [number for points in courses.values() for point in points for number in point]
    if not numbers or not all(map(math.isfinite, numbers)):
        raise ArgumentError("courses must hold at least one point, and finite numbers")
    xs, ys = numbers[::2], numbers[1::2]
    x_ticks = steps(min(xs), max(xs), least=1)
    y_ticks = steps(min(ys), max(ys), least=max(1e-9, 1e-3 * max(map(abs, ys))))
    height = max(_HEIGHT, _TOP + _BOTTOM + _ROW * len(courses))
    parts = [*opening(_WIDTH, height), *_grid(x_ticks, y_ticks, height)]
    parts.append(text((_LEFT + _WIDTH - _RIGHT) / 2, height - 12, x_title, "middle"))
    parts.append(upright(16, (_TOP + height - _BOTTOM) / 2, y_title))
    for place, (name, points) in enumerate(courses.items()):
        color = COLORS[place % len(COLORS)]
        placed = [(_across(x, x_ticks), _down(y, y_ticks, height)) for x, y in points]
        parts.append(_curve(name, placed, color))
        below = _TOP + _ROW * place + 10
        parts.append(line(_WIDTH - _RIGHT + 12, below - 4, _WIDTH - _RIGHT + 30, below - 4, color, width=3))
        parts.append(text(_WIDTH - _RIGHT + 36, below, name, "start"))
    return "\n".join([*parts, "</svg>", ""])


def _grid(x_ticks: Sequence[float], y_ticks: Sequence[float], height: int) -> list[str]:
    parts = []
    for tick in x_ticks:
        x = _across(tick, x_ticks)
        parts += [line(x, _TOP, x, height - _BOTTOM, "#e4e4e4"), text(x, height - _BOTTOM + 18, f"{tick:g}", "middle")]
    for tick in y_ticks:
        y = _down(tick, y_ticks, height)
        parts += [line(_LEFT, y, _WIDTH - _RIGHT, y, "#e4e4e4"), text(_LEFT - 8, y + 4, f"{tick:.4g}", "end")]
    return parts


def _curve(name: str, placed: Sequence[tuple[float, float]], color: str) -> str:
    title = f"<title>{escape(name)}</title>"
    if len(placed) == 1:
        x, y = placed[0]
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}">{title}</circle>'
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
    return f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2">{title}</polyline>'


def _across(value: float, ticks: Sequence[float]) -> float:
    return _LEFT + (value - ticks[0]) / (ticks[-1] - ticks[0]) * (_WIDTH - _LEFT - _RIGHT)


def _down(value: float, ticks: Sequence[float], height: int) -> float:
    share = (value - ticks[0]) / (ticks[-1] - ticks[0])
    return height - _BOTTOM - share * (height - _TOP - _BOTTOM)
