"""Soft erosion: smooth an alpha, take what is surely inside as fully opaque, and fade the rest outwards.

As in bumchik2/HumanSegmentation (`post_processing/`), where it was the last step after an ensemble. We differ in one
place: there, a picture without any pixel below the threshold is an error; here it is opaque all over.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.checks import ArgumentError, require_in_range, require_probabilities, require_whole

__all__ = ["erosion_kernel", "soft_erosion"]

_TILE = 512
"""Side of the squares that the convolution works on; large ones waste memory, small ones waste their margins."""


def soft_erosion(
    alpha: NDArray[np.floating[Any]],
    *,
    kernel: int = 15,
    threshold: float = 0.6,
    iterations: int = 1,
) -> NDArray[np.float32]:
    """Erode softly: pixels whose smoothed alpha reaches the threshold become 1, the others are scaled up to just below
    it.

    Args:
        alpha: floating point `(H, W)` in [0, 1]. Outside of the picture it counts as 0.
        kernel: side of the smoothing kernel in pixels, odd, 3 to 511.
        threshold: smoothed alpha from which a pixel is opaque, above 0, at most 1. Higher erodes more.
        iterations: how often to smooth, 1 to 100; all but the last time a pixel can only become fainter.

    Returns:
        Alpha, float32 `(H, W)` in [0, 1]; the faintest part is stretched so that the largest value below the threshold
        is 1.

    Raises:
        ArgumentError: wrong array, NaN or values outside [0, 1], or a parameter out of its range.
    """
    require_probabilities("alpha", alpha)
    require_whole("kernel", kernel, 3, _TILE - 1)
    require_in_range("threshold", threshold, np.nextafter(0, 1), 1)
    require_whole("iterations", iterations, 1, 100)
    weights = erosion_kernel(kernel)
    smooth = alpha.astype(np.float64)
    for _ in range(iterations - 1):
        smooth = np.minimum(smooth, _convolve(smooth, weights))
    smooth = _convolve(smooth, weights)
    inside = smooth >= threshold
    # The transforms leave a dust of some 1e-17 where the exact sum is 0; scaling by it would turn dust into a mask.
    smooth[smooth < 1e-12] = 0
    highest_outside = smooth[~inside].max(initial=0.0)
    if highest_outside > 0:
        smooth /= highest_outside
    smooth[inside] = 1
    return smooth.astype(np.float32)


def erosion_kernel(size: int) -> NDArray[np.float64]:
    """Cone-shaped weights `(size, size)` that sum to 1: highest in the centre, falling with distance to 0 in the
    corners.

    `size` must be a whole number, odd and at least 3, otherwise `ArgumentError`.
    """
    require_whole("kernel", size, 3)
    if size % 2 == 0:
        raise ArgumentError(f"kernel must be odd, not {size}", remedy=f"try {size + 1}")
    offset = np.arange(size) - size // 2
    distance = np.hypot(offset[:, None], offset[None, :])
    height = distance.max() - distance
    weights: NDArray[np.float64] = height / height.sum()
    return weights


def _convolve(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Same-size convolution with zeros outside, by Fourier transforms over overlapping tiles (overlap-save)."""
    reach = weights.shape[0] // 2
    height, width = values.shape
    # A small picture gets a tile of its own size rounded up to what transforms fast.
    tile = min(_TILE + 2 * reach, 1 << math.ceil(math.log2(max(height, width) + 2 * reach)))
    step = tile - 2 * reach
    spectrum = np.fft.rfft2(weights, (tile, tile))
    out = np.empty_like(values)
    for top in range(0, height, step):
        for left in range(0, width, step):
            block = np.zeros((tile, tile))
            y0, x0 = max(top - reach, 0), max(left - reach, 0)
            part = values[y0 : top - reach + tile, x0 : left - reach + tile]
            y, x = y0 - (top - reach), x0 - (left - reach)
            block[y : y + part.shape[0], x : x + part.shape[1]] = part
            # The first 2 * reach rows and columns hold what wrapped around.
            result = np.fft.irfft2(np.fft.rfft2(block) * spectrum, (tile, tile))[2 * reach :, 2 * reach :]
            target = out[top : top + step, left : left + step]
            target[:] = result[: target.shape[0], : target.shape[1]]
    return out
