"""`figureground evaluate`: a network against photos with known masks or parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from figureground.cli.options import (
    complete_tree,
    debug_option,
    depth_folder_option,
    network_option,
    refine_option,
    threshold_option,
)
from figureground.cli.refining import opener
from figureground.cli.reports import tell
from figureground.errors import FiguregroundError

if TYPE_CHECKING:
    from figureground.evaluate import Pair, Report
    from figureground.runtime.segmenter import Segmenter

DEFAULT_WORST = 20
_ROWS = (
    ("images", "images", "d"),
    ("Dice, mean over images", "dice_image_mean", ".4f"),
    ("IoU, mean over images", "iou_image_mean", ".4f"),
    ("Dice, all pixels together", "dice_dataset", ".4f"),
    ("IoU, all pixels together", "iou_dataset", ".4f"),
    ("boundary F, mean over images", "boundary_f", ".4f"),
    ("precision, all pixels together", "precision", ".4f"),
    ("recall, all pixels together", "recall", ".4f"),
    ("images without people", "empty_images", "d"),
    ("  of them more than 1 % called person", "empty_wrong", ".1%"),
    ("images per second, file to mask", "images_per_second", ".1f"),
)

EPILOG = """\b
The folder
  DIR/images/001.jpg   a photo
  DIR/masks/001.png    its mask: any value but zero is person
  DIR/parts/001.png    or the numbers of its parts, for a network of parts
A network of parts is measured on DIR/parts/ where that is there, at every
level of its tree. For other networks it stands in where there is no masks/.

\b
Example
  figureground evaluate --network person --data DIR --json report.json --worst 20 --gallery worst
  figureground evaluate --network parts --data DIR --confusion pictures
"""


@click.command(epilog=EPILOG)
@network_option
@refine_option
@click.option(
    "--data", "data_dir", required=True, metavar="DIR", type=click.Path(path_type=Path), help="Photos and masks."
)
@click.option("--images", default="images", show_default=True, help="Folder of the photos in DIR.")
@click.option("--masks", default="masks", show_default=True, help="Folder of the masks in DIR.")
@click.option("--parts", default="parts", show_default=True, help="Folder of the index maps of parts in DIR.")
@click.option(
    "--tree",
    metavar="TREE|FILE",
    shell_complete=complete_tree,
    help="Tree in whose numbers the parts are written.  [default: the network's]",
)
@click.option("--nobody", is_flag=True, help="DIR holds photos without people, and no masks.")
@depth_folder_option
@threshold_option
@click.option("--json", "json_file", metavar="FILE", help="Write the report, photo by photo, as JSON; - prints it.")
@click.option(
    "--worst", type=click.IntRange(min=1), help=f"How many cases the gallery shows.  [default: {DEFAULT_WORST}]"
)
@click.option(
    "--gallery", metavar="DIR", type=click.Path(path_type=Path), help="Draw the worst cases into this folder."
)
@click.option(
    "--confusion",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Draw the confusion matrix of each level of parts into this folder.",
)
@debug_option
def evaluate(
    network: str,
    refine: str | None,
    data_dir: Path,
    images: str,
    masks: str,
    parts: str,
    tree: str | None,
    nobody: bool,
    depth: Path | None,
    threshold: float | None,
    json_file: str | None,
    worst: int | None,
    gallery: Path | None,
    confusion: Path | None,
) -> None:
    """Measure a network on photos with known masks or parts."""
    if worst is not None and gallery is None:
        raise FiguregroundError("--worst without --gallery", remedy="say where to draw them: --gallery DIR")
    segmenter = opener(network, refine)()
    if depth is not None:
        require_depth([segmenter])
    if _has_parts(segmenter, data_dir / parts, tree) and not nobody:
        from figureground.cli.evaluate_parts import evaluate_parts

        pictures = (gallery, worst or DEFAULT_WORST, confusion)
        evaluate_parts(segmenter, data_dir, (images, parts, depth), tree, threshold, json_file, pictures)
        return
    if confusion is not None or tree is not None:
        option = "--confusion" if confusion is not None else "--tree"
        raise FiguregroundError(f"{option} without parts", remedy=f"it needs a network of parts and {data_dir / parts}")
    from figureground.evaluate import find_pairs, find_photos_without_people, with_depth_maps, write_gallery

    pairs = find_photos_without_people(data_dir, images) if nobody else find_pairs(data_dir, images, masks)
    pairs = pairs if depth is None else with_depth_maps(pairs, depth)
    report = _measure(segmenter, pairs, threshold)
    tell({**report.to_dict(), "data": str(data_dir)}, _text(report), json_file)
    if gallery is not None:
        page = write_gallery(segmenter, pairs, report, gallery, worst or DEFAULT_WORST)
        click.echo(f"worst cases: {page}", err=json_file == "-")


def require_depth(segmenters: Sequence[Segmenter]) -> None:
    """Refuse depth maps that no network would look at."""
    if all(segmenter.depth_input is None for segmenter in segmenters):
        names = ", ".join(segmenter.name for segmenter in segmenters)
        raise FiguregroundError(f"--depth, and no network looks at a depth map: {names}", remedy="leave --depth away")


def _has_parts(segmenter: Segmenter, folder: Path, tree: str | None) -> bool:
    """Whether parts are to be measured: a network that has some, and photos of which they are known."""
    if tree is None:
        return len(segmenter.labels) > 1 and folder.is_dir()
    from figureground.runtime.catalogue import require_parts

    return bool(require_parts(segmenter))


def _measure(segmenter: Segmenter, pairs: list[Pair], threshold: float | None) -> Report:
    from figureground.cli.progress import Progress
    from figureground.evaluate import evaluate as measure

    with Progress(len(pairs)) as progress:
        return measure(segmenter, pairs, threshold=threshold, progress=lambda _done, _all: progress.advance())


def _text(report: Report) -> str:
    from figureground.cli.tables import table

    rows = [["network", str(report.summary["network"])], ["threshold", f"{report.summary['threshold']:g}"]]
    for label, key, form in _ROWS:
        value = report.summary[key]
        rows.append([label, "-" if value is None else format(value, form)])
    return table(rows)
