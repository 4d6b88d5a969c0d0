"""Pictures of an evaluation of parts: the worst photos, and the confusion matrix of each level."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground import draw, images
from figureground.evaluate.gallery import INVENTED, MISSED, strip_of, write_page
from figureground.evaluate.pairs import Pair
from figureground.evaluate.parts import PartsRecord, PartsReport, leaf_translation, true_parts
from figureground.labels import LabelTree
from figureground.metrics.index_maps import IGNORE

if TYPE_CHECKING:
    from figureground.runtime.segmenter import Segmenter

RIGHT, UNKNOWN = (235, 235, 235), (128, 128, 128)
MIXED_UP = np.array([255, 205, 60]), np.array([225, 100, 0])
"""The colours of the mildest and of the worst confusion of two parts."""
_EXPLANATION = (
    "From left to right: photo, truth, prediction, errors (red: somebody who was missed; blue: nobody is there; yellow "
    "to orange: one part taken for another, the darker the further apart in the tree; grey: nobody knows the part)."
)


def write_part_gallery(
    segmenter: Segmenter, pairs: Sequence[Pair], report: PartsReport, folder: str | Path, worst: int
) -> Path:
    """Draw the `worst` photos of `report` into `folder` and return the path of its `index.html`.

    The photos are segmented again: an evaluation keeps counts, not pixels.

    Raises:
        OutputError: the folder cannot be written to.
    """
    by_stem = {pair.stem: pair for pair in pairs}
    records = report.worst(worst)
    cases = (
        (record.name, _caption(record), part_case(segmenter, by_stem[record.name], record, report))
        for record in records
    )
    title = f"The {len(records)} worst of {len(report.per_image)} photos"
    return write_page(Path(folder), title, _EXPLANATION, cases)


def part_case(segmenter: Segmenter, pair: Pair, record: PartsRecord, report: PartsReport) -> Image.Image:
    """One photo as a strip of four panels under its name and scores."""
    labels = report.labels
    photo = images.read(pair.image)
    result = segmenter(pair.seen_by(segmenter), threshold=report.summary["threshold"])
    predicted = leaf_translation(segmenter.labels, labels)[result.level(-1)]
    true = true_parts(pair, predicted.shape, labels)
    values = labels.mask_values()
    colors = [label.color for label in sorted(labels.labels, key=lambda label: values[label.name])]
    panels = [
        photo,
        draw.label_map(true, colors),
        draw.label_map(predicted, colors),
        part_errors(labels, predicted, true),
    ]
    return strip_of(panels, _caption(record))


def part_errors(labels: LabelTree, predicted: NDArray[np.int64], true: NDArray[np.int64]) -> NDArray[np.uint8]:
    """What was right, missed, invented and mixed up, as colours, uint8 (H, W, 3), from two index maps (H, W)."""
    picture = np.full((*true.shape, 3), RIGHT, np.uint8)
    leaves = len(labels.leaves)
    mixed = (predicted > 0) & (true > 0) & (true <= leaves) & (predicted != true)
    mild, grave = MIXED_UP
    for level in range(labels.depth - 1, -1, -1):
        # Wrong at this level too: one step further towards the darkest.
        lookup = labels.level_lookup(level)
        wrong = mixed & (lookup[predicted] != lookup[np.where(true <= leaves, true, 0)])
        step = 1 - (level + 1) / labels.depth
        picture[wrong] = np.rint(mild + (grave - mild) * step)
    picture[(true > leaves) & (predicted > 0)] = UNKNOWN
    picture[(true > 0) & (predicted == 0)] = MISSED
    picture[(true == 0) & (predicted > 0)] = INVENTED
    picture[true == IGNORE] = UNKNOWN
    return picture


def write_confusions(report: PartsReport, folder: str | Path) -> list[Path]:
    """Draw the confusion matrix of each level into `folder`; return the pictures' paths, from the roots down.

    Raises:
        OutputError: the folder cannot be written to.
    """
    folder = Path(folder)
    images.make_folder(folder)
    paths = []
    for level in range(report.labels.depth):
        names = ["background", *(label.name for label in report.labels.level(level))]
        paths.append(folder / f"confusion-level-{level}.png")
        images.write(draw.confusion_matrix(report.counts.confusion(level), names), paths[-1])
    return paths


def _caption(record: PartsRecord) -> str:
    levels = " ".join("-" if iou is None else f"{iou:.3f}" for iou in record.level_iou)
    return f"{record.name}   mean IoU from the whole to the parts: {levels}"
