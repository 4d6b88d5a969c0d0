"""Marks on a photo: areas tinted, outlines, and index maps as colours."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from figureground.checks import ArgumentError, require_image, require_in_range, require_mask, require_same_size
from figureground.draw.color import RGB, require_color
from figureground.draw.cutout import eight_bit

__all__ = ["contour", "label_map", "overlay", "tint"]

_IGNORE, _IGNORE_COLOR = 255, (128, 128, 128)


def overlay(
    image: NDArray[np.uint8], masks: NDArray[Any], colors: Sequence[RGB], opacity: float = 0.5
) -> NDArray[np.uint8]:
    """Tint areas of the photo, each in its colour, one after the other.

    Args:
        image: uint8 `(H, W, 3)`.
        masks: `(K, H, W)`, bool or floating point in [0, 1]; a probability tints in proportion.
        colors: K colours.
        opacity: how much of the photo the tint covers where the mask is 1; 0 to 1.

    Returns:
        uint8 `(H, W, 3)`.

    Raises:
        ArgumentError: arrays that do not fit each other, another number of colours than masks, opacity out of range.
    """
    require_image("image", image)
    require_in_range("opacity", opacity, 0, 1)
    if masks.ndim != 3 or masks.shape[1:] != image.shape[:2]:
        raise ArgumentError(f"masks must be of shape (K, H, W) over an image of {image.shape[:2]}, not {masks.shape}")
    if len(colors) != len(masks):
        raise ArgumentError(f"colors must be one per mask, {len(masks)}, not {len(colors)}")
    picture = Image.fromarray(image)
    for mask, color in zip(masks, colors, strict=True):
        tint = eight_bit(np.multiply(mask, opacity, dtype=np.float32))
        picture.paste(require_color("colors", color), mask=Image.fromarray(tint))
    return np.asarray(picture)


def contour(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], color: RGB = (255, 255, 255), width: float = 3.0
) -> NDArray[np.uint8]:
    """Draw the outline of `mask` as a smooth line, centred on the edge.

    Args:
        image: uint8 `(H, W, 3)`.
        mask: bool `(H, W)`. The edge of the picture gets no line.
        color: colour of the line.
        width: width of the line in pixels, 1 to 1000.

    Returns:
        uint8 `(H, W, 3)`.

    Raises:
        ArgumentError: arrays that do not fit each other, no colour, or the width out of range.
    """
    require_image("image", image)
    require_mask("mask", mask)
    require_same_size("mask", mask, "image", image)
    require_in_range("width", width, 1, 1000)
    sigma = width / 2
    blurred = Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).filter(ImageFilter.GaussianBlur(sigma))
    picture = Image.fromarray(image)
    picture.paste(require_color("color", color), mask=blurred.point(_line_profile(width, sigma)))
    return np.asarray(picture)


def label_map(
    index_map: NDArray[np.integer[Any]], colors: Sequence[RGB], background: RGB = (0, 0, 0)
) -> NDArray[np.uint8]:
    """Paint an index map in flat colours.

    Args:
        index_map: integer `(H, W)`; 0 is background, k + 1 is colour k, 255 (nobody knows) is grey.
        colors: one colour per label, at most 254.
        background: colour of index 0.

    Returns:
        uint8 `(H, W, 3)`.

    Raises:
        ArgumentError: not an index map, or an index without a colour.
    """
    if not np.issubdtype(index_map.dtype, np.integer) or index_map.ndim != 2 or index_map.size == 0:
        raise ArgumentError(f"index_map must be integer (H, W), not {index_map.dtype} of shape {index_map.shape}")
    if len(colors) >= _IGNORE:
        raise ArgumentError(f"colors must be at most {_IGNORE - 1}, not {len(colors)}")
    known = ((index_map >= 0) & (index_map <= len(colors))) | (index_map == _IGNORE)
    if not known.all():
        raise ArgumentError(f"index_map holds {index_map[~known][0]}, but there are {len(colors)} colors")
    palette = np.zeros((256, 3), dtype=np.uint8)
    palette[_IGNORE] = _IGNORE_COLOR
    palette[: len(colors) + 1] = [
        require_color("background", background),
        *(require_color("colors", c) for c in colors),
    ]
    painted: NDArray[np.uint8] = palette[index_map]
    return painted


def tint(
    image: NDArray[np.uint8], index_map: NDArray[np.integer[Any]], colors: Sequence[RGB], opacity: float = 0.5
) -> NDArray[np.uint8]:
    """Tint the areas of an index map, each in its colour; the same as `overlay` with a mask for each index.

    Args:
        image: uint8 `(H, W, 3)`.
        index_map: integer `(H, W)`, as `label_map` takes it. Index 0 stays as it is.
        colors: one colour per label, at most 254.
        opacity: how much of the photo the tint covers; 0 to 1.

    Returns:
        uint8 `(H, W, 3)`.

    Raises:
        ArgumentError: arrays that do not fit each other, an index without a colour, or the opacity out of range.
    """
    require_image("image", image)
    require_in_range("opacity", opacity, 0, 1)
    require_same_size("index_map", index_map, "image", image)
    painted = Image.fromarray(label_map(index_map, colors))
    picture = Image.fromarray(image)
    picture.paste(painted, mask=Image.fromarray(eight_bit(np.multiply(index_map > 0, opacity, dtype=np.float32))))
    return np.asarray(picture)


def _line_profile(width: float, sigma: float) -> list[int]:
    """Opacity of the line for each value of the blurred mask.

    Across a straight edge, a Gaussian blur turns distance into the normal distribution. Read backwards, the blurred
    value tells the distance to the edge, and so how much of the pixel the line covers.
    """
    normal = NormalDist(sigma=sigma)
    profile = [0]
    for value in range(1, 255):
        distance = abs(normal.inv_cdf(value / 255))
        coverage = min(max(width / 2 + 0.5 - distance, 0.0), 1.0)
        profile.append(round(255 * coverage))
    return [*profile, 0]
