"""Colours as people write them."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import ImageColor

from figureground.checks import ArgumentError

__all__ = ["RGB", "parse_color", "require_color"]

RGB = tuple[int, int, int]
"""Red, green and blue, each 0 to 255."""


def parse_color(text: str) -> RGB:
    """Read a colour: a CSS name, `#rgb`, `#rrggbb`, `rgb(r, g, b)`, `hsl(h, s%, l%)` and what else Pillow understands.

    >>> parse_color("white"), parse_color("#08f")
    ((255, 255, 255), (0, 136, 255))

    Raises:
        ArgumentError: not a colour, or a colour with transparency.
    """
    remedy = "write a name or a code, such as white, #0088ff or rgb(0, 136, 255)"
    try:
        channels = ImageColor.getrgb(text.strip())
    except ValueError as error:
        raise ArgumentError(f"'{text}' is not a colour", remedy=remedy) from error
    if len(channels) != 3:
        raise ArgumentError(f"'{text}' has transparency, which has no meaning here", remedy=remedy)
    return channels


def require_color(name: str, color: Sequence[int]) -> RGB:
    """Return `color` as a plain triple; raise `ArgumentError` unless it is three numbers from 0 to 255."""
    if len(color) != 3 or not all(0 <= channel <= 255 for channel in color):
        raise ArgumentError(f"{name} must be three numbers from 0 to 255, not {tuple(color)}")
    red, green, blue = (int(channel) for channel in color)
    return red, green, blue
