"""Learned weights against all that there are to choose from."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from figureground.evaluate.mixing import greedy_selection, pattern_search


def nearness(target):
    """The nearer the scaled weights are to `target`, the higher."""

    def score(many):
        return [-float(np.abs(np.array(one) / sum(one) - target).sum()) for one in many]

    return score


def ones(weights):
    return float(sum(weight > 0 for weight in weights))


def test_selection_with_replacement_finds_the_ratio():
    path = greedy_selection(nearness([0.75, 0.25, 0]), ones, 3, 10)
    assert path[-1] == ((3, 1, 0), 0)
    assert [sum(weights) for weights, _ in path] == [1, 2, 3, 4]
    assert path[0][0] == (1, 0, 0)


def test_selection_ends_where_nothing_helps_and_keeps_to_the_budget():
    assert greedy_selection(nearness([0, 1]), ones, 2, 10) == [((0, 1), 0)]
    path = greedy_selection(nearness([0.5, 0.25, 0.25]), ones, 3, 2)
    assert all(ones(weights) <= 2 for weights, _ in path)
    assert greedy_selection(nearness([0.5, 0.5]), ones, 2, 0.5) == []
    assert len(greedy_selection(nearness([0.618, 0.382]), ones, 2, 9, most=5)) <= 5


def test_the_search_comes_as_near_as_the_best_of_a_grid():
    target = np.array([0.62, 0.27, 0.11])
    weights, score = pattern_search(nearness(target), (1, 1, 1))
    grid = [one for one in product(np.arange(0, 1.05, 0.1), repeat=3) if sum(one) > 0]
    assert score >= max(nearness(target)(grid)) - 0.02
    assert sum(weights) == pytest.approx(1)
    assert nearness(target)([weights]) == [pytest.approx(score)]


def test_the_search_moves_only_what_is_used_and_is_never_worse():
    weights, score = pattern_search(nearness([0, 0.2, 0.8]), (0, 1, 1))
    assert weights[0] == 0
    assert score > nearness([0, 0.2, 0.8])([(0, 1, 1)])[0]
    assert pattern_search(nearness([0.5, 0.5]), (1, 1)) == ((0.5, 0.5), 0)
    assert pattern_search(nearness([1, 0]), (0, 2)) == ((0, 1), -2)


def test_a_view_that_only_harms_falls_out():
    weights, _ = pattern_search(nearness([1, 0]), (0.9, 0.1))
    assert weights == (1, 0)
