"""Scores at every threshold at once: one pass over a probability map counts what 99 masks would."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

STEPS = 100
THRESHOLDS: NDArray[np.float64] = np.arange(1, STEPS) / STEPS
"""The thresholds that are tried: 0.01 to 0.99."""

Tally = NDArray[np.int64]
"""Pixels of one photo at each threshold: (thresholds, 3) of true positives, false positives, false negatives."""


def tally(probability: NDArray[np.float32], true: NDArray[np.bool_]) -> Tally:
    """Count one photo's pixels at each of `THRESHOLDS`.

    Args:
        probability: float32 in [0, 1], (H, W) or flat.
        true: bool (H, W), or flat, of as many pixels.
    """
    counted = np.bincount(levels_of(probability.ravel()) + (STEPS + 1) * true.ravel(), minlength=2 * (STEPS + 1))
    # Row 0 are pixels that are background in truth, row 1 figure; from the highest level down they become positive.
    positive = counted.reshape(2, STEPS + 1)[:, ::-1].cumsum(axis=1)[:, ::-1]
    hits, alarms = positive[1, 1:STEPS], positive[0, 1:STEPS]
    return np.stack([hits, alarms, positive[1, 0] - hits], axis=1)


def levels_of(probability: NDArray[np.float32]) -> NDArray[np.int64]:
    """How many of the thresholds 0.01 to 1 each probability reaches, 0 to `STEPS`; the same shape."""
    # A hair is added so that 0.29 * 100 is 29 and not 28.
    return np.clip((probability * np.float32(STEPS) + np.float32(1e-4)).astype(np.int64), 0, STEPS)


def _ratio(above: NDArray[np.int64], below: NDArray[np.int64]) -> NDArray[np.float64]:
    # Where there is nothing and nothing was said, all is well: the convention of figureground.metrics.
    return np.where(below > 0, above / np.maximum(below, 1), 1.0)


def _dice(tallies: NDArray[np.int64]) -> NDArray[np.float64]:
    hits, alarms, misses = np.moveaxis(tallies, -1, 0)
    return _ratio(2 * hits, 2 * hits + alarms + misses)


def _iou(tallies: NDArray[np.int64]) -> NDArray[np.float64]:
    hits, alarms, misses = np.moveaxis(tallies, -1, 0)
    return _ratio(hits, hits + alarms + misses)


Score = Callable[[NDArray[np.int64]], NDArray[np.float64]]

METRICS: dict[str, Score] = {
    "dice_image_mean": lambda tallies: _dice(tallies).mean(axis=0),
    "iou_image_mean": lambda tallies: _iou(tallies).mean(axis=0),
    "dice_dataset": lambda tallies: _dice(tallies.sum(axis=0)),
    "iou_dataset": lambda tallies: _iou(tallies.sum(axis=0)),
}
"""Name -> score at each threshold, of (photos, thresholds, 3) tallies. The names are those of `BinaryReport`."""


def best_threshold(scores: NDArray[np.float64]) -> int:
    """The index of the best score; of equal ones that nearest to 0.5."""
    best = np.flatnonzero(scores >= scores.max() - 1e-12)
    return int(best[np.abs(THRESHOLDS[best] - 0.5).argmin()])


def bootstrap(
    tallies: NDArray[np.int64], others: NDArray[np.int64] | None, score: Score, *, rounds: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """The middle 95 % of a score, or of its lead over another, when the photos are drawn anew with replacement.

    Args:
        tallies: (photos, ...) at one threshold.
        others: the same photos by somebody else, to give the interval of the difference; None gives that of the score.
        score: of such counts: a value of `METRICS`, or a goal's `score`.
        rounds: how often the photos are drawn.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    found = np.empty(rounds)
    for turn in range(rounds):
        drawn = rng.integers(0, len(tallies), len(tallies))
        found[turn] = score(tallies[drawn])
        if others is not None:
            found[turn] -= score(others[drawn])
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)
