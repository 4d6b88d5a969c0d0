"""The report for a whole label tree: one `BinaryReport` per node, so a person and a left arm are measured alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.checks import ArgumentError, require_same_size
from figureground.labels import LabelTree
from figureground.metrics.report import BinaryReport

__all__ = ["IGNORE", "TreeReport"]

IGNORE = 255
"""The value in a true index map that says: nobody knows what is here."""


class TreeReport:
    """Collects index maps and reports on every node of the tree.

    An index map is an integer array `(H, W)` in which 0 is background and k + 1 is leaf k of `labels.leaves`. In the
    true map `IGNORE` (255) marks pixels that are not counted. A node's mask is the union of its leaves' pixels.
    """

    def __init__(self, labels: LabelTree) -> None:
        self.labels = labels
        self.nodes: dict[str, BinaryReport] = {name: BinaryReport() for name in labels.names}
        # (nodes, leaves + 1): a row says for each index whether it belongs to the node.
        leaf_of_node = labels.node_leaf_matrix() > 0
        self._is_inside = np.pad(leaf_of_node, ((0, 0), (1, 0)))

    def add(self, name: str, pred: NDArray[np.integer[Any]], true: NDArray[np.integer[Any]]) -> None:
        """Measure one image under every node.

        Args:
            name: what to call the image in the reports.
            pred: predicted index map, integer `(H, W)`.
            true: true index map, integer `(H, W)`.

        Raises:
            ArgumentError: a map is not integer `(H, W)`, the sizes differ, or an index has no leaf.
        """
        leaves = len(self.labels.leaves)
        valid = true != IGNORE
        true = np.where(valid, true, 0)
        _require_indices("pred", pred, leaves)
        _require_indices("true", true, leaves)
        require_same_size("pred", pred, "true", true)
        everything_counts = bool(valid.all())
        for node, inside in zip(self.labels.names, self._is_inside, strict=True):
            self.nodes[node].add(name, inside[pred], inside[true], None if everything_counts else valid)

    def summary(self) -> dict[str, dict[str, Any]]:
        """`BinaryReport.summary()` of every node, by the node's name, in the tree's order."""
        return {name: report.summary() for name, report in self.nodes.items()}

    def levels(self) -> list[dict[str, Any]]:
        """One entry per level of the tree, from the roots down: the plain mean over the level's nodes.

        Keys: `level`, `nodes` (their names), `iou_dataset_mean` (the mean IoU of the parsing papers, without
        background), `iou_image_mean` and `boundary_f`.
        """
        numbers = self.summary()
        entries = []
        for level in range(self.labels.depth):
            names = [label.name for label in self.labels.level(level)]
            entries.append(
                {
                    "level": level,
                    "nodes": names,
                    "iou_dataset_mean": sum(numbers[name]["iou_dataset"] for name in names) / len(names),
                    "iou_image_mean": sum(numbers[name]["iou_image_mean"] for name in names) / len(names),
                    "boundary_f": sum(numbers[name]["boundary_f"] for name in names) / len(names),
                }
            )
        return entries


def _require_indices(name: str, index_map: NDArray[Any], leaves: int) -> None:
    if not np.issubdtype(index_map.dtype, np.integer) or index_map.ndim != 2 or index_map.size == 0:
        raise ArgumentError(f"{name} must be integer of shape (H, W), not {index_map.dtype} of shape {index_map.shape}")
    low, high = int(index_map.min()), int(index_map.max())
    if low < 0 or high > leaves:
        raise ArgumentError(f"{name} holds indices from {low} to {high}, but the tree has 0 (background) to {leaves}")
