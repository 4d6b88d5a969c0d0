"""The four pixel counts, and the numbers that follow from them.

One convention holds for every ratio here: where its denominator is zero, it is 1.0 if the two masks agree everywhere
and 0.0 otherwise. So an empty prediction for an empty scene is perfect in every number, and nobody gains from saying
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from figureground.checks import require_mask, require_same_size

__all__ = ["Counts", "counts", "dice", "iou", "precision", "recall"]


@dataclass(frozen=True)
class Counts:
    """Numbers of pixels: true positive, false positive, false negative, true negative. Two of them can be added."""

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn)

    @property
    def total(self) -> int:
        """All pixels that were counted."""
        return self.tp + self.fp + self.fn + self.tn


def counts(pred: NDArray[np.bool_], true: NDArray[np.bool_], valid: NDArray[np.bool_] | None = None) -> Counts:
    """Count the pixels of `pred` against those of `true`.

    Args:
        pred: predicted mask, bool `(H, W)`.
        true: true mask, bool `(H, W)`.
        valid: bool `(H, W)`, False where nobody knows the truth; those pixels are not counted. None counts all.

    Raises:
        ArgumentError: a mask is not bool `(H, W)`, or the sizes differ.
    """
    require_mask("pred", pred)
    require_mask("true", true)
    require_same_size("pred", pred, "true", true)
    total = pred.size
    if valid is not None:
        require_mask("valid", valid)
        require_same_size("valid", valid, "true", true)
        pred, true, total = pred & valid, true & valid, int(np.count_nonzero(valid))
    tp = int(np.count_nonzero(pred & true))
    fp = int(np.count_nonzero(pred)) - tp
    fn = int(np.count_nonzero(true)) - tp
    return Counts(tp=tp, fp=fp, fn=fn, tn=total - tp - fp - fn)


def dice(c: Counts) -> float:
    """Dice coefficient `2 tp / (2 tp + fp + fn)`, the F1 score of the pixels, in [0, 1]."""
    return _ratio(2 * c.tp, 2 * c.tp + c.fp + c.fn, c)


def iou(c: Counts) -> float:
    """Intersection over union `tp / (tp + fp + fn)`, in [0, 1]."""
    return _ratio(c.tp, c.tp + c.fp + c.fn, c)


def precision(c: Counts) -> float:
    """Share of the predicted pixels that are true, `tp / (tp + fp)`, in [0, 1]."""
    return _ratio(c.tp, c.tp + c.fp, c)


def recall(c: Counts) -> float:
    """Share of the true pixels that were predicted, `tp / (tp + fn)`, in [0, 1]."""
    return _ratio(c.tp, c.tp + c.fn, c)


def _ratio(numerator: int, denominator: int, c: Counts) -> float:
    if denominator:
        return numerator / denominator
    return float(c.fp + c.fn == 0)
