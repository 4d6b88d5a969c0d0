"""The same symmetric filter along rows and columns, as products with bands of a matrix; zeros lie outside."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["along_rows_and_columns"]

_BLOCK = 128
"""Columns worked on at once. A wider block multiplies by more zeros, a narrower one calls the product more often."""

Reals = NDArray[np.floating[Any]]


def along_rows_and_columns(values: Reals, taps: Reals) -> Reals:
    """Filter maps `(C, H, W)`; `taps[d]` is the weight of the pixels `d` columns or rows away."""
    out = np.empty_like(values)
    for inside, reached, band in _bands(values.shape[2], taps.astype(values.dtype)):
        np.matmul(values[:, :, reached], band, out=out[:, :, inside])
    rows = np.empty_like(out)
    for inside, reached, band in _bands(values.shape[1], taps.astype(values.dtype)):
        np.matmul(band.T, out[:, reached], out=rows[:, inside])
    return rows


def _bands(length: int, taps: Reals) -> list[tuple[slice, slice, Reals]]:
    """Each block, what reaches into it, and the matrix (reached, block) between them."""
    reach = len(taps) - 1
    padded = np.append(taps, taps.dtype.type(0))
    found = []
    for start in range(0, length, _BLOCK):
        inside = slice(start, min(start + _BLOCK, length))
        reached = slice(max(0, start - reach), min(length, inside.stop + reach))
        apart = np.abs(np.arange(reached.start, reached.stop)[:, None] - np.arange(start, inside.stop))
        found.append((inside, reached, padded[np.minimum(apart, reach + 1)]))
    return found
