"""Contradictions between levels, against a loop over pixels and paths."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from figureground.checks import ArgumentError
from figureground.labels import Label, LabelTree
from figureground.metrics import level_conflicts, score_violations

TREE = LabelTree(
    [
        Label("arm", (1, 0, 0), "upper"),
        Label("body", (2, 0, 0)),
        Label("head", (3, 0, 0), "upper"),
        Label("lower", (4, 0, 0), "body"),
        Label("upper", (5, 0, 0), "body"),
        Label("dog", (6, 0, 0)),
    ]
)
PARTS = LabelTree.named("pascal-person-part")


def scored(**scores):
    return np.array([scores.get(name, 0.0) for name in TREE.names], np.float32)[:, None, None]


def test_a_child_above_its_parent_is_a_violation():
    good = scored(body=0.9, upper=0.5, head=0.5, lower=0.3)
    assert score_violations(TREE, good) == 0
    assert score_violations(TREE, scored(body=0.9, upper=0.5, head=0.6)) == 1
    assert score_violations(TREE, scored(body=0.2, upper=0.5, head=0.1)) == 1
    assert score_violations(TREE, np.concatenate([good, scored(head=1)], axis=2)) == 0.5


def test_sums_over_leaves_never_violate():
    rng = np.random.default_rng(0)
    leaves = rng.dirichlet(np.full(7, 0.2), (40, 50)).astype(np.float32)[..., 1:].transpose(2, 0, 1)
    assert score_violations(PARTS, PARTS.nodes_from_leaves(leaves)) == 0


def test_levels_that_are_each_decided_alone_conflict():
    # The body is sure and its parts are not: alone, the last level would say background.
    assert level_conflicts(TREE, scored(body=0.6, upper=0.6, head=0.3, arm=0.3)) == 1
    assert level_conflicts(TREE, scored(body=0.9, upper=0.9, head=0.8, arm=0.1)) == 0
    # The lower body is likelier than any part of the upper one alone.
    assert level_conflicts(TREE, scored(body=0.95, upper=0.5, head=0.25, arm=0.25, lower=0.45)) == 1
    assert level_conflicts(TREE, scored(dog=0.9)) == 0


def test_conflicts_are_those_of_a_loop():
    rng = np.random.default_rng(1)
    leaves = rng.dirichlet(np.full(7, 0.5), (12, 15))[..., 1:].transpose(2, 0, 1)
    scores = PARTS.nodes_from_leaves(leaves)
    by_name = dict(zip(PARTS.names, scores, strict=True))
    conflicts = 0
    for place in np.ndindex(12, 15):
        way = []
        for level in range(3):
            nodes = [node.name for node in PARTS.level(level)]
            options = {"": 1 - sum(by_name[name][place] for name in nodes)}
            options |= {name: by_name[name][place] for name in nodes}
            way.append(max(options, key=lambda name: options[name]))
        conflicts += any(
            (below != "") != (above != "") or (below != "" and above not in [a.name for a in PARTS.ancestors(below)])
            for above, below in pairwise(way)
        )
    assert 0 < conflicts < 180
    assert level_conflicts(PARTS, scores) == pytest.approx(conflicts / 180)


def test_one_map_for_each_node():
    with pytest.raises(ArgumentError, match=r"scores must be of shape \(6, H, W\)"):
        score_violations(TREE, np.zeros((3, 2, 2)))
    with pytest.raises(ArgumentError, match=r"scores must be of shape \(6, H, W\)"):
        level_conflicts(TREE, np.zeros((6, 2)))
