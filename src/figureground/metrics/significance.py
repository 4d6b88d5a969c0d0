"""How sure a number over photos is, and whether two networks differ by more than the choice of photos.

Photos are drawn, pixels are not: all pixels of one photo stand and fall together. So everything here draws photos anew,
or turns the difference of a photo around.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from figureground.checks import ArgumentError, require_in_range

__all__ = ["bootstrap", "holm", "sign_flip_test"]

_CHUNK = 1 << 20
"""Draws held in memory at once."""
_EXACT = 16
"""Up to so many photos that differ, all ways to turn them are tried."""


def bootstrap(
    sums: ArrayLike, *, over: ArrayLike | None = None, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """The percentile interval of a mean over photos, or of a ratio of sums over photos.

    Args:
        sums: (photos,) a number of each photo, or its numerator. Of several labels (photos, labels): the mean of the
            labels' numbers is meant.
        over: the denominators, of the same shape; None: the mean of `sums` is meant.
        level: share of the draws that lie within.
        draws: how often as many photos are drawn with replacement.
        seed: decides the draws. One seed draws the same photos for every network, which keeps them comparable.

    Returns:
        The lower and the upper end. A label whose denominators are all 0 in a draw is left out of it, and a draw
        without any label counts as 1.

    Raises:
        ArgumentError: no photos, another number of denominators, or a number out of range.
    """
    top = _numbers("sums", sums, axes=(1, 2))
    bottom = np.ones_like(top) if over is None else _numbers("over", over, axes=(1, 2))
    if top.shape != bottom.shape or not top.size:
        raise ArgumentError(f"sums and over must be as many, one or more, not {top.shape} and {bottom.shape}")
    top, bottom = top.reshape(len(top), -1), bottom.reshape(len(bottom), -1)
    require_in_range("level", level, 0.5, 0.9999)
    require_in_range("draws", draws, 1)
    rng = np.random.default_rng(seed)
    drawn = []
    rows = max(1, _CHUNK // top.size)
    for start in range(0, draws, rows):
        chosen = rng.integers(len(top), size=(min(rows, draws - start), len(top)))
        drawn.append(_mean_ratio(top[chosen].sum(1), bottom[chosen].sum(1)))
    low, high = np.quantile(np.concatenate(drawn), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def sign_flip_test(differences: ArrayLike, *, draws: int = 10_000, seed: int = 0) -> float:
    """The probability of a mean difference as large as this one, either way, if the two networks were alike.

    A paired permutation test: were they alike, each photo's difference could as well have the other sign. With at most
    16 photos that differ all signs are tried; with more, `draws` are drawn, and the observed ones count as one of them.

    Args:
        differences: (photos,) a number of one network less that of the other.
        draws: signs that are drawn, where not all are tried.
        seed: decides them.

    Returns:
        In (0, 1]; 1 where no photo differs.

    Raises:
        ArgumentError: not a row of finite numbers, or no draws.
    """
    values = _numbers("differences", differences)
    require_in_range("draws", draws, 1)
    values = values[values != 0]
    if not len(values):
        return 1.0
    observed = abs(values.sum())
    # Sums in another order differ in their last digits.
    least = observed - 1e-9 * np.abs(values).sum()
    if len(values) <= _EXACT:
        patterns = np.arange(2 ** len(values))[:, None] >> np.arange(len(values)) & 1
        return float((np.abs((1 - 2 * patterns) @ values) >= least).mean())
    rng = np.random.default_rng(seed)
    reached = 0
    rows = max(1, _CHUNK // len(values))
    for start in range(0, draws, rows):
        signs = rng.integers(2, size=(min(rows, draws - start), len(values))) * 2 - 1
        reached += int((np.abs(signs @ values) >= least).sum())
    return (1 + reached) / (1 + draws)


def holm(probabilities: Sequence[float]) -> list[float]:
    """Probabilities of several tests, adjusted so that all together err as rarely as one (Holm, 1979).

    Raises:
        ArgumentError: a number that is no probability.
    """
    values = _numbers("probabilities", probabilities)
    if ((values < 0) | (values > 1)).any():
        raise ArgumentError("probabilities must be from 0 to 1")
    order = np.argsort(values, kind="stable")
    left = len(values) - np.arange(len(values))
    raised = np.maximum.accumulate(np.minimum(values[order] * left, 1.0))
    adjusted = np.empty_like(values)
    adjusted[order] = raised
    return [float(value) for value in adjusted]


def _mean_ratio(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    """(draws, labels) -> (draws,): the mean over those labels that are there."""
    there = denominator > 0
    ratio = np.where(there, numerator / np.where(there, denominator, 1.0), 0.0)
    return np.where(there.any(1), ratio.sum(1) / np.maximum(there.sum(1), 1), 1.0)


def _numbers(name: str, values: Any, axes: tuple[int, ...] = (1,)) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim not in axes or not np.isfinite(array).all():
        raise ArgumentError(f"{name} must be a row of finite numbers")
    return array
