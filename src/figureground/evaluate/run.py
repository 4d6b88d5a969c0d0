"""A segmenter over pairs of photo and mask: the report, and how fast it went."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from figureground.errors import DataError
from figureground.evaluate.pairs import Pair, read_mask
from figureground.metrics.report import BinaryReport, ImageRecord

if TYPE_CHECKING:
    from figureground.runtime.segmenter import Segmenter

Progress = Callable[[int, int], None]
"""Told (images done, images in all) after each image."""


@dataclass(frozen=True)
class Report:
    """What came out of an evaluation.

    summary: name of the network, threshold, the numbers of `BinaryReport.summary` and `images_per_second`;
        `empty_wrong` is None where every photo had people in it, since there was nothing to be wrong about.
    per_image: one record per photo, in the order of the pairs.
    """

    summary: dict[str, Any]
    per_image: Sequence[ImageRecord]

    def to_dict(self) -> dict[str, Any]:
        """The summary and, under `per_image`, every photo: plain values, ready for JSON."""
        return {**self.summary, "per_image": [record.to_dict() for record in self.per_image]}

    def worst(self, number: int) -> list[ImageRecord]:
        """The `number` worst photos, worst first: least IoU, and among equals most wrong pixels."""
        return sorted(self.per_image, key=lambda record: (record.iou, -_wrong_share(record)))[:number]


def evaluate(
    segmenter: Segmenter, pairs: Sequence[Pair], *, threshold: float | None = None, progress: Progress | None = None
) -> Report:
    """Run `segmenter` over `pairs` and compare its masks with the true ones, at the photo's own size.

    Speed is photos per second from file to mask (decoding, the network, back to full size), one photo after another;
    reading the truth and scoring are not counted, nor is a first run that warms the network up.

    Args:
        segmenter: what is measured.
        pairs: photos and masks; see `find_pairs`.
        threshold: probability from which a pixel is person; the segmenter's own when None.
        progress: called after each photo.

    Raises:
        DataError: no pairs, or a mask that cannot be read or has another size than its photo.
        ImageError: a photo that cannot be read. It is not passed over: the number would be of another dataset.
    """
    if not pairs:
        raise DataError("there is nothing to measure: no photos", remedy="give a folder that holds images/ and masks/")
    segmenter(pairs[0].seen_by(segmenter), threshold=threshold)
    report = BinaryReport()
    seconds = 0.0
    for done, pair in enumerate(pairs, start=1):
        start = time.perf_counter()
        predicted = segmenter(pair.seen_by(segmenter), threshold=threshold).mask
        seconds += time.perf_counter() - start
        report.add(pair.stem, predicted, true_mask(pair, predicted.shape))
        if progress is not None:
            progress(done, len(pairs))
    summary = report.summary()
    if not summary["empty_images"]:
        summary["empty_wrong"] = None
    header = {"network": segmenter.name, "threshold": segmenter.threshold if threshold is None else threshold}
    return Report({**header, **summary, "images_per_second": len(pairs) / seconds}, report.per_image)


def true_mask(pair: Pair, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The truth of `pair` as bool (H, W); all False where nobody is in the photo.

    Raises:
        DataError: the mask cannot be read, or its size is not `shape`.
    """
    if pair.mask is None:
        return np.zeros(shape, dtype=bool)
    mask = read_mask(pair.mask)
    if mask.shape != shape:
        raise DataError(
            f"sizes differ: {pair.image} is {shape[1]}x{shape[0]}, "
            f"its mask {pair.mask} is {mask.shape[1]}x{mask.shape[0]}",
            remedy="save the mask at the photo's size",
        )
    return mask


def _wrong_share(record: ImageRecord) -> float:
    counted = record.counts
    return (counted.fp + counted.fn) / max(counted.total, 1)
