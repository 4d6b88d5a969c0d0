"""A confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from figureground.checks import ArgumentError

__all__ = ["confusion_matrix"]

_CELL, _MARGIN, _FONT = 46, 10, 14
_WHITE, _BLUE = np.array([255, 255, 255]), np.array([16, 78, 160])
_INK, _PALE_INK = (20, 20, 20), (255, 255, 255)


def confusion_matrix(counts: NDArray[np.integer[Any]], names: Sequence[str]) -> NDArray[np.uint8]:
    """Draw a table of pixels with a row for each true and a column for each predicted label.

    Each cell shows in per cent, and by its blue, the share of its row: what became of the pixels of a label. A row
    without pixels is empty.

    Args:
        counts: (K, K) numbers, not negative.
        names: K names, in the order of rows and columns.

    Returns:
        uint8 `(H, W, 3)`, dark on white.

    Raises:
        ArgumentError: no square table, negative numbers, or another number of names.
    """
    if counts.ndim != 2 or counts.shape != (len(names), len(names)) or not names or counts.min() < 0:
        raise ArgumentError(f"counts must be a table of {len(names)} x {len(names)} numbers, not {counts.shape}")
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    font = ImageFont.load_default(size=_FONT)
    longest = int(max(font.getlength(name) for name in names)) + 2 * _MARGIN
    left, top = longest + _FONT + _MARGIN, longest + _FONT + _MARGIN
    picture = Image.new("RGB", (left + _CELL * len(names) + _MARGIN, top + _CELL * len(names) + _MARGIN), "white")
    pen = ImageDraw.Draw(picture)
    for row, column in np.ndindex(*counts.shape):
        if totals[row]:
            _cell(pen, (left + column * _CELL, top + row * _CELL), float(shares[row, column]), font)
    for k, name in enumerate(names):
        middle = (k + 0.5) * _CELL
        pen.text((left - _MARGIN, top + middle), name, fill=_INK, font=font, anchor="rm")
        _upright(picture, name, (round(left + middle), top - _MARGIN), font)
    pen.text((left, _MARGIN / 2), "predicted", fill=_INK, font=font, anchor="lt")
    _upright(picture, "true", (_FONT, top + _MARGIN + round(font.getlength("true"))), font)
    return np.asarray(picture)


def _cell(pen: ImageDraw.ImageDraw, place: tuple[int, int], share: float, font: Any) -> None:
    color = tuple(int(part) for part in np.rint(_WHITE + (_BLUE - _WHITE) * share))
    x, y = place
    pen.rectangle((x, y, x + _CELL - 2, y + _CELL - 2), fill=color)
    ink = _PALE_INK if share > 0.5 else _INK
    pen.text((x + _CELL / 2, y + _CELL / 2), f"{share:.1%}"[:-1], fill=ink, font=font, anchor="mm")


def _upright(picture: Image.Image, text: str, foot: tuple[int, int], font: Any) -> None:
    """Write `text` from below upwards; `foot` is the middle of its lower end."""
    length, height = round(font.getlength(text)) + 2, _FONT + 4
    line = Image.new("RGB", (length, height), "white")
    ImageDraw.Draw(line).text((0, height / 2), text, fill=_INK, font=font, anchor="lm")
    turned = line.transpose(Image.Transpose.ROTATE_90)
    picture.paste(turned, (foot[0] - height // 2, foot[1] - length))
