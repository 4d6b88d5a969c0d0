"""`figureground tune`: the best combination of networks within a time for each photo, chosen on photos with masks."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from figureground.cli.options import (
    complete_network,
    complete_tree,
    debug_option,
    echo_json,
    json_option,
    number_list,
)
from figureground.errors import OutputError

if TYPE_CHECKING:
    from figureground.evaluate import Tuning

DEFAULT_METRIC = "dice_image_mean"
_FOLDER = click.Path(path_type=Path)

EPILOG = """\b
The folder
  DIR/images/001.jpg   a photo
  DIR/masks/001.png    its mask: any value but zero is person
  DIR/parts/001.png    for a metric of parts instead: its index map
Choose on photos that no network was trained on, and measure the result on yet others.

\b
Example
  figureground tune person person-fast --data held-out/mil --budget-ms 100 -o best.json
  figureground segment photo.jpg --network best.json
  figureground tune parts --data photos/valid --metric iou_leaves --people-first
"""


@click.command(epilog=EPILOG)
@click.argument("networks", nargs=-1, required=True, metavar="NETWORK...", shell_complete=complete_network)
@click.option("--data", "data_dir", required=True, metavar="DIR", type=_FOLDER, help="Photos and masks to choose on.")
@click.option("--images", default="images", show_default=True, help="Folder of the photos in DIR.")
@click.option("--masks", default="masks", show_default=True, help="Folder of the masks in DIR.")
@click.option(
    "--budget-ms",
    type=click.FloatRange(0.0, min_open=True),
    default=100.0,
    show_default=True,
    help="Milliseconds for one photo, from file to mask.",
)
@click.option("--parts", default="parts", show_default=True, help="Folder of the index maps of parts in DIR.")
@click.option(
    "--tree",
    metavar="TREE|FILE",
    shell_complete=complete_tree,
    help="Tree in whose numbers the parts are written.  [default: the networks']",
)
@click.option(
    "--metric",
    metavar="NAME",
    default=DEFAULT_METRIC,
    show_default=True,
    help="What is to be high: dice_image_mean, iou_image_mean, dice_dataset, iou_dataset; of parts: iou_leaves, or "
    "iou_level0 and so on.",
)
@click.option(
    "--scales", default="1", show_default=True, callback=number_list, metavar="S,S", help="Scales to look at photos at."
)
@click.option("--flip/--no-flip", default=True, show_default=True, help="Whether mirror images may be looked at too.")
@click.option("--people-first", is_flag=True, help="Whether to try a closer look at each person.")
@click.option("--zoom", metavar="Z,Z", callback=number_list, help="Try tiles, with the photo this many times as large.")
@click.option("--refine/--no-refine", default=True, show_default=True, help="Whether to try refinements.")
@click.option("--threads", type=click.IntRange(min=1), help="Cores for one network.  [default: up to 4]")
@click.option("--limit", type=click.IntRange(min=1), help="Take so many of the photos, evenly spread.")
@click.option("--cache", metavar="DIR", type=_FOLDER, help="Keep the networks' answers here for the next search.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the intervals' draws.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=_FOLDER,
    default=Path("best.json"),
    show_default=True,
    help="The predictor file to write.",
)
@json_option
@debug_option
def tune(
    networks: tuple[str, ...],
    data_dir: Path,
    images: str,
    masks: str,
    parts: str,
    tree: str | None,
    budget_ms: float,
    metric: str,
    scales: tuple[float, ...],
    flip: bool,
    people_first: bool,
    zoom: tuple[float, ...] | None,
    refine: bool,
    threads: int | None,
    limit: int | None,
    cache: Path | None,
    seed: int,
    output: Path,
    as_json: bool,
) -> None:
    """Find the best combination of networks that takes at most --budget-ms for a photo.

    NETWORK is a shipped network, a bundle or a predictor file. Mirror images, scales, weighted means, thresholds,
    refinements and, where asked for, closer looks are tried; the Pareto front of quality against milliseconds is
    printed, and the best within the budget is written as a predictor file, which --network takes everywhere.
    """
    from figureground.evaluate import REFINEMENTS, closer_looks, find_pairs
    from figureground.evaluate import tune as search
    from figureground.evaluate.goals import is_of_parts
    from figureground.images import make_folder
    from figureground.labels import LabelTree
    from figureground.runtime.catalogue import load
    from figureground.runtime.predictor import check_path, save_predictor

    # A place that cannot be written is told now and not after the search.
    check_path(output)
    make_folder(output.parent)
    _check_place(output)
    closer = closer_looks(people_first=people_first, zooms=zoom or ())
    labels = None if tree is None else LabelTree.find(tree)
    pairs = find_pairs(data_dir, images, parts if is_of_parts(metric) else masks)
    if limit is not None and limit < len(pairs):
        pairs = [pairs[place * len(pairs) // limit] for place in range(limit)]
    tuning = search(
        [load(name, threads=threads) for name in networks],
        pairs,
        budget_ms=budget_ms,
        metric=metric,
        flip=flip,
        scales=scales,
        refinements=REFINEMENTS if refine else {},
        closer=closer,
        labels=labels,
        cache=cache,
        seed=seed,
        say=_say,
    )
    _say("", 0, 0)
    winner = tuning.winner.segmenter
    facts = {"what": winner.name, "threads": threads, **tuning.facts}
    save_predictor(winner.renamed(output.stem, winner.threshold), output, chosen=facts)
    if as_json:
        echo_json({**tuning.to_dict(), "what": winner.name, "threads": threads, "output": str(output)})
    else:
        click.echo(_text(tuning, metric))
        click.echo(str(output))


def _check_place(output: Path) -> None:
    """Raise OutputError where the file could not be written."""
    try:
        if output.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        with tempfile.TemporaryFile(dir=output.resolve().parent):
            pass
    except OSError as error:
        raise OutputError(f"cannot write '{output}': {error.strerror or error}", remedy="give another file") from error


def _say(what: str, done: int, count: int) -> None:
    """One line in a terminal, written over and over."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{what} {done}/{count}" if what else "\r\x1b[K", err=True, nl=False)


def _text(tuning: Tuning, metric: str) -> str:
    from figureground.cli.tables import table

    rows = [["chosen", "ms", metric, "95 %", "threshold", "what"]]
    for choice in tuning.front:
        mark = "*" if choice is tuning.winner else ""
        low, high = choice.interval
        what = choice.segmenter
        rows.append(
            [
                mark,
                f"{choice.milliseconds:.1f}",
                f"{choice.score:.4f}",
                f"{low:.4f} to {high:.4f}",
                f"{what.threshold:.2f}",
                what.name,
            ]
        )
    low, high = tuning.facts["lead"]
    lead = f"lead over '{tuning.facts['baseline']['name']}' alone: 95 % between {low:+.4f} and {high:+.4f}"
    return f"{table(rows)}\n{lead}, on the photos it was chosen on"
