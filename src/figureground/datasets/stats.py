"""What is in folders of photos and masks: sizes, how much is figure, and how the labels balance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground import images
from figureground.datasets.balance import median_frequency
from figureground.datasets.check import IGNORE
from figureground.datasets.folders import Split
from figureground.datasets.masks import Values, read_values
from figureground.errors import DataError, FiguregroundError
from figureground.labels import LabelTree
from figureground.labels.nodes import node_layout

__all__ = ["SplitStats", "stats"]


@dataclass(frozen=True)
class SplitStats:
    """The numbers of one split.

    sizes: (photos, 2) height and width of each photo.
    shares: (masks,) share of figure among the counted pixels of each mask.
    labels: the tree that the masks are read by.
    pixels: (masks, 1 + nodes) counted pixels of background and then of each node, in the order of `labels.names`.
    ignored: share of the masks' pixels that are not counted.
    """

    name: str
    sizes: NDArray[np.int64]
    shares: NDArray[np.float64]
    labels: LabelTree
    pixels: NDArray[np.int64]
    ignored: float

    def class_weights(self) -> list[float | None]:
        """Weights of background and each leaf that balance them, as `class_weights` of a loss takes them.

        By `median_frequency`; None for a class that is in no mask.
        """
        leaves = [1 + self.labels.index(leaf.name) for leaf in self.labels.leaves]
        return median_frequency(self.pixels[:, [0, *leaves]])

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, ready for JSON; the class weights in the order of background and leaves."""
        total = max(1, int(self.pixels[:, 0].sum() + _roots(self.labels, self.pixels).sum()))
        names = ["background", *self.labels.names]
        return {
            "name": self.name,
            "photos": len(self.sizes),
            "masks": len(self.shares),
            "sizes": len({tuple(size) for size in self.sizes.tolist()}),
            "height": _spread(self.sizes[:, 0]),
            "width": _spread(self.sizes[:, 1]),
            "figure": _spread(self.shares),
            "empty": int((self.shares == 0).sum()),
            "ignored": self.ignored,
            "labels": {
                name: {"share": int(column.sum()) / total, "masks": int((column > 0).sum())}
                for name, column in zip(names, self.pixels.T, strict=True)
            },
            "inner": [label.name for label in self.labels.labels if label not in self.labels.leaves],
            "class_weights": self.class_weights() if len(self.shares) else [],
        }


def stats(
    splits: Sequence[Split],
    *,
    labels: LabelTree | None = None,
    progress: Callable[[], None] | None = None,
    unreadable: Callable[[FiguregroundError], None] | None = None,
) -> list[SplitStats]:
    """Measure `splits`. Photos without a mask, and masks without a photo, are left to `check`.

    Args:
        splits: see `find_splits`.
        labels: the tree whose numbers the masks hold (255 is not counted); None: any value but 0 is a person.
        progress: called after each photo.
        unreadable: called with the error of each photo or mask that cannot be read; the pair is then left out. None:
            the first such error is raised.

    Raises:
        DataError: a mask with a value that the tree does not have, or one that cannot be opened.
        ImageError: a photo or mask that cannot be read.
        SourceError: a photo that cannot be opened.
    """
    return [_measured(split, labels, progress, unreadable) for split in splits]


def _measured(
    split: Split,
    labels: LabelTree | None,
    progress: Callable[[], None] | None,
    unreadable: Callable[[FiguregroundError], None] | None,
) -> SplitStats:
    tree = labels or LabelTree.person()
    masks = dict(split.pairs())
    sizes: list[tuple[int, int]] = []
    found: list[NDArray[np.int64]] = []
    for photo in split.photo_files():
        mask = masks.get(photo)
        try:
            size, values = images.size(photo), None if mask is None else read_values(mask)
        except FiguregroundError as error:
            if unreadable is None:
                raise
            unreadable(error)
        else:
            sizes.append(size)
            if mask is not None and values is not None:
                found.append(_histogram(mask, values, labels))
        if progress is not None:
            progress()
    histogram = np.array(found, np.int64).reshape(-1, 256)
    pixels = histogram @ _belongs(tree)
    counted_pixels = histogram.sum(1) - histogram[:, IGNORE]
    return SplitStats(
        split.name,
        np.array(sizes, np.int64).reshape(-1, 2),
        1 - pixels[:, 0] / np.maximum(counted_pixels, 1),
        tree,
        pixels,
        float(histogram[:, IGNORE].sum() / max(1, histogram.sum())),
    )


def _histogram(mask: Path, values: Values, labels: LabelTree | None) -> NDArray[np.int64]:
    """Pixels of each number, (256,); without a tree of the numbers 0 and 1. DataError for one that no label has."""
    if labels is None:
        return np.bincount((values != 0).ravel(), minlength=256)
    counted = np.bincount(values.ravel(), minlength=256)
    odd = [value for value in np.flatnonzero(counted) if value > len(labels) and value != IGNORE]
    if odd:
        raise DataError(
            f"{mask} has the value {odd[0]}, but the tree's numbers end at {len(labels)}",
            remedy="give the tree of these masks, or see: figureground data check",
        )
    return counted


def _belongs(tree: LabelTree) -> NDArray[np.int64]:
    """(256, 1 + nodes): 1 where a mask's value belongs to background or to the node, in the order of `names`."""
    channel = tree.mask_values()
    inside = node_layout(tree).inside[:, [channel[name] - 1 for name in tree.names]].astype(np.int64)
    background = np.zeros((256, 1), np.int64)
    background[0] = 1
    return np.hstack([background, inside])


def _roots(tree: LabelTree, pixels: NDArray[np.int64]) -> NDArray[np.int64]:
    return pixels[:, [1 + tree.index(root.name) for root in tree.roots]]


def _spread(values: NDArray[Any]) -> dict[str, float] | None:
    """Least, quartiles, greatest and mean; None of nothing."""
    if not len(values):
        return None
    points = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
    named = dict(zip(("min", "quarter", "median", "three_quarters", "max"), map(float, points), strict=True))
    return {**named, "mean": float(np.mean(values))}
