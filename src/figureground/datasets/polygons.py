"""Polygons to masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from figureground.errors import DataError

__all__ = ["polygon_mask"]

_FARTHEST = 1e7


def polygon_mask(points: ArrayLike, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels whose centres lie inside a polygon; where it crosses itself, those inside an odd number of times.

    Args:
        points: (n, 2), x and y of the corners. A pixel reaches from its number to the next, its centre lies between.
        size: (height, width) of the mask; what lies outside is cut off.

    Returns:
        bool (H, W).

    Raises:
        DataError: a corner that is no number, or so far away that it cannot be meant.
    """
    height, width = size
    corners = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    if not (np.abs(corners) <= _FARTHEST).all():
        raise DataError(f"a corner of a polygon lies more than {_FARTHEST:g} pixels away, or nowhere")
    start, end = corners, np.roll(corners, -1, axis=0)
    top, bottom = np.minimum(start[:, 1], end[:, 1]), np.maximum(start[:, 1], end[:, 1])
    first = np.clip(np.ceil(top - 0.5), 0, height).astype(np.int64)
    behind = np.clip(np.ceil(bottom - 0.5), 0, height).astype(np.int64)
    rows_of_edge = behind - first
    edge = np.repeat(np.arange(len(corners)), rows_of_edge)
    within = np.arange(len(edge)) - np.repeat(np.cumsum(rows_of_edge) - rows_of_edge, rows_of_edge)
    row = first[edge] + within
    slope = (end - start)[edge]
    x = start[edge, 0] + (row + 0.5 - start[edge, 1]) * slope[:, 0] / slope[:, 1]
    column = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
    # An edge turns everything to its right from outside to inside, or back.
    turns = np.zeros((height, width + 1), np.int64)
    np.add.at(turns, (row, column), 1)
    return np.asarray(np.cumsum(turns, axis=1)[:, :width] % 2 == 1)
