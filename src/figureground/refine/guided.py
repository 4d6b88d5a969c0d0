"""Guided upsampling: a small alpha is brought to the size of its photo along the photo's own edges.

The guided filter (He, Sun, Tang, PAMI 2013) with a colour guide, in the fast form of He and Sun (arXiv 1505.00996):
inside each window the alpha is explained as a linear function of the three colours. The coefficients of that function
are found at the small size and are smooth, so they can be enlarged and applied to the full-size colours.

We differ in two places. What the colours do not explain is kept: it is enlarged plainly and added, where the paper
drops it and thereby blurs an alpha that was already right. And windows are cut off at the edge of the picture.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.checks import ArgumentError, require_image, require_in_range, require_probabilities, require_whole

__all__ = ["box_mean", "guided_upsample"]

_STRIP_PIXELS = 1 << 19
"""Full-size pixels worked on at once. Small enough to stay in the processor's cache, large enough to hide the loop."""

_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


def guided_upsample(
    alpha: NDArray[np.floating[Any]],
    image: NDArray[np.uint8],
    *,
    radius: int = 1,
    eps: float = 1e-4,
) -> NDArray[np.float32]:
    """Enlarge `alpha` to the size of `image`, moving its soft edges onto the edges of the photo.

    At the same size alpha comes back as it is, and where the photo has no edge to follow the result is that of bilinear
    enlargement. It helps an alpha that is many times smaller than the photo or soft at its edges. An exact alpha, two
    or three times smaller, is better enlarged plainly: the photo's texture would only roughen it.

    Besides the result, 4 bytes per pixel of the photo, it needs memory for some twenty maps of the alpha's size (8
    bytes per pixel each) and a strip of the photo (20 MB).

    Args:
        alpha: floating point `(h, w)` in [0, 1]; `h` and `w` at most those of the photo.
        image: the photo, uint8 `(H, W, 3)`.
        radius: half the side of the window, in pixels of `alpha`; 1 to 1000. Larger looks further for an edge.
        eps: variance of the colours (in [0, 1] units, squared) below which a window counts as flat and is only
            smoothed; 1e-8 to 1. Smaller follows fainter edges.

    Returns:
        Alpha, float32 `(H, W)` in [0, 1].

    Raises:
        ArgumentError: wrong array, NaN or values outside [0, 1], or a parameter out of its range.
    """
    require_probabilities("alpha", alpha)
    require_image("image", image)
    require_whole("radius", radius, 1, 1000)
    require_in_range("eps", eps, 1e-8, 1)
    height, width = image.shape[:2]
    if alpha.shape[0] > height or alpha.shape[1] > width:
        raise ArgumentError(f"alpha is {alpha.shape}, larger than image {(height, width)}; it must not be")
    small = Image.fromarray(image).resize((alpha.shape[1], alpha.shape[0]), Image.Resampling.BOX)
    guide = np.moveaxis(np.asarray(small), 2, 0) / 255.0
    given = alpha.astype(np.float64)
    slopes, offset = _window_coefficients(guide, given, radius, eps)
    unexplained = given - (slopes * guide).sum(axis=0) - offset
    # The photo is used as it lies in memory, 0 to 255, so the slopes take the division by 255 upon themselves.
    return _apply_coefficients((*(slopes / 255), offset + unexplained), image)


def box_mean(values: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    """Mean over the square window around each pixel, cut off at the border, in time that does not depend on the radius.

    Takes and returns float64 `(H, W)`; the window is `2 radius + 1` pixels wide. `radius` must be a whole number, at
    least 0, otherwise `ArgumentError`.
    """
    require_whole("radius", radius, 0)
    return _running_mean(_running_mean(values, radius, 0), radius, 1)


def _running_mean(values: NDArray[np.float64], radius: int, axis: int) -> NDArray[np.float64]:
    length = values.shape[axis]
    sums = np.cumsum(values, axis=axis)
    sums = np.concatenate([np.zeros_like(sums.take([0], axis=axis)), sums], axis=axis)
    position = np.arange(length)
    start, end = np.maximum(position - radius, 0), np.minimum(position + radius + 1, length)
    counts = (end - start).reshape((-1, 1) if axis == 0 else (1, -1))
    window: NDArray[np.float64] = (sums.take(end, axis=axis) - sums.take(start, axis=axis)) / counts
    return window


def _window_coefficients(
    guide: NDArray[np.float64], alpha: NDArray[np.float64], radius: int, eps: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Slopes `(3, h, w)` and offset `(h, w)` of the linear functions, averaged over the windows around each pixel."""
    mean_alpha = box_mean(alpha, radius)
    mean = np.stack([box_mean(channel, radius) for channel in guide])
    covariance = np.stack([box_mean(c * alpha, radius) for c in guide]) - mean * mean_alpha
    spread = np.empty((3, 3, *alpha.shape))
    for i, j in _PAIRS:
        spread[i, j] = spread[j, i] = box_mean(guide[i] * guide[j], radius) - mean[i] * mean[j]
        if i == j:
            spread[i, i] += eps
    slopes = _solve_symmetric(spread, covariance)
    offset = mean_alpha - (slopes * mean).sum(axis=0)
    return np.stack([box_mean(slope, radius) for slope in slopes]), box_mean(offset, radius)


def _solve_symmetric(m: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve a symmetric 3 by 3 system at every pixel by cofactors; `m` `(3, 3, h, w)`, `v` and the result `(3, h, w)`.

    `np.linalg.solve` calls LAPACK once per pixel, which is many times slower than these few whole-array products.
    """
    c00 = m[1, 1] * m[2, 2] - m[1, 2] ** 2
    c01 = m[0, 2] * m[1, 2] - m[0, 1] * m[2, 2]
    c02 = m[0, 1] * m[1, 2] - m[0, 2] * m[1, 1]
    c11 = m[0, 0] * m[2, 2] - m[0, 2] ** 2
    c12 = m[0, 1] * m[0, 2] - m[0, 0] * m[1, 2]
    c22 = m[0, 0] * m[1, 1] - m[0, 1] ** 2
    determinant = m[0, 0] * c00 + m[0, 1] * c01 + m[0, 2] * c02
    rows = ((c00, c01, c02), (c01, c11, c12), (c02, c12, c22))
    return np.stack([(a * v[0] + b * v[1] + c * v[2]) / determinant for a, b, c in rows])


def _apply_coefficients(maps: tuple[NDArray[np.float64], ...], image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Enlarge three slopes and the offset to the photo's size and evaluate them there, strip by strip."""
    height, width = image.shape[:2]
    small = [Image.fromarray(values.astype(np.float32)) for values in maps]
    small_height = maps[0].shape[0]
    out = np.empty((height, width), dtype=np.float32)
    strip = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, strip):
        bottom = min(top + strip, height)
        box = (0, top * small_height / height, maps[0].shape[1], bottom * small_height / height)
        size = (width, bottom - top)
        red, green, blue, alpha = (np.array(m.resize(size, Image.Resampling.BILINEAR, box=box)) for m in small)
        for channel, slope in enumerate((red, green, blue)):
            slope *= image[top:bottom, :, channel]
            alpha += slope
        np.clip(alpha, 0, 1, out=out[top:bottom])
    return out
