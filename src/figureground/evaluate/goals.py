"""What a search may raise: how well person is told from background, or how well the parts are told from one another."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground import images
from figureground.checks import ArgumentError
from figureground.errors import suggest
from figureground.evaluate.curves import METRICS, STEPS, levels_of, tally
from figureground.evaluate.pairs import Pair
from figureground.evaluate.parts import PartsReport, evaluate_parts, leaf_translation, true_parts
from figureground.evaluate.run import Report, evaluate, true_mask
from figureground.labels import LabelTree
from figureground.labels.nodes import node_layout
from figureground.metrics.index_maps import IGNORE
from figureground.runtime.catalogue import require_parts
from figureground.runtime.parts import choose_leaves
from figureground.runtime.segmenter import Segmenter

Floats = NDArray[np.float32]
LEAVES = "iou_leaves"
_LEVEL = re.compile(r"iou_level(\d+)")


@dataclass(frozen=True)
class Measured:
    """A segmenter measured as any is: the whole report, and the counts (photos, ...) that `Goal.score` takes."""

    report: Report | PartsReport
    counts: NDArray[np.int64]


class Goal(ABC):
    """A metric, and what has to be counted for it: the same from kept answers at all thresholds, and from reports."""

    metric: str

    @abstractmethod
    def truth(self, pair: Pair, size: tuple[int, int]) -> NDArray[Any]:
        """The truth of a photo of `size` = (height, width): (H, W). Raises DataError where it cannot be used."""

    @abstractmethod
    def shrunk(self, true: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
        """The truth at another size."""

    @abstractmethod
    def enlarged(self, leaves: Floats, size: tuple[int, int]) -> Floats:
        """What is counted of leaf probabilities (K, h, w), at `size`: probabilities, of which means may be taken."""

    @abstractmethod
    def tally(self, seen: Floats, true: NDArray[Any]) -> NDArray[Any]:
        """Count one photo at each of `THRESHOLDS`: (thresholds, ...) integers."""

    @abstractmethod
    def score(self, tallies: NDArray[Any]) -> NDArray[np.float64]:
        """The metric of (photos, ...) counts; of (photos, thresholds, ...) at each threshold."""

    @abstractmethod
    def measured(self, segmenter: Segmenter, pairs: Sequence[Pair]) -> Measured:
        """`segmenter` at its own threshold over `pairs`, at their own sizes."""


class FigureGoal(Goal):
    """Person against background, by a name of `METRICS`."""

    def __init__(self, metric: str) -> None:
        self.metric = metric

    def truth(self, pair: Pair, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Bool (H, W)."""
        return true_mask(pair, size)

    def shrunk(self, true: NDArray[Any], size: tuple[int, int]) -> NDArray[np.bool_]:
        """Bool, by the share of figure in what a pixel comes from."""
        return np.asarray(images.resize_map(true.astype(np.float32), size) >= 0.5)

    def enlarged(self, leaves: Floats, size: tuple[int, int]) -> Floats:
        """The figure's probability, (H, W)."""
        return images.resize_map(leaves.sum(axis=0).clip(0.0, 1.0), size)

    def tally(self, seen: Floats, true: NDArray[Any]) -> NDArray[np.int64]:
        """(thresholds, 3): true positives, false positives, false negatives."""
        return tally(seen, true)

    def score(self, tallies: NDArray[Any]) -> NDArray[np.float64]:
        """By the metric's name."""
        return METRICS[self.metric](tallies)

    def measured(self, segmenter: Segmenter, pairs: Sequence[Pair]) -> Measured:
        """Counts are (photos, 3)."""
        report = evaluate(segmenter, pairs)
        counts = [(one.counts.tp, one.counts.fp, one.counts.fn) for one in report.per_image]
        return Measured(report, np.array(counts, dtype=np.int64))


