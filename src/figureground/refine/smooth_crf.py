"""A conditional random field that knows no colours: labels are smoothed by what their neighbours are.

It has the meaning of `crfseg` (mishgon/crfseg, MIT), as its learning-free layer was used with FastSeg: mean field with
one Gaussian window, whose middle row and column are left out along with the middle. It takes out specks and rounds
corners; outlines do not move to the photo's edges. `mean_field` does that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.checks import ArgumentError, require_in_range, require_probabilities, require_whole
from figureground.refine.mean_field import log_odds, softmax
from figureground.refine.separable import along_rows_and_columns

__all__ = ["SmoothCrf", "smooth_crf", "smooth_logits"]

Reals = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class SmoothCrf:
    """Settings of the smoothing CRF; the defaults are those of `crfseg`.

    Args:
        iterations: rounds of mean field, 1 to 100.
        width: standard deviation of the window in pixels, 0.1 to 1000.
        size: side of the window in pixels, odd, 3 to 999.
        weight: how much the neighbours count, 0 to 1000.

    Raises:
        ArgumentError: a setting out of its range.
    """

    iterations: int = 5
    width: float = 1.0
    size: int = 11
    weight: float = 1.0

    def __post_init__(self) -> None:
        require_whole("iterations", self.iterations, 1, 100)
        require_in_range("width", self.width, 0.1, 1000)
        require_whole("size", self.size, 3, 999)
        require_in_range("weight", self.weight, 0, 1000)
        if self.size % 2 == 0:
            raise ArgumentError(f"size must be odd, not {self.size}", remedy=f"try {self.size + 1}")

    def taps(self) -> NDArray[np.float64]:
        """The window along one axis from the middle outwards; the middle itself is 0."""
        taps = np.exp(-0.5 * (np.arange(self.size // 2 + 1) / self.width) ** 2)
        taps[0] = 0
        return np.asarray(taps, dtype=np.float64)


def smooth_crf(probabilities: Reals, settings: SmoothCrf | None = None) -> Reals:
    """Smooth the leaves' probabilities `(K, H, W)`, what is missing to 1 being background; returns the same.

    Raises:
        ArgumentError: not floating point `(K, H, W)` in [0, 1], or NaN.
    """
    require_probabilities("probabilities", probabilities, axes=3)
    return softmax(smooth_logits(log_odds(probabilities), settings or SmoothCrf()))


def smooth_logits(logits: Reals, settings: SmoothCrf) -> Reals:
    """Smooth the leaves' logits `(K, H, W)` beside a background of logit 0; returns logits of the same kind."""
    taps = settings.taps()
    everything = along_rows_and_columns(np.ones((1, *logits.shape[1:]), logits.dtype), taps)[0]
    current = logits
    for _ in range(settings.iterations):
        leaf = along_rows_and_columns(softmax(current), taps)
        # The background's share is what the leaves leave of everything.
        leaf += leaf.sum(axis=0) - everything
        leaf *= logits.dtype.type(settings.weight)
        leaf += logits
        current = leaf
    return current
