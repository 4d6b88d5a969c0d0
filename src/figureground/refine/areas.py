"""Changing a probability map by its connected areas, softly: what goes takes its faint outline along.

An area is counted by its pixels that reach the threshold. It hangs together over those above half the threshold, which
is where `opacity` begins, so that nothing is left behind of an area that is taken away.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.checks import ArgumentError, require_in_range, require_probabilities
from figureground.refine.components import fill_holes, label_areas

__all__ = ["close_holes", "keep_areas", "keep_largest", "keep_touching"]

Box = tuple[float, float, float, float]
Floats = NDArray[np.float32]


def keep_areas(probabilities: NDArray[np.floating[Any]], threshold: float, *, min_area: float = 1e-3) -> Floats:
    """Take away areas smaller than `min_area`, a fraction of the picture from 0 to 1.

    Args:
        probabilities: of figure, floating point `(H, W)` in [0, 1].
        threshold: from which a pixel is figure, above 0, below 1.
        min_area: smallest area that stays.

    Returns:
        float32 `(H, W)`, 0 where an area was taken away.

    Raises:
        ArgumentError: wrong array, NaN, or a parameter out of its range.
    """
    require_in_range("min_area", min_area, 0, 1)
    areas, sizes = _areas(probabilities, threshold)
    return _kept(probabilities, areas, sizes >= min_area * probabilities.size)


def keep_largest(probabilities: NDArray[np.floating[Any]], threshold: float) -> Floats:
    """Keep the largest area alone; arguments, result and errors are those of `keep_areas`."""
    areas, sizes = _areas(probabilities, threshold)
    return _kept(probabilities, areas, np.arange(sizes.size) == sizes.argmax())


def keep_touching(
    probabilities: NDArray[np.floating[Any]], threshold: float, *, box: Box = (0.25, 0.25, 0.75, 0.75)
) -> Floats:
    """Keep the areas with a pixel of figure inside of a box; the others go whole.

    Args:
        probabilities: as for `keep_areas`; so are the threshold, the result and the errors.
        threshold: from which a pixel is figure.
        box: left, top, right and bottom in fractions of the picture, 0 to 1; it holds at least one pixel.
    """
    if not isinstance(box, (tuple, list)) or len(box) != 4:
        raise ArgumentError(f"box must be four numbers, not {box!r}", remedy="give left, top, right and bottom")
    left, top, right, bottom = box
    for name, value, low in (("left", left, 0), ("top", top, 0), ("right", right, left), ("bottom", bottom, top)):
        require_in_range(f"box {name}", value, low, 1)
    areas, sizes = _areas(probabilities, threshold)
    height, width = probabilities.shape
    rows = slice(min(int(top * height), height - 1), max(int(np.ceil(bottom * height)), int(top * height) + 1))
    columns = slice(min(int(left * width), width - 1), max(int(np.ceil(right * width)), int(left * width) + 1))
    touching = np.zeros(sizes.size, bool)
    touching[areas[rows, columns][probabilities[rows, columns] >= threshold]] = True
    return _kept(probabilities, areas, touching)


def close_holes(probabilities: NDArray[np.floating[Any]], threshold: float, *, max_area: float = 1e-3) -> Floats:
    """Fill holes of at most `max_area`, a fraction of the picture from 0 to 1; 1 fills all.

    What is as far below the threshold as it can be comes to be as far above it. Arguments, result and errors are those
    of `keep_areas`.
    """
    _check(probabilities, threshold)
    mask = np.asarray(probabilities >= threshold)
    filled = fill_holes(mask, max_area=max_area) & ~mask
    closed = probabilities.astype(np.float32)
    closed[filled] = 1 - closed[filled] * np.float32((1 - threshold) / threshold)
    return closed


def _areas(probabilities: NDArray[np.floating[Any]], threshold: float) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Number of the area of each pixel, 0 for none, and how many pixels of figure each number has."""
    _check(probabilities, threshold)
    areas = label_areas(np.asarray(probabilities > threshold / 2))
    sizes = np.bincount(areas[probabilities >= threshold], minlength=int(areas.max()) + 1)
    return areas, sizes


def _kept(
    probabilities: NDArray[np.floating[Any]], areas: NDArray[np.int32], stays: NDArray[np.bool_]
) -> NDArray[np.float32]:
    stays[0] = True  # what is no area is faint, and stays as it is
    return np.where(stays[areas], probabilities, 0).astype(np.float32)


def _check(probabilities: NDArray[np.floating[Any]], threshold: float) -> None:
    require_probabilities("probabilities", probabilities)
    if not 0 < threshold < 1:
        raise ArgumentError(f"threshold must be above 0 and below 1, not {threshold!r}")
