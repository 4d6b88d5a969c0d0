"""The numbers of whole levels of a label tree over a data set, from one table of pixels.

The field's name for them is "mean IoU per level", and it is used for two things. Here a level's labels are *merged*:
the IoU of a half of the body is that of the union of its parts. Some solutions average the IoU of the parts instead;
that is `mode="leaf_mean"`. Background is no label, and is left out but where a name says otherwise.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from figureground.checks import ArgumentError
from figureground.errors import suggest
from figureground.labels import LabelTree
from figureground.labels.nodes import node_layout
from figureground.metrics.index_maps import require_index_maps

__all__ = ["Mode", "TreeCounts"]

Mode = Literal["merged", "leaf_mean"]

Table = NDArray[np.int64]


class TreeCounts:
    """Adds up index maps; far cheaper than a `TreeReport`, and without its numbers per image.

    Index maps are those of `TreeReport`. Numbers are over all pixels added so far. What is neither there nor predicted
    has no IoU: it is NaN, and means leave it out.

    Raises:
        LabelError: a tree of more than 254 nodes.
    """

    def __init__(self, labels: LabelTree) -> None:
        self.labels = labels
        self._layout = node_layout(labels)
        self.pixels: Table = np.zeros((256, 1 + len(labels.leaves)), np.int64)
        """Pixels by number in the true map (rows) and predicted leaf (columns), background first in both."""

    def add(self, pred: NDArray[np.integer[Any]], true: NDArray[np.integer[Any]]) -> None:
        """Count one image: two integer index maps (H, W).

        Raises:
            ArgumentError: a map is not integer `(H, W)`, the sizes differ, or an index has no label.
        """
        require_index_maps(self.labels, pred, true)
        columns = self.pixels.shape[1]
        cells = true.astype(np.int64) * columns + pred
        self.pixels += np.bincount(cells.ravel(), minlength=self.pixels.size).reshape(self.pixels.shape)

    def node_pixels(self) -> tuple[Table, Table]:
        """For every node in the tree's order, its leaves merged: pixels of the overlap, and of the union; (nodes,)."""
        values = self.labels.mask_values()
        order = [values[name] - 1 for name in self.labels.names]
        # A node's pixels are those of which it is known whether they are in it.
        known = self._layout.known[:, order].astype(np.int64)
        true = self._layout.inside[:, order].astype(np.int64)
        pred = true[: self.pixels.shape[1]]
        overlap = np.einsum("tn,tp,pn->n", true, self.pixels, pred)
        union = true.T @ self.pixels.sum(1) + np.einsum("tn,tp,pn->n", known, self.pixels, pred) - overlap
        return overlap, union

    def node_iou(self) -> dict[str, float]:
        """The IoU of every node, its leaves merged, by name in the tree's order."""
        return dict(zip(self.labels.names, _ratios(*self.node_pixels()).tolist(), strict=True))

    def background_iou(self) -> float:
        """The IoU of what belongs to no label."""
        known = self.pixels[:255]
        return float(_ratios(known[0, 0], known[0].sum() + known[:, 0].sum() - known[0, 0]))

    def level_iou(self, mode: Mode = "merged", *, background: bool = False) -> list[float]:
        """The mean IoU of each level, from the roots down.

        Args:
            mode: "merged" takes `node_iou`; "leaf_mean" takes for each node the mean IoU of the leaves below it.
            background: count it as one more label of each level, as the parsing papers do.

        Raises:
            ArgumentError: no such mode.
        """
        if mode not in get_args(Mode):
            raise ArgumentError(f"mode {mode!r}", remedy=suggest(mode, get_args(Mode)))
        iou = self.node_iou()
        if mode == "leaf_mean":
            iou = {name: _mean([iou[leaf.name] for leaf in self.labels.leaves_under(name)]) for name in iou}
        extra = [self.background_iou()] if background else []
        levels = [self.labels.level(level) for level in range(self.labels.depth)]
        return [_mean([*extra, *(iou[node.name] for node in nodes)]) for nodes in levels]

    def confusion(self, level: int) -> Table:
        """Pixels by true (rows) and predicted (columns) label of one level, background first: (1 + n, 1 + n).

        Pixels of which the label at that level is not known are left out.

        Raises:
            LabelError: the tree is not that deep.
        """
        labels = 1 + len(self.labels.level(level))
        lookup = self.labels.level_lookup(level)
        known = np.flatnonzero(lookup >= 0)
        by_label = np.zeros((labels, self.pixels.shape[1]), np.int64)
        np.add.at(by_label, lookup[known], self.pixels[known])
        merged = np.zeros((labels, labels), np.int64)
        np.add.at(merged.T, lookup[: self.pixels.shape[1]], by_label.T)
        return merged

    def pixel_accuracy(self, level: int) -> float:
        """The share of pixels, background included, whose label of that level is right."""
        confusion = self.confusion(level)
        return float(_ratios(np.trace(confusion), confusion.sum()))

    def accuracy_mean(self, level: int) -> float:
        """The mean over the labels of a level, without background, of the share of a label's pixels that was found."""
        confusion = self.confusion(level)[1:]
        return _mean(_ratios(np.diagonal(confusion, 1), confusion.sum(1)).tolist())

    def error_distance(self) -> float:
        """How far from the truth a wrong pixel is, on average: half the number of edges between the two leaves.

        It is 1 for two parts of one node and grows with every level on which they differ. Background hangs beside the
        roots, as deep as the deepest leaf. NaN where no pixel is wrong. Pixels without a known leaf are left out.
        """
        leaves = self.pixels.shape[1]
        wrong = self.pixels[:leaves] * (1 - np.eye(leaves, dtype=np.int64))
        return float(_ratios((wrong * self._layout.distances[:leaves, :leaves]).sum(), 2 * wrong.sum()))


def _ratios(numerator: Any, denominator: Any) -> NDArray[np.float64]:
    """NaN where the denominator is 0."""
    return np.where(denominator > 0, numerator / np.maximum(denominator, 1), np.nan)


def _mean(values: list[float]) -> float:
    """The mean of what is not NaN; NaN where nothing else is there."""
    counted = [value for value in values if not np.isnan(value)]
    return sum(counted) / len(counted) if counted else float("nan")
