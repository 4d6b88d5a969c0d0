"""The report over a dataset: every number under a name that says how it was averaged.

Two averages are in use in the field and differ widely, so no key here goes without saying which it is:

- *image mean*: the number of each image, averaged. A small person weighs as much as a large one.
- *dataset*: the pixels of all images added up first, then one ratio. Large persons and large photos weigh more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.errors import DataError
from figureground.metrics.boundary import boundary_f
from figureground.metrics.counts import Counts, counts, dice, iou, precision, recall

__all__ = ["EMPTY_WRONG_SHARE", "BinaryReport", "ImageRecord"]

EMPTY_WRONG_SHARE = 0.01
"""An image with nothing in it counts as wrong when more than this share of its pixels was called something."""


@dataclass(frozen=True)
class ImageRecord:
    """How one image went: its name, its pixel counts and its boundary F-score."""

    name: str
    counts: Counts
    boundary_f: float

    @property
    def dice(self) -> float:
        """Dice coefficient of this image."""
        return dice(self.counts)

    @property
    def iou(self) -> float:
        """Intersection over union of this image."""
        return iou(self.counts)

    @property
    def is_empty(self) -> bool:
        """True if the truth has nothing in this image."""
        return self.counts.tp + self.counts.fn == 0

    @property
    def is_empty_wrong(self) -> bool:
        """True if there is nothing here and yet more than `EMPTY_WRONG_SHARE` of the pixels was predicted."""
        return self.is_empty and self.counts.fp > EMPTY_WRONG_SHARE * self.counts.total

    def to_dict(self) -> dict[str, Any]:
        """Everything about this image as plain values, ready for JSON."""
        c = self.counts
        return {
            "name": self.name,
            "dice": self.dice,
            "iou": self.iou,
            "boundary_f": self.boundary_f,
            "tp": c.tp,
            "fp": c.fp,
            "fn": c.fn,
            "tn": c.tn,
        }


class BinaryReport:
    """Collects predictions for one label, image by image. It keeps counts, never pixels."""

    def __init__(self) -> None:
        self._records: list[ImageRecord] = []

    @property
    def per_image(self) -> Sequence[ImageRecord]:
        """One record per image, in the order they were added."""
        return tuple(self._records)

    def add(
        self,
        name: str,
        pred: NDArray[np.bool_],
        true: NDArray[np.bool_],
        valid: NDArray[np.bool_] | None = None,
    ) -> ImageRecord:
        """Measure one image and keep its record.

        Args:
            name: what to call the image in the report.
            pred: predicted mask, bool `(H, W)`.
            true: true mask, bool `(H, W)`.
            valid: bool `(H, W)`, False where the truth is unknown. Those pixels are not counted, and for the outlines
                they are background in both masks. None counts all.

        Raises:
            ArgumentError: a mask is not bool `(H, W)`, or the sizes differ.
        """
        counted = counts(pred, true, valid)
        outlines = boundary_f(pred, true) if valid is None else boundary_f(pred & valid, true & valid)
        record = ImageRecord(name, counted, outlines)
        self._records.append(record)
        return record

    def summary(self) -> dict[str, Any]:
        """The numbers over all images added so far, as plain values ready for JSON.

        | key | meaning |
        | --- | --- |
        | `images` | number of images |
        | `dice_image_mean`, `iou_image_mean` | image means; an empty scene scores 1 if left empty, else 0 |
        | `dice_dataset`, `iou_dataset` | dataset numbers |
        | `boundary_f` | image mean of the boundary F-score |
        | `precision`, `recall` | dataset numbers |
        | `empty_images` | images in which there is nothing to find |
        | `empty_wrong` | share of those in which more than 1 % of the pixels was predicted; 0 if there are none |
        | `empty_wrong_images` | the names of the images that `empty_wrong` counts |

        Raises:
            DataError: no image was added, so there is no number to give.
        """
        records = self._records
        if not records:
            raise DataError("no images were measured", remedy="add at least one image and its mask")
        total = sum((record.counts for record in records), Counts())
        empty = [record for record in records if record.is_empty]
        wrong = [record.name for record in empty if record.is_empty_wrong]
        return {
            "images": len(records),
            "dice_image_mean": _mean([record.dice for record in records]),
            "iou_image_mean": _mean([record.iou for record in records]),
            "dice_dataset": dice(total),
            "iou_dataset": iou(total),
            "boundary_f": _mean([record.boundary_f for record in records]),
            "precision": precision(total),
            "recall": recall(total),
            "empty_images": len(empty),
            "empty_wrong": len(wrong) / len(empty) if empty else 0.0,
            "empty_wrong_images": wrong,
        }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