class PartsGoal(Goal):
    """The mean IoU of the labels of one level over the data set, its parts merged, as `evaluate_parts` tells it.

    Args:
        level: of the truth's tree, from 0, the roots.
        found: the segmenters' tree.
        labels: the tree in whose numbers the truth is written.

    Raises:
        LabelError: a leaf of `found` is in no leaf of `labels`.
    """

    def __init__(self, metric: str, level: int, found: LabelTree, labels: LabelTree) -> None:
        self.metric = metric
        self._found, self._labels = found, labels
        self._translation = leaf_translation(found, labels)
        self._nodes = [labels.index(label.name) for label in labels.level(level)]
        values = labels.mask_values()
        columns = [values[label.name] - 1 for label in labels.level(level)]
        layout = node_layout(labels)
        # Every number of an index map in the row of its own; the last row is for what nobody knows.
        numbers = [*range(1 + len(labels)), IGNORE]
        self._inside = layout.inside[numbers][:, columns].astype(np.int64)
        self._known = layout.known[numbers][:, columns].astype(np.int64)
        below = found.node_leaf_matrix() > 0
        self._below = {name: below[row] for row, name in enumerate(found.names)}

    def truth(self, pair: Pair, size: tuple[int, int]) -> NDArray[np.int64]:
        """An index map (H, W)."""
        return true_parts(pair, size, self._labels)

    def shrunk(self, true: NDArray[Any], size: tuple[int, int]) -> NDArray[np.int64]:
        """The number at the middle of what a pixel comes from: there is no mean of numbers."""
        rows, columns = (((np.arange(to) + 0.5) * of / to).astype(int) for to, of in zip(size, true.shape, strict=True))
        return np.asarray(true[rows][:, columns], dtype=np.int64)

    def enlarged(self, leaves: Floats, size: tuple[int, int]) -> Floats:
        """Leaf probabilities (K, H, W)."""
        return images.resize_map(leaves, size)

    def tally(self, seen: Floats, true: NDArray[Any]) -> NDArray[np.int32]:
        """(thresholds, labels of the level, 2): pixels of the overlap and of the union."""
        everywhere = np.ones(seen.shape[1:], np.bool_)
        # Where the way down the tree leads does not depend on the threshold; whether it is taken does.
        chosen = choose_leaves(self._found, everywhere, lambda name: seen[self._below[name]].sum(axis=0))
        rows, leaves = len(self._inside), 1 + len(self._labels.leaves)
        number = np.where(true == IGNORE, rows - 1, true)
        cells = (levels_of(seen.sum(axis=0)) * rows + number) * leaves + self._translation[chosen]
        counted = np.bincount(cells.ravel(), minlength=(STEPS + 1) * rows * leaves)
        table = counted.reshape(STEPS + 1, rows, leaves)
        inside = self._inside[:leaves]
        overlap = _from_above(np.einsum("btp,tn,pn->bn", table, self._inside, inside))
        found = _from_above(np.einsum("btp,tn,pn->bn", table, self._known, inside))
        union = self._inside.T @ table.sum(axis=(0, 2)) + found - overlap
        return np.stack([overlap, union], axis=-1).astype(np.int32)

    def score(self, tallies: NDArray[Any]) -> NDArray[np.float64]:
        """Labels that are nowhere and were found nowhere are left out; 1 where that is all of them."""
        overlap, union = np.moveaxis(tallies.sum(axis=0, dtype=np.int64), -1, 0)
        counted = (union > 0).sum(axis=-1)
        total = (overlap / np.maximum(union, 1)).sum(axis=-1)
        return np.where(counted > 0, total / np.maximum(counted, 1), 1.0)

    def measured(self, segmenter: Segmenter, pairs: Sequence[Pair]) -> Measured:
        """Counts are (photos, labels of the level, 2)."""
        report = evaluate_parts(segmenter, pairs, labels=self._labels)
        return Measured(report, np.stack([record.pixels[self._nodes] for record in report.per_image]))


def is_of_parts(metric: str) -> bool:
    """Whether `metric` is one of parts: `iou_leaves`, or `iou_level0` and so on from the roots down."""
    return metric == LEAVES or _LEVEL.fullmatch(metric) is not None


def goal_of(metric: str, network: Segmenter, labels: LabelTree | None = None) -> Goal:
    """The goal of that name.

    Args:
        metric: a name of `METRICS`, `iou_leaves`, or `iou_level0` and so on.
        network: one of those that the search is about; all have one tree.
        labels: the tree in whose numbers the parts are written; the network's own when None.

    Raises:
        ArgumentError: no such metric, a level that the tree does not have, or `labels` where no parts are counted.
        NetworkError: a metric of parts for a network without parts.
        LabelError: the network finds a leaf that is in no leaf of `labels`.
    """
    if not is_of_parts(metric):
        if metric not in METRICS:
            raise ArgumentError(f"no metric '{metric}'", remedy=suggest(metric, [*METRICS, LEAVES, "iou_level0"]))
        if labels is not None:
            raise ArgumentError(
                f"a tree of parts, and {metric} tells person from background alone", remedy=f"tune for {LEAVES}"
            )
        return FigureGoal(metric)
    found = require_parts(network).labels
    tree = found if labels is None else labels
    told = _LEVEL.fullmatch(metric)
    level = tree.depth - 1 if told is None else int(told[1])
    if level >= tree.depth:
        raise ArgumentError(f"no metric '{metric}' here", remedy=f"the tree's levels are 0 to {tree.depth - 1}")
    return PartsGoal(metric, level, found, tree)


def _from_above(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts by level of probability (levels, labels) as counts from each threshold on: (thresholds, labels)."""
    return counts[::-1].cumsum(axis=0)[::-1][1:STEPS]
