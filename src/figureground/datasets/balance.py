"""Class weights that balance classes of unequal size, from counts of pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["inverse_frequency", "median_frequency"]


def median_frequency(pixels: NDArray[np.int64]) -> list[float | None]:
    """Median frequency balancing (Eigen and Fergus, arXiv:1411.4734).

    A class's frequency is its share of the pixels of those masks in which it is, and its weight is the median of all
    frequencies divided by its own.

    Args:
        pixels: (masks, classes) counted pixels.

    Returns:
        A weight for each class, None for one that is in no mask.
    """
    in_mask = pixels > 0
    around = (in_mask * pixels.sum(1, keepdims=True)).sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        frequency = pixels.sum(0) / around
        weights = np.nanmedian(frequency) / frequency if in_mask.any() else frequency
    return _finite(weights)


def inverse_frequency(pixels: NDArray[np.int64]) -> list[float | None]:
    """One over a class's share of all pixels, and over the number of classes; of equal classes each weighs 1.

    Arguments and result as of `median_frequency`.
    """
    found = pixels.sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = found.sum() / (np.count_nonzero(found) * found)
    return _finite(weights)


def _finite(weights: NDArray[np.float64]) -> list[float | None]:
    return [float(weight) if np.isfinite(weight) else None for weight in weights]
