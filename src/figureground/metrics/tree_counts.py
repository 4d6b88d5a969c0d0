"""IoU over a data set at every level of a label tree, from one confusion matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.labels import LabelTree

__all__ = ["TreeCounts"]


class TreeCounts:
    """Adds up index maps; far cheaper than a `TreeReport`, and without its numbers per image.

    Index maps hold 0 for background and k + 1 for leaf k; a true pixel with any other value is not counted.
    """

    def __init__(self, labels: LabelTree) -> None:
        self.labels = labels
        classes = 1 + len(labels.leaves)
        self.confusion: NDArray[np.int64] = np.zeros((classes, classes), np.int64)
        """Pixels by true class (rows) and predicted class (columns), background first."""

    def add(self, pred: NDArray[np.integer[Any]], true: NDArray[np.integer[Any]]) -> None:
        """Count one image: two (H, W) index maps."""
        classes = len(self.confusion)
        counted = true < classes
        cells = true[counted].astype(np.int64) * classes + pred[counted]
        self.confusion += np.bincount(cells, minlength=classes**2).reshape(classes, classes)

    def node_iou(self) -> dict[str, float]:
        """The data set's IoU of every node: the leaves below it merged. 1 where it neither is nor was predicted."""
        below = np.pad(self.labels.node_leaf_matrix() > 0, ((0, 0), (1, 0))).astype(np.int64)
        overlap = np.einsum("nt,tp,np->n", below, self.confusion, below)
        union = below @ self.confusion.sum(1) + below @ self.confusion.sum(0) - overlap
        iou = np.where(union > 0, overlap / np.maximum(union, 1), 1.0)
        return dict(zip(self.labels.names, iou.tolist(), strict=True))

    def level_iou(self) -> list[float]:
        """The mean of `node_iou` over the nodes of each level, from the roots down, without background."""
        iou = self.node_iou()
        levels = [self.labels.level(level) for level in range(self.labels.depth)]
        return [sum(iou[node.name] for node in nodes) / len(nodes) for nodes in levels]
