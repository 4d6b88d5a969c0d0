"""How far scores of the nodes of a label tree contradict one another: shares of pixels, from node scores (nodes, H, W).

After the T-property of HSSN (arXiv:2203.14335): what is part of a label is in the label, so no node should score higher
than the one above it. Scores that are sums over leaves never do; those of a network with one output per node may.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.checks import ArgumentError
from figureground.labels import LabelTree

__all__ = ["level_conflicts", "score_violations"]

_ROUNDING = 1e-5


def score_violations(labels: LabelTree, scores: NDArray[np.floating[Any]]) -> float:
    """Return the share of pixels where some node scores higher than its parent (by more than rounding, 1e-5).

    Args:
        labels: the tree.
        scores: (nodes, H, W) in [0, 1], in `labels` order.

    Raises:
        ArgumentError: another number of maps than nodes.
    """
    _require_nodes(labels, scores)
    wrong = np.zeros(scores.shape[1:], np.bool_)
    for child, label in enumerate(labels.labels):
        if label.parent is not None:
            wrong |= scores[child] > scores[labels.index(label.parent)] + _ROUNDING
    return float(wrong.mean())


def level_conflicts(labels: LabelTree, scores: NDArray[np.floating[Any]]) -> float:
    """Return the share of pixels where the best labels of the levels, each taken by itself, are on no common path.

    Background takes part at every level with 1 minus the sum of the level's labels. So this is how often results would
    contradict themselves if each level were decided alone, which `Segmentation.level` does not do. Arguments and errors
    are those of `score_violations`.
    """
    _require_nodes(labels, scores)
    wrong = np.zeros(scores.shape[1:], np.bool_)
    above: NDArray[np.int64] | None = None
    for level in range(labels.depth):
        nodes = labels.level(level)
        maps = scores[[labels.index(node.name) for node in nodes]]
        best = np.concatenate([1 - maps.sum(axis=0, keepdims=True), maps]).argmax(axis=0)
        if above is not None:
            upper = [label.name for label in labels.level(level - 1)]
            parents = [0, *(1 + upper.index(node.name if node.name in upper else str(node.parent)) for node in nodes)]
            wrong |= np.array(parents)[best] != above
        above = best
    return float(wrong.mean())


def _require_nodes(labels: LabelTree, scores: NDArray[Any]) -> None:
    if scores.ndim != 3 or len(scores) != len(labels):
        raise ArgumentError(f"scores must be of shape ({len(labels)}, H, W), one map per node, not {scores.shape}")
