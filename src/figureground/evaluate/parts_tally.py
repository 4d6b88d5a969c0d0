"""Pixels of every label, photo by photo, so that whole photos can be drawn anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from figureground.evaluate.pairs import Pair
from figureground.evaluate.parts import leaf_translation, true_parts
from figureground.labels import LabelTree
from figureground.metrics import TreeCounts

if TYPE_CHECKING:
    from figureground.runtime.segmentation import Segmentation


class PartsTally:
    """What one segmenter found of the parts in each photo, in the numbers of the truth's tree.

    Args:
        found: the segmenter's tree.
        labels: the truth's.

    Raises:
        LabelError: a leaf of `found` is in no leaf of `labels`.
    """

    def __init__(self, found: LabelTree, labels: LabelTree) -> None:
        self._labels = labels
        self._translation = leaf_translation(found, labels)
        self._total = TreeCounts(labels)
        self._overlap: list[NDArray[np.int64]] = []
        self._union: list[NDArray[np.int64]] = []
        self.photos: list[float] = []
        """The mean IoU of the deepest level in each photo; 1 where no part is there and none was found."""

    def add(self, result: Segmentation, pair: Pair) -> None:
        """Count one photo.

        Raises:
            DataError: the truth cannot be read, has another size, or a number that no label has.
        """
        predicted = self._translation[result.level(-1)]
        alone = TreeCounts(self._labels)
        alone.add(predicted, true_parts(pair, predicted.shape, self._labels))
        overlap, union = alone.node_pixels()
        self._overlap.append(overlap)
        self._union.append(union)
        self._total.pixels += alone.pixels
        quality = alone.level_iou()[-1]
        self.photos.append(1.0 if np.isnan(quality) else quality)

    def levels(self) -> list[tuple[float, NDArray[np.int64], NDArray[np.int64]]]:
        """For each level from the roots down its mean IoU over all photos, and (photos, labels) overlaps and unions.

        The mean of a level that is in no photo, and was found in none, is 1.
        """
        overlap, union = np.stack(self._overlap), np.stack(self._union)
        found = []
        for level, mean in enumerate(self._total.level_iou()):
            columns = [self._labels.index(label.name) for label in self._labels.level(level)]
            found.append((1.0 if np.isnan(mean) else mean, overlap[:, columns], union[:, columns]))
        return found
