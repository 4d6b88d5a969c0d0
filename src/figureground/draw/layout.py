"""Pictures next to one another, what lies under transparency, and the list of colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from figureground.checks import ArgumentError, require_image, require_in_range
from figureground.draw.color import RGB, require_color
from figureground.labels import Label

__all__ = ["checkerboard", "legend", "side_by_side", "with_legend"]


def checkerboard(
    height: int, width: int, *, square: int = 16, colors: tuple[RGB, RGB] = ((255, 255, 255), (204, 204, 204))
) -> NDArray[np.uint8]:
    """The usual pattern that stands for transparency: uint8 `(height, width, 3)` with squares of `square` pixels."""
    require_in_range("height", height, 1)
    require_in_range("width", width, 1)
    require_in_range("square", square, 1)
    odd = ((np.arange(height)[:, None] // square) + (np.arange(width)[None, :] // square)) % 2
    board: NDArray[np.uint8] = np.array([require_color("colors", c) for c in colors], dtype=np.uint8)[odd]
    return board


def side_by_side(
    images: Sequence[NDArray[np.uint8]], *, gap: int = 8, color: RGB = (255, 255, 255)
) -> NDArray[np.uint8]:
    """Set pictures in a row, all brought to the height of the lowest one.

    Args:
        images: one or more, uint8 `(h, w, 3)` or `(h, w, 4)`. Transparency is shown over a checkerboard.
        gap: pixels between two pictures, 0 or more.
        color: colour of the gaps.

    Returns:
        uint8 `(H, W, 3)`.

    Raises:
        ArgumentError: no pictures, an array that is none, a negative gap, or not a colour.
    """
    require_in_range("gap", gap, 0)
    if not images:
        raise ArgumentError("images must hold at least one picture")
    for image in images:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in {3, 4} or image.size == 0:
            raise ArgumentError(f"images must be uint8 (h, w, 3) or (h, w, 4), not {image.dtype} of {image.shape}")
    height = min(image.shape[0] for image in images)
    row = [_opaque(_to_height(image, height)) for image in images]
    width = sum(picture.shape[1] for picture in row) + gap * (len(row) - 1)
    out = np.empty((height, width, 3), dtype=np.uint8)
    out[:] = require_color("color", color)
    left = 0
    for picture in row:
        out[:, left : left + picture.shape[1]] = picture
        left += picture.shape[1] + gap
    return out


def legend(labels: Sequence[Label], *, row_height: int = 24) -> NDArray[np.uint8]:
    """List labels with their colours, dark on white. A label whose parent is in the list too is indented under it.

    Args:
        labels: one or more, for instance `LabelTree.labels`.
        row_height: pixels per label, 8 to 500.

    Returns:
        uint8 `(row_height * len(labels) + padding, width, 3)`; the width follows the longest name.

    Raises:
        ArgumentError: no labels, or the row height is out of range.
    """
    require_in_range("row_height", row_height, 8, 500)
    if not labels:
        raise ArgumentError("labels must hold at least one label")
    padding = row_height // 4
    swatch = row_height - 2 * padding
    font = ImageFont.load_default(size=row_height * 0.6)
    parent_of = {label.name: label.parent for label in labels}
    starts = [padding + row_height * _depth(label.name, parent_of) for label in labels]
    texts = [start + swatch + 2 * padding for start in starts]
    right = max(text + font.getlength(label.name) for text, label in zip(texts, labels, strict=True))
    size = round(right) + 2 * padding, row_height * len(labels) + 2 * padding
    picture = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(picture)
    for index, (label, start, text) in enumerate(zip(labels, starts, texts, strict=True)):
        top = padding + index * row_height
        pen.rectangle((start, top + padding, start + swatch, top + padding + swatch), fill=label.color, outline="grey")
        pen.text((text, top + row_height / 2), label.name, fill=(20, 20, 20), font=font, anchor="lm")
    return np.asarray(picture)


def with_legend(image: NDArray[np.uint8], labels: Sequence[Label]) -> NDArray[np.uint8]:
    """Set the `legend` of `labels` to the right of a picture, in a size that goes with it.

    Args:
        image: uint8 `(h, w, 3)`. It is not resized.
        labels: one or more.

    Returns:
        uint8 `(H, W, 3)`, white around the legend; H is more than h only where many labels stand beside a low picture.

    Raises:
        ArgumentError: not a picture, or no labels.
    """
    require_image("image", image)
    row_height = min(max(14, image.shape[0] // max(20, len(labels) + 1)), 60)
    listed = legend(labels, row_height=row_height)
    height, width = max(image.shape[0], listed.shape[0]), image.shape[1] + listed.shape[1]
    out = np.full((height, width, 3), 255, dtype=np.uint8)
    out[: image.shape[0], : image.shape[1]] = image
    out[: listed.shape[0], image.shape[1] :] = listed
    return out


def _depth(name: str, parent_of: dict[str, str | None]) -> int:
    parent = parent_of[name]
    return 0 if parent is None or parent not in parent_of else 1 + _depth(parent, parent_of)


def _to_height(image: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    if image.shape[0] == height:
        return image
    width = max(1, round(image.shape[1] * height / image.shape[0]))
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0))


def _opaque(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if image.shape[2] == 3:
        return image
    square = max(8, image.shape[0] // 32)
    board = Image.fromarray(checkerboard(*image.shape[:2], square=square)).convert("RGBA")
    return np.asarray(Image.alpha_composite(board, Image.fromarray(image)).convert("RGB"))
