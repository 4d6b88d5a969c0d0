"""`figureground evaluate` for networks of parts: tables of levels and labels, and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from figureground.evaluate import PartsReport
    from figureground.runtime.segmenter import Segmenter

_OF_LEVELS = {
    "mean IoU": "iou_mean",
    "of leaves": "iou_leaf_mean",
    "with background": "iou_mean_with_background",
    "pixel accuracy": "pixel_accuracy",
    "mean accuracy": "accuracy_mean",
}
_OF_LABELS = {
    "IoU": "iou_dataset",
    "Dice": "dice_dataset",
    "precision": "precision",
    "recall": "recall",
    "boundary F": "boundary_f",
}
_OTHERS = (
    ("IoU of background", "iou_background", ".4f"),
    ("distance of errors in the tree", "error_distance", ".3f"),
    ("pixels where a part outscores its whole", "score_violations", ".3%"),
    ("pixels where levels alone would conflict", "level_conflicts", ".3%"),
    ("images per second, file to parts", "images_per_second", ".1f"),
)


def evaluate_parts(
    segmenter: Segmenter,
    data_dir: Path,
    folders: tuple[str, str, Path | None],
    tree: str | None,
    threshold: float | None,
    json_file: str | None,
    pictures: tuple[Path | None, int, Path | None],
) -> None:
    """Measure parts, tell the numbers and draw the pictures.

    Args:
        segmenter: what is measured.
        data_dir: photos and parts.
        folders: names of the folders of photos and of index maps in it, and the folder of depth maps.
        tree: name or file of the tree that the index maps are written in; the segmenter's own when None.
        threshold: as in `figureground.evaluate.evaluate_parts`.
        json_file: where the document goes; None for nowhere, "-" for stdout.
        pictures: folder of the worst cases, how many of them, and folder of the confusion matrices.
    """
    from figureground import evaluate
    from figureground.cli.progress import Progress
    from figureground.cli.reports import tell
    from figureground.labels import LabelTree

    labels = None if tree is None else LabelTree.find(tree)
    images, parts, depth = folders
    pairs = evaluate.find_pairs(data_dir, images, parts)
    pairs = pairs if depth is None else evaluate.with_depth_maps(pairs, depth)
    with Progress(len(pairs)) as progress:
        report = evaluate.evaluate_parts(
            segmenter, pairs, labels=labels, threshold=threshold, progress=lambda _done, _all: progress.advance()
        )
    tell({**report.to_dict(), "data": str(data_dir)}, _text(report), json_file)
    gallery, worst, confusion = pictures
    if gallery is not None:
        page = evaluate.write_part_gallery(segmenter, pairs, report, gallery, worst)
        click.echo(f"worst cases: {page}", err=json_file == "-")
    if confusion is not None:
        for path in evaluate.write_confusions(report, confusion):
            click.echo(f"confusion: {path}", err=json_file == "-")


def _text(report: PartsReport) -> str:
    from figureground.cli.tables import table

    summary = report.summary
    header = [["network", str(summary["network"])], ["threshold", f"{summary['threshold']:g}"]]
    header.append(["images", str(summary["images"])])
    levels = [["level", "labels", *_OF_LEVELS]]
    for entry in summary["levels"]:
        numbers = [_number(entry[key]) for key in _OF_LEVELS.values()]
        levels.append([str(entry["level"]), str(len(entry["labels"])), *numbers])
    labels = [["label", "level", "images", *_OF_LABELS]]
    for name, entry in summary["labels"].items():
        numbers = [_number(entry[key]) for key in _OF_LABELS.values()]
        labels.append(["  " * entry["level"] + name, str(entry["level"]), str(entry["images"]), *numbers])
    others = [[name, _number(summary[key], form)] for name, key, form in _OTHERS]
    return "\n\n".join(table(rows) for rows in (header, levels, labels, others))


def _number(value: Any, form: str = ".4f") -> str:
    return "-" if value is None else format(value, form)
