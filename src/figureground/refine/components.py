"""Connected areas of a mask, found over runs of pixels instead of pixels: a 12-megapixel mask has few runs.

Foreground pixels hang together over corners too (8 neighbours), background pixels only over sides (4 neighbours). That
is the pairing under which a closed outline always separates its inside from its outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.checks import require_in_range, require_mask, require_probabilities

__all__ = ["bounding_boxes", "connected_areas", "drop_unsure", "fill_holes", "label_areas", "remove_specks"]

_Indices = NDArray[np.int64]


@dataclass(frozen=True)
class _Runs:
    """Maximal horizontal runs of True pixels, in reading order. `end` is one past the last column."""

    row: _Indices
    start: _Indices
    end: _Indices
    shape: tuple[int, int]

    @property
    def length(self) -> _Indices:
        return self.end - self.start

    def paint(self, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask of the chosen runs: a running sum over +1 at each start and -1 at each end."""
        height, width = self.shape
        steps = np.zeros((height, width + 1), dtype=np.int8)
        steps[self.row[chosen], self.start[chosen]] = 1
        steps[self.row[chosen], self.end[chosen]] = -1
        return np.cumsum(steps, axis=1, dtype=np.int8)[:, :-1].astype(bool)


def remove_specks(mask: NDArray[np.bool_], *, min_area: float = 1e-3) -> NDArray[np.bool_]:
    """Take away connected areas (8 neighbours) smaller than `min_area`.

    Args:
        mask: bool `(H, W)`; it is not changed.
        min_area: smallest area that stays, as a fraction of the whole picture, 0 to 1. If every area is smaller, the
            result is empty.

    Raises:
        ArgumentError: `mask` is not bool `(H, W)`, or `min_area` is out of range.
    """
    require_mask("mask", mask)
    require_in_range("min_area", min_area, 0, 1)
    runs = _find_runs(mask)
    component = _connect(runs, diagonal=True)
    area = np.bincount(component, weights=runs.length)
    return runs.paint(area[component] >= min_area * mask.size)


def fill_holes(mask: NDArray[np.bool_], *, max_area: float = 1e-3) -> NDArray[np.bool_]:
    """Fill holes of at most `max_area`. A hole is background (4 neighbours) that does not touch the picture's edge.

    Args:
        mask: bool `(H, W)`; it is not changed.
        max_area: largest hole that is filled, as a fraction of the whole picture, 0 to 1. 1 fills all holes.

    Raises:
        ArgumentError: `mask` is not bool `(H, W)`, or `max_area` is out of range.
    """
    require_mask("mask", mask)
    require_in_range("max_area", max_area, 0, 1)
    height, width = mask.shape
    runs = _find_runs(~mask)
    component = _connect(runs, diagonal=False)
    area = np.bincount(component, weights=runs.length)
    at_edge = (runs.row == 0) | (runs.row == height - 1) | (runs.start == 0) | (runs.end == width)
    is_open = np.bincount(component, weights=at_edge) > 0
    is_small_hole = ~is_open & (area <= max_area * mask.size)
    return mask | runs.paint(is_small_hole[component])


def drop_unsure(
    probabilities: NDArray[np.floating[Any]], support: float = 0.25, peak: float = 0.9
) -> NDArray[np.float32]:
    """Take away what the network is nowhere sure of: connected areas (8 neighbours) that never reach `peak`.

    An area is made of pixels above `support`. A person has a sure inside; what fires faintly on a scene without people
    has none. Areas that stay keep their values, and so does everything at or below `support`.

    Args:
        probabilities: floating point `(H, W)` in [0, 1], at the network's size; it is not changed.
        support: probability above which pixels hang together, 0 to 1.
        peak: an area with at least one pixel of this probability stays; 0 to 1. At or below `support` all stay.

    Returns:
        float32 `(H, W)`, 0 where an area was taken away.

    Raises:
        ArgumentError: wrong array, NaN or values outside [0, 1], or a parameter out of its range.
    """
    require_probabilities("probabilities", probabilities)
    require_in_range("support", support, 0, 1)
    require_in_range("peak", peak, 0, 1)
    kept = np.array(probabilities, dtype=np.float32, order="C")
    runs = _find_runs(probabilities > support)
    if not runs.row.size:
        return kept
    component = _connect(runs, diagonal=True)
    # What follows a run up to the next one is background, which is below the run, so it does not change the maximum.
    run_peak = np.maximum.reduceat(probabilities.ravel(), runs.row * runs.shape[1] + runs.start)
    highest = np.zeros(runs.row.size, run_peak.dtype)
    np.maximum.at(highest, component, run_peak)
    unsure = highest[component] < peak
    if unsure.any():
        kept[runs.paint(unsure)] = 0
    return kept


