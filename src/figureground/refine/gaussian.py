"""The Gaussian of how far pixels are apart and how unlike their colours are: the weight of a pair of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "EXACT",
    "FAINTEST",
    "NOTHING",
    "Points",
    "exponents",
    "gaussian",
    "weights_of",
]

FAINTEST = -60.0
"""A pair whose weight has a logarithm below this has none. Products with the denormal numbers are many times slower."""

NOTHING = 1e-20
"""Added to the sum of a pixel's weights, by which they are divided: a pixel that receives less than this is alone."""

EXACT = 2048.0
"""Squared features beyond this are multiplied in double precision: a half of it is rounded by 1e-4 in single."""

Reals = NDArray[np.floating[Any]]


class Points:
    """The pixels of a picture as points: row and column over `width`, the colour over `color`, each around its middle.

    Args:
        image: `(H, W, 3)`, red, green and blue of 0 to 255.
        width: standard deviation of the position, in pixels.
        color: standard deviation of the colour, in steps of 0 to 255.
        dtype: the floating type to work in.
    """

    def __init__(self, image: NDArray[Any], width: float, color: float, dtype: Any) -> None:
        self.dtype = dtype
        self._image, self._scale = image, (width, color)
        self._middle = (image.shape[0] - 1) / 2, (image.shape[1] - 1) / 2, image.mean(axis=(0, 1))

    def __len__(self) -> int:
        return int(self._image.shape[0] * self._image.shape[1])

    def of(self, pixels: NDArray[np.int64]) -> Reals:
        """The points `(P, 5)` of the pixels of these numbers."""
        (width, color), (row, column, mean) = self._scale, self._middle
        rows, columns = np.divmod(pixels, self._image.shape[1])
        colors = self._image.reshape(-1, 3)[pixels] - mean
        return np.column_stack(((rows - row) / width, (columns - column) / width, colors / color)).astype(self.dtype)

    def all(self) -> Reals:
        """The points `(H * W, 5)` of all pixels."""
        return self.of(np.arange(len(self)))


def exponents(a: Reals, b: Reals) -> Reals:
    """Minus half the squared distances between points `(A, F)` and `(B, F)`, as `(A, B)`, in the type of `a`."""
    squared_a, squared_b = ((points**2).sum(axis=1, keepdims=True) for points in (a, b))
    one_a, one_b = np.ones_like(squared_a), np.ones_like(squared_b)
    left = np.concatenate((a, -0.5 * squared_a, one_a), axis=1)
    right = np.concatenate((b, one_b, -0.5 * squared_b), axis=1)
    if max(squared_a.max(), squared_b.max()) > EXACT:
        left, right = left.astype(np.float64), right.astype(np.float64)
    return np.asarray((left @ right.T).astype(a.dtype, copy=False))


def gaussian(a: Reals, b: Reals) -> Reals:
    """Weights `(A, B)` between points `(A, F)` and `(B, F)`, 0 beyond `FAINTEST`."""
    return weights_of(exponents(a, b))


def weights_of(logs: Reals) -> Reals:
    """The exponentials of logarithms of weights, in their place; 0 beyond `FAINTEST`."""
    np.clip(logs, FAINTEST, 0, out=logs)
    np.exp(logs, out=logs)
    logs -= np.exp(logs.dtype.type(FAINTEST))
    return logs
