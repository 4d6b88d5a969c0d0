"""The exact weights of some pixels of a picture for all others: for pixels that are like few, and to check sums by."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from figureground.refine.gaussian import FAINTEST, NOTHING, Points, Reals, exponents, weights_of

__all__ = ["SparseRows", "exact_sums"]

_BLOCK = 1 << 21
"""Weights worked out at once."""

_CUT = 5e-4
"""Most that is cut of what a pixel receives: once of weights below a limit, and once of those above."""

_LIMITS = (-18.0, -30.0, FAINTEST)
"""Logarithms below which weights are passed over, in turn until what is passed over is little."""

Indices = NDArray[np.int64]


class SparseRows:
    """What some pixels receive from all others and give to them, without the weights that add up to next to nothing.

    Args:
        points: the pixels.
        chosen: numbers of the pixels, each once.

    Attributes:
        chosen: as given.
        pixels: of each pair, the number of the one that receives from or gives to ...
        rows: ... the one of `chosen` at this place.
        weights: and what they weigh for one another.
        others: whether `pixels` are not in `chosen`.
    """

    def __init__(self, points: Points, chosen: Indices) -> None:
        self.chosen = chosen
        found = []
        left = np.arange(len(chosen))
        for limit in _LIMITS:
            rows, pixels, logs = _above(points, chosen[left], limit)
            counts, enough = _that_count(rows, logs, limit, len(left), len(points))
            if limit == _LIMITS[-1]:
                enough[:] = True
            counts &= enough[rows]
            found.append((left[rows[counts]], pixels[counts], np.exp(logs[counts])))
            left = left[~enough]
            if not len(left):
                break
        rows, pixels, weights = (np.concatenate(side) for side in zip(*found, strict=True))
        self.rows: Indices = rows
        self.pixels: Indices = pixels
        self.weights: Reals = weights
        among = np.zeros(len(points), bool)
        among[chosen] = True
        self.others: NDArray[np.bool_] = ~among[pixels]

    def add(self, given: Reals, received: Reals) -> None:
        """Write what the chosen pixels receive into `(pixels,)`, and add there what the others receive from them."""
        into_rows = np.bincount(self.rows, self.weights * given[self.pixels], len(self.chosen))
        received[self.chosen] = into_rows
        from_rows = (self.weights * given[self.chosen][self.rows])[self.others]
        received += np.bincount(self.pixels[self.others], from_rows, len(received)).astype(received.dtype)


def exact_sums(points: Points, chosen: Indices, values: Reals) -> Reals:
    """For the pixels `chosen` the weighted sums of all other pixels' values: `(C, pixels)` to `(C, chosen)`."""
    sums = np.zeros((len(values), len(chosen)), points.dtype)
    for part, logs in _in_parts(points, chosen):
        sums += values[:, part] @ weights_of(logs).T
    return sums


def _in_parts(points: Points, chosen: Indices) -> Iterator[tuple[Indices, Reals]]:
    """Numbers of some pixels at a time, and the logarithms of their weights for the chosen, (chosen, some)."""
    own, step = points.of(chosen), max(1, _BLOCK // len(chosen))
    for start in range(0, len(points), step):
        part = np.arange(start, min(start + step, len(points)))
        logs = exponents(own, points.of(part))
        inside = np.flatnonzero((chosen >= start) & (chosen <= part[-1]))
        logs[inside, chosen[inside] - start] = -np.inf
        yield part, logs


def _above(points: Points, chosen: Indices, limit: float) -> tuple[Indices, Indices, Reals]:
    """Pairs of a place in `chosen` and a pixel, with the logarithm of their weight, where that is above a limit."""
    found = []
    for part, logs in _in_parts(points, chosen):
        places = np.flatnonzero(logs > limit)
        rows, pixels = np.divmod(places, len(part))
        found.append((rows, part[pixels], np.minimum(logs.reshape(-1)[places], 0)))
    rows, pixels, logs = (np.concatenate(side) for side in zip(*found, strict=True))
    return rows, pixels, logs


def _that_count(
    rows: Indices, logs: Reals, limit: float, count: int, pixels: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which pairs count in their row, and of which rows everything below the limit can be passed over."""
    # What each row has in each step of the logarithm, from the faintest up: steps that add up to little are left out.
    steps = int(-limit) + 1
    step = (logs - limit).astype(np.int64)
    by_step = np.bincount(rows * steps + step, np.exp(logs), count * steps).reshape(-1, steps)
    little = _CUT * (by_step.sum(axis=1) + NOTHING)
    return (by_step.cumsum(axis=1) > little[:, None])[rows, step], pixels * np.exp(limit) <= little
