"""The report for a whole label tree: one `BinaryReport` per node, so a person and a left arm are measured alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.labels import LabelTree
from figureground.labels.nodes import node_layout
from figureground.metrics.index_maps import require_index_maps
from figureground.metrics.report import BinaryReport

__all__ = ["TreeReport"]


class TreeReport:
    """Collects index maps and reports on every node of the tree.

    An index map is an integer array `(H, W)` in which 0 is background and k + 1 is leaf k of `labels.leaves`. A node's
    mask is the union of its leaves' pixels. In the true map the numbers of inner nodes may stand too, which says that
    nobody knows the part, and 255, which says that nobody knows anything. A pixel counts for the nodes of which the
    truth is known. `TreeCounts` has the numbers of whole levels.

    Raises:
        LabelError: a tree of more than 254 nodes.
    """

    def __init__(self, labels: LabelTree) -> None:
        self.labels = labels
        self.nodes: dict[str, BinaryReport] = {name: BinaryReport() for name in labels.names}
        self._layout = node_layout(labels)

    def add(self, name: str, pred: NDArray[np.integer[Any]], true: NDArray[np.integer[Any]]) -> None:
        """Measure one image under every node.

        Args:
            name: what to call the image in the reports.
            pred: predicted index map, integer `(H, W)`.
            true: true index map, integer `(H, W)`.

        Raises:
            ArgumentError: a map is not integer `(H, W)`, the sizes differ, or an index has no label.
        """
        require_index_maps(self.labels, pred, true)
        for node, value in self.labels.mask_values().items():
            inside, known = self._layout.inside[:, value - 1], self._layout.known[true, value - 1]
            self.nodes[node].add(name, inside[pred], inside[true], None if known.all() else known)

    def summary(self) -> dict[str, dict[str, Any]]:
        """`BinaryReport.summary()` of every node, by the node's name, in the tree's order."""
        return {name: report.summary() for name, report in self.nodes.items()}
