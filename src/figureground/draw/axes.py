"""What plots as SVG have in common: lines, words, colours and round numbers on an axis."""

from __future__ import annotations

import math
from xml.sax.saxutils import escape

COLORS = ("#4287f5", "#ef5350", "#2e9e5b", "#ab47bc", "#ff9800", "#26a6c6", "#795548", "#607d8b")


def line(x0: float, y0: float, x1: float, y1: float, color: str, width: int = 1) -> str:
    """A straight line as an SVG element."""
    return f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="{color}" stroke-width="{width}"/>'


def text(x: float, y: float, words: str, anchor: str) -> str:
    """Words as an SVG element; `anchor` is start, middle or end."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def upright(x: float, y: float, words: str) -> str:
    """Words that run upwards, centred, as an SVG element."""
    return f'<text transform="translate({x:.1f} {y:.1f}) rotate(-90)" text-anchor="middle">{escape(words)}</text>'


def opening(width: int, height: int) -> list[str]:
    """The first elements of an SVG file: its size and a white ground."""
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]


def steps(low: float, high: float, least: float = 1e-3) -> list[float]:
    """About five round numbers from below `low` to above `high`, which lie at least `least` apart."""
    span = max(high - low, least)
    unit = 10.0 ** math.floor(math.log10(span / 4))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor * 5 >= span)
    first, last = math.floor(low / step), math.ceil(high / step)
    # As many digits as the step has, so that 3 * 0.1 is 0.3.
    digits = max(0, -math.floor(math.log10(step))) + 1
    return [round(step * count, digits) for count in range(first, max(last, first + 1) + 1)]
