"""Boundary F-score: how well the outlines agree, whatever the size of the areas inside them.

After the DAVIS benchmark (Perazzi et al., CVPR 2016), whose measure goes back to Martin et al., PAMI 2004. We differ
from DAVIS in two places: a mask without an outline (empty, or the whole picture) only scores if the other mask equals
it, and the default tolerance is that of the BSDS benchmark, 0.0075 of the diagonal instead of 0.008.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from figureground.checks import require_in_range, require_mask, require_same_size

__all__ = ["boundary_f", "boundary_pixels"]


def boundary_pixels(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark each pixel that differs from its neighbour to the right, below, or below to the right.

    The line is one pixel wide, and the edge of the picture is no boundary. Takes and returns bool `(H, W)`.
    """
    require_mask("mask", mask)
    edge = np.zeros_like(mask)
    edge[:, :-1] |= mask[:, :-1] ^ mask[:, 1:]
    edge[:-1, :] |= mask[:-1, :] ^ mask[1:, :]
    edge[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return edge


def boundary_f(pred: NDArray[np.bool_], true: NDArray[np.bool_], *, tolerance: float = 0.0075) -> float:
    """Harmonic mean of the precision and the recall of boundary pixels, in [0, 1].

    A boundary pixel counts as found when the other boundary has a pixel within a disk around it. The disk's radius is
    `tolerance` times the diagonal of the picture, rounded up to whole pixels; distances are between pixel centres.

    Args:
        pred: predicted mask, bool `(H, W)`.
        true: true mask, bool `(H, W)`.
        tolerance: radius as a fraction of the diagonal, 0 to 1.

    Returns:
        The F-score. If either mask has no boundary: 1.0 for equal masks, else 0.0.

    Raises:
        ArgumentError: a mask is not bool `(H, W)`, the sizes differ, or the tolerance is out of range.
    """
    require_in_range("tolerance", tolerance, 0, 1)
    require_mask("true", true)
    require_same_size("pred", pred, "true", true)
    pred_edge, true_edge = boundary_pixels(pred), boundary_pixels(true)
    if not (pred_edge.any() and true_edge.any()):
        return float(np.array_equal(pred, true))
    radius = math.ceil(tolerance * math.hypot(*true.shape))
    precision = _share_within(pred_edge, true_edge, radius)
    recall = _share_within(true_edge, pred_edge, radius)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _share_within(edge: NDArray[np.bool_], other: NDArray[np.bool_], radius: int) -> float:
    """Share of the pixels of `edge` with a pixel of `other` at most `radius` away.

    A disk is a stack of horizontal runs, and a running sum along the rows says with one subtraction whether a run holds
    anything. So the work grows with the length of the outline times the radius, not with the area of the picture or
    disk.
    """
    height, width = other.shape
    before = np.zeros((height, width + 1), dtype=np.int32)
    np.cumsum(other, axis=1, dtype=np.int32, out=before[:, 1:])
    rows, columns = np.nonzero(edge)
    total = rows.size
    for dy in sorted(range(-radius, radius + 1), key=abs):
        half = math.isqrt(radius * radius - dy * dy)
        row = rows + dy
        inside = (row >= 0) & (row < height)
        row = np.clip(row, 0, height - 1)
        ends = before[row, np.minimum(columns + half + 1, width)]
        starts = before[row, np.maximum(columns - half, 0)]
        missing = ~(inside & (ends > starts))
        rows, columns = rows[missing], columns[missing]
        if not rows.size:
            break
    return 1 - rows.size / total