def connected_areas(mask: NDArray[np.bool_]) -> _Indices:
    """Sizes in pixels of the connected areas (8 neighbours) of a bool `(H, W)` mask, largest first."""
    require_mask("mask", mask)
    runs = _find_runs(mask)
    area = np.bincount(_connect(runs, diagonal=True), weights=runs.length).astype(np.int64)
    return np.sort(area[area > 0])[::-1]


def label_areas(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The number, from 1 on, of the connected area (8 neighbours) of each True pixel; 0 elsewhere. int32 `(H, W)`."""
    require_mask("mask", mask)
    runs = _find_runs(mask)
    number = np.unique(_connect(runs, diagonal=True), return_inverse=True)[1] + 1
    height, width = runs.shape
    # Up by its number where a run starts, down where it ends; a running sum paints what is between.
    steps = np.zeros((height, width + 1), np.int32)
    np.add.at(steps, (runs.row, runs.start), number)
    np.add.at(steps, (runs.row, runs.end), -number)
    return np.cumsum(steps, axis=1, dtype=np.int32)[:, :-1]


def bounding_boxes(mask: NDArray[np.bool_]) -> _Indices:
    """The boxes around the connected areas (8 neighbours) of a bool `(H, W)` mask, those of the largest areas first.

    Returns:
        int64 `(n, 4)`: top, left, bottom, right in pixels, the last two excluded.
    """
    require_mask("mask", mask)
    runs = _find_runs(mask)
    component = _connect(runs, diagonal=True)
    area = np.bincount(component, weights=runs.length, minlength=1)
    boxes = np.empty((area.size, 4), dtype=np.int64)
    boxes[:, :2], boxes[:, 2:] = max(mask.shape), 0
    for column, values in enumerate((runs.row, runs.start)):
        np.minimum.at(boxes[:, column], component, values)
    for column, values in enumerate((runs.row + 1, runs.end), start=2):
        np.maximum.at(boxes[:, column], component, values)
    order = np.argsort(-area, kind="stable")
    return boxes[order[area[order] > 0]]


def _find_runs(mask: NDArray[np.bool_]) -> _Runs:
    height, width = mask.shape
    framed = np.zeros((height, width + 2), dtype=np.int8)
    framed[:, 1:-1] = mask
    flat = framed.ravel()
    # The frame of zeros keeps runs from crossing rows, so starts and ends alternate in the flat order.
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    row, start = np.divmod(changes[::2], width + 2)
    return _Runs(row, start, changes[1::2] - row * (width + 2), (height, width))


def _connect(runs: _Runs, *, diagonal: bool) -> _Indices:
    """The component of each run: the number of the first run in it."""
    upper, lower = _touching(runs, slack=int(diagonal))
    component = np.arange(runs.row.size)
    # Hook every root below the smallest root it touches, then let all runs point at their roots; repeat until still.
    while upper.size:
        a, b = component[upper], component[lower]
        differ = a != b
        if not differ.any():
            break
        upper, lower, a, b = upper[differ], lower[differ], a[differ], b[differ]
        np.minimum.at(component, np.maximum(a, b), np.minimum(a, b))
        component = _point_at_roots(component)
    return component


def _touching(runs: _Runs, *, slack: int) -> tuple[_Indices, _Indices]:
    """All pairs (run, run in the row below) that share a column, give or take `slack` columns."""
    stride = runs.shape[1] + 2
    starts, ends = runs.row * stride + runs.start, runs.row * stride + runs.end
    below = stride - slack
    first = np.searchsorted(ends, starts + below, side="right")
    last = np.searchsorted(starts, ends + stride + slack, side="left")
    number = np.maximum(last - first, 0)
    upper = np.repeat(np.arange(runs.row.size), number)
    rank = np.arange(upper.size) - np.repeat(np.cumsum(number) - number, number)
    return upper, first[upper] + rank


def _point_at_roots(parent: NDArray[Any]) -> _Indices:
    while True:
        grandparent = parent[parent]
        if np.array_equal(grandparent, parent):
            return parent
        parent = grandparent
