"""Many small pictures with their names on one large one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from figureground.checks import ArgumentError, require_in_range

__all__ = ["sheet"]

_GAP = 12


def sheet(pictures: Sequence[NDArray[np.uint8]], captions: Sequence[str], *, cell: int = 240) -> NDArray[np.uint8]:
    """Set pictures in rows and columns on white, each shrunk to fit its cell, with a caption below it.

    Args:
        pictures: one or more, uint8 `(h, w, 3)` or `(h, w, 4)`; white shows through what is transparent.
        captions: one line for each. What is too long for its cell is cut off.
        cell: width and height of the place for a picture in pixels, 32 to 4000.

    Returns:
        uint8 `(H, W, 3)`, about as many rows as columns.

    Raises:
        ArgumentError: no pictures, another number of captions, an array that is none, or the cell out of range.
    """
    require_in_range("cell", cell, 32, 4000)
    if not pictures or len(pictures) != len(captions):
        raise ArgumentError(f"pictures and captions must be as many, one or more, not {len(pictures)}, {len(captions)}")
    for picture in pictures:
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in {3, 4} or picture.size == 0:
            raise ArgumentError(f"pictures must be uint8 (h, w, 3) or (h, w, 4), not {picture.dtype} {picture.shape}")
    columns = int(np.ceil(np.sqrt(len(pictures))))
    rows = -(-len(pictures) // columns)
    line = max(14, cell // 12)
    size = columns * (cell + _GAP) + _GAP, rows * (cell + line + 2 * _GAP) + _GAP
    page = Image.new("RGB", size, "white")
    for index, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        row, column = divmod(index, columns)
        tile = _tile(picture, caption, cell, line)
        page.paste(tile, (_GAP + column * (cell + _GAP), _GAP + row * (cell + line + 2 * _GAP)))
    return np.asarray(page)


def _tile(picture: NDArray[np.uint8], caption: str, cell: int, line: int) -> Image.Image:
    """One picture in the middle of its cell, and its caption: RGB, (cell, cell + line + gap)."""
    tile = Image.new("RGB", (cell, cell + line + _GAP), "white")
    shown = Image.fromarray(picture)
    shown.thumbnail((cell, cell), Image.Resampling.BICUBIC)
    place = (cell - shown.width) // 2, (cell - shown.height) // 2
    tile.paste(shown, place, shown if shown.mode == "RGBA" else None)
    font = ImageFont.load_default(size=line * 0.8)
    ImageDraw.Draw(tile).text((cell / 2, cell + _GAP / 2), caption, fill=(20, 20, 20), font=font, anchor="mt")
    return tile
