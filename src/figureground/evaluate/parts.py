"""A segmenter of parts over photos with known parts: numbers for each level and each label of the tree."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from figureground.errors import DataError, LabelError
from figureground.evaluate.pairs import Pair, read_parts
from figureground.evaluate.run import Progress
from figureground.labels import LabelTree
from figureground.metrics import TreeCounts, TreeReport, level_conflicts, score_violations
from figureground.metrics.index_maps import IGNORE

if TYPE_CHECKING:
    from figureground.runtime.segmentation import Segmentation
    from figureground.runtime.segmenter import Segmenter

_OF_LABELS = ("iou_dataset", "dice_dataset", "precision", "recall", "iou_image_mean", "boundary_f")


@dataclass(frozen=True)
class PartsRecord:
    """How one photo went: the mean IoU of each level, and the IoU of each label; None where neither is nor was.

    `pixels` are those of the overlap and of the union, int64 (labels, 2) in the tree's order.
    """

    name: str
    level_iou: list[float | None]
    label_iou: dict[str, float | None]
    pixels: NDArray[np.int64] = field(repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """The record as plain values, ready for JSON."""
        return {"name": self.name, "level_iou": self.level_iou, "label_iou": self.label_iou}


@dataclass(frozen=True)
class PartsReport:
    """What came out of an evaluation of parts. docs/cli.md has the keys.

    labels: the tree in whose numbers the truth was written.
    counts: the pixels of all photos.
    summary: everything but the photos one by one.
    per_image: one record for each photo, in the order of the pairs.
    """

    labels: LabelTree
    counts: TreeCounts
    summary: dict[str, Any]
    per_image: Sequence[PartsRecord]

    def to_dict(self) -> dict[str, Any]:
        """The summary and, under `per_image`, every photo: plain values, ready for JSON."""
        return {**self.summary, "per_image": [record.to_dict() for record in self.per_image]}

    def worst(self, number: int) -> list[PartsRecord]:
        """The `number` worst photos by the mean IoU of the deepest level, worst first."""

        def quality(record: PartsRecord) -> float:
            iou = record.level_iou[-1]
            return 2.0 if iou is None else iou  # nobody there and nobody found is as good as can be

        return sorted(self.per_image, key=quality)[:number]


def evaluate_parts(
    segmenter: Segmenter,
    pairs: Sequence[Pair],
    *,
    labels: LabelTree | None = None,
    threshold: float | None = None,
    progress: Progress | None = None,
) -> PartsReport:
    """Run `segmenter` over `pairs` of photos and index maps and compare at every level, at the photo's own size.

    Speed is measured as in `evaluate`.

    Args:
        segmenter: what is measured.
        pairs: photos and index maps; see `find_pairs`. Numbers are those of `labels.mask_values()`, 255 is not counted.
        labels: the tree in whose numbers the truth is written; the segmenter's own when None.
        threshold: probability from which a pixel is figure; the segmenter's own when None.
        progress: called after each photo.

    Raises:
        DataError: no pairs, or a map that cannot be read, has another size than its photo or numbers without a label.
        LabelError: the segmenter finds a leaf that is in no leaf of `labels`.
        ImageError: a photo that cannot be read.
    """
    if not pairs:
        raise DataError("there is nothing to measure: no photos", remedy="give a folder that holds images/ and parts/")
    labels = segmenter.labels if labels is None else labels
    translation = leaf_translation(segmenter.labels, labels)
    counts, nodes, records = TreeCounts(labels), TreeReport(labels), []
    contradictions = np.zeros(2)
    segmenter(pairs[0].seen_by(segmenter), threshold=threshold)
    seconds = 0.0
    for done, pair in enumerate(pairs, start=1):
        start = time.perf_counter()
        result = segmenter(pair.seen_by(segmenter), threshold=threshold)
        predicted = translation[result.level(-1)]
        seconds += time.perf_counter() - start
        true = true_parts(pair, predicted.shape, labels)
        nodes.add(pair.stem, predicted, true)
        records.append(_record(pair.stem, labels, predicted, true, counts))
        contradictions += _contradictions(result)
        if progress is not None:
            progress(done, len(pairs))
    header = {"network": segmenter.name, "threshold": segmenter.threshold if threshold is None else threshold}
    numbers = {
        "images": len(pairs),
        "levels": [_level(counts, level) for level in range(labels.depth)],
        "labels": _labels(nodes, counts),
        "iou_background": _or_none(counts.background_iou()),
        "error_distance": _or_none(counts.error_distance()),
        "score_violations": float(contradictions[0] / len(pairs)),
        "level_conflicts": float(contradictions[1] / len(pairs)),
        "images_per_second": len(pairs) / seconds,
    }
    return PartsReport(labels, counts, {**header, **numbers}, records)


def leaf_translation(found: LabelTree, labels: LabelTree) -> NDArray[np.int64]:
    """The leaf number in `labels` of each leaf number in `found`, and 0 for background: (1 + leaves of found,).

    A leaf of `found` is the leaf of `labels` that has its name, or that of the nearest label above it.

    Raises:
        LabelError: a leaf of `found` is in no leaf of `labels`.
    """
    number = {leaf.name: k + 1 for k, leaf in enumerate(labels.leaves)}
    translation = [0]
    for leaf in found.leaves:
        way = [leaf.name, *(above.name for above in found.ancestors(leaf.name))]
        known = [number[name] for name in way if name in number]
        if not known:
            raise LabelError(
                f"the network finds '{leaf.name}', which is in none of {', '.join(number)}",
                remedy="give the --tree in whose numbers the truth is written",
            )
        translation.append(known[0])
    return np.array(translation, np.int64)


def true_parts(pair: Pair, shape: tuple[int, ...], labels: LabelTree) -> NDArray[np.int64]:
    """The truth of `pair` as an index map (H, W); all background where nobody is in the photo.

    Raises:
        DataError: the map cannot be read, its size is not `shape`, or it has a number that no label has.
    """
    if pair.mask is None:
        return np.zeros(shape, np.int64)
    true = read_parts(pair.mask)
    if true.shape != shape:
        raise DataError(
            f"sizes differ: {pair.image} is {shape[1]}x{shape[0]}, its parts {pair.mask} are "
            f"{true.shape[1]}x{true.shape[0]}",
            remedy="save the index map at the photo's size",
        )
    unknown = true[(true < 0) | (true > len(labels)) & (true != IGNORE)]
    if unknown.size:
        raise DataError(
            f"{pair.mask} has the number {unknown[0]}, but the tree has {len(labels)} labels",
            remedy="give the --tree in whose numbers it is written; 255 is not counted",
        )
    return true


def _record(
    name: str, labels: LabelTree, predicted: NDArray[np.int64], true: NDArray[np.int64], total: TreeCounts
) -> PartsRecord:
    """The record of one photo, whose pixels are added to `total`."""
    alone = TreeCounts(labels)
    alone.add(predicted, true)
    total.pixels += alone.pixels
    label_iou = {label: _or_none(iou) for label, iou in alone.node_iou().items()}
    pixels = np.stack(alone.node_pixels(), axis=-1)
    return PartsRecord(name, [_or_none(iou) for iou in alone.level_iou()], label_iou, pixels)


def _contradictions(result: Segmentation) -> NDArray[np.float64]:
    scores = result.coarse_probabilities
    return np.array([score_violations(result.labels, scores), level_conflicts(result.labels, scores)])


def _level(counts: TreeCounts, level: int) -> dict[str, Any]:
    means = {
        "iou_mean": counts.level_iou()[level],
        "iou_leaf_mean": counts.level_iou("leaf_mean")[level],
        "iou_mean_with_background": counts.level_iou(background=True)[level],
        "pixel_accuracy": counts.pixel_accuracy(level),
        "accuracy_mean": counts.accuracy_mean(level),
    }
    return {
        "level": level,
        "labels": [label.name for label in counts.labels.level(level)],
        **{key: _or_none(value) for key, value in means.items()},
        "confusion": counts.confusion(level).tolist(),
    }


def _labels(nodes: TreeReport, counts: TreeCounts) -> dict[str, dict[str, Any]]:
    absent = {name for name, iou in counts.node_iou().items() if math.isnan(iou)}
    table = {}
    for name, summary in nodes.summary().items():
        label = nodes.labels.labels[nodes.labels.index(name)]
        place = {"parent": label.parent, "level": len(nodes.labels.ancestors(name))}
        seen_in = {"images": summary["images"] - summary["empty_images"]}
        table[name] = {**place, **seen_in, **{key: None if name in absent else summary[key] for key in _OF_LABELS}}
    return table


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
