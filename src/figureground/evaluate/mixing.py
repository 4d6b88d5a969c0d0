"""Weights of an ensemble, learned by raising the very number that is measured.

- Greedy selection with replacement: Caruana et al., Ensemble selection from libraries of models, ICML 2004. A view that
  is chosen twice counts twice, so the number of times each was chosen is its weight.
- Pattern search (Hooke and Jeeves, 1961) on the weights: the metric is a staircase, which has no gradient to follow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

Weights = tuple[float, ...]
Scores = Callable[[Sequence[Weights]], list[float]]
"""The score of each of several weightings, the higher the better. They are asked for together because that is cheap."""


_PATIENCE = 2
"""A selection that brings nothing may be on the way to one that does: from 1 : 0 to 3 : 1, by way of 1 : 1."""


def greedy_selection(
    score: Scores, cost: Callable[[Weights], float], views: int, budget: float, *, most: int = 12
) -> list[tuple[Weights, float]]:
    """Start with the best view and add, again and again, the one that raises the score most.

    Args:
        score: of weightings of length `views`.
        cost: of one weighting; what costs more than `budget` is not taken.
        views: how many there are.
        budget: in the unit of `cost`.
        most: selections, repeated ones counted.

    Returns:
        The weighting after each selection with its score, up to the best one. The search ends at `most`, or after two
        selections in a row that brought nothing. Empty where every view costs too much.
    """
    chosen: Weights = (0.0,) * views
    path: list[tuple[Weights, float]] = []
    best_at = 0
    while len(path) < min(most, best_at + 1 + _PATIENCE):
        tried = [_added(chosen, index) for index in range(views)]
        tried = [weights for weights in tried if cost(weights) <= budget]
        if not tried:
            break
        scored = list(zip(tried, score(tried), strict=True))
        path.append(max(scored, key=lambda pair: pair[1]))
        chosen = path[-1][0]
        if path[-1][1] > path[best_at][1]:
            best_at = len(path) - 1
    return path[: best_at + 1]


def pattern_search(
    score: Scores, start: Weights, *, steps: Sequence[float] = (0.2, 0.1, 0.05), most: int = 8
) -> tuple[Weights, float]:
    """Move weight to and from each view in turn as long as the score rises, by smaller and smaller steps.

    Only views that `start` uses are moved, and none falls below 0, so nothing becomes dearer; one may fall out.

    Args:
        score: of weightings.
        start: to improve on.
        steps: sizes of the moves, as shares of the whole weight.
        most: moves of each size, at most.

    Returns:
        The best weighting, scaled to sum to 1, and its score; never worse than `start`.
    """
    used = [index for index, weight in enumerate(start) if weight > 0]
    best = _scaled(start)
    (highest,) = score([best])
    if len(used) < 2:
        return best, highest
    for step in steps:
        for _ in range(most):
            tried = [_moved(best, index, way * step) for index in used for way in (1, -1)]
            tried = [weights for weights in tried if sum(weights) > 0]
            scored = list(zip(tried, score(tried), strict=True))
            found = max(scored, key=lambda pair: pair[1])
            if found[1] <= highest:
                break
            best, highest = _scaled(found[0]), found[1]
    return best, highest


def _added(weights: Weights, index: int) -> Weights:
    return tuple(weight + (position == index) for position, weight in enumerate(weights))


def _moved(weights: Weights, index: int, step: float) -> Weights:
    return tuple(max(0.0, weight + step * (position == index)) for position, weight in enumerate(weights))


def _scaled(weights: Weights) -> Weights:
    total = sum(weights)
    return tuple(weight / total for weight in weights)
