"""`figureground compare`: several networks on the same photos."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from figureground.cli.evaluate import require_depth
from figureground.cli.options import (
    complete_network,
    debug_option,
    depth_folder_option,
    echo_json,
    json_option,
    tree_option,
)
from figureground.errors import NetworkError

if TYPE_CHECKING:
    from figureground.evaluate import Comparison, Contestant

EPILOG = """\b
What is compared
  person                 a network that is shipped
  mine.onnx, both.json   a bundle, a predictor file
  runs/try               a run folder, in torch and with its recipe's 'predict' (needs figureground[train])

\b
Example
  figureground compare person person-fast runs/try --data photos/valid -o comparison
"""


@click.command(epilog=EPILOG)
@click.argument("networks", nargs=-1, required=True, metavar="RUN|NAME|FILE...", shell_complete=complete_network)
@click.option(
    "--data", "data_dir", required=True, metavar="DIR", type=click.Path(path_type=Path), help="Photos and masks."
)
@click.option("--images", default="images", show_default=True, help="Folder of the photos in DIR.")
@click.option("--masks", default="masks", show_default=True, help="Folder of the masks in DIR.")
@tree_option
@depth_folder_option
@click.option(
    "-o",
    "--output",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Write tables (Markdown, CSV, JSON), the plot, pictures and a page.",
)
@click.option(
    "--metric",
    type=click.Choice(["dice", "iou", "boundary_f", "parts"]),
    help="What photos are compared by.  [default: parts with --tree, else iou]",
)
@click.option("--pictures", type=click.IntRange(0), default=12, show_default=True, help="Disputed photos to draw.")
@click.option(
    "--timed", type=click.IntRange(0), default=10, show_default=True, help="Photos to take times on; 0 takes none."
)
@click.option("--threads", type=click.IntRange(1), help="Cores for every network.  [default: 4, or all]")
@click.option("--seed", type=int, default=0, show_default=True, help="Of what is drawn for intervals and tests.")
@json_option
@debug_option
def compare(
    networks: tuple[str, ...],
    data_dir: Path,
    images: str,
    masks: str,
    tree: str | None,
    depth: Path | None,
    output: Path | None,
    metric: str | None,
    pictures: int,
    timed: int,
    threads: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Compare networks on the same photos: quality with intervals, cost, time, and whether they differ at all.

    DIR holds images/ and masks/ (or parts/). All networks are asked person or not, each at its own threshold; with
    --tree also for the parts.
    """
    from figureground.cli.progress import Progress
    from figureground.evaluate import compare as measure
    from figureground.evaluate import find_pairs, with_depth_maps, write_comparison
    from figureground.labels import LabelTree

    labels = None if tree is None else LabelTree.find(tree)
    pairs = find_pairs(data_dir, images, masks)
    pairs = pairs if depth is None else with_depth_maps(pairs, depth)
    contestants = _contestants(networks, threads or min(4, _cores()))
    if depth is not None:
        require_depth([contestant.segmenter for contestant in contestants])
    with Progress(len(pairs)) as progress:
        comparison = measure(
            contestants,
            pairs,
            labels=labels,
            metric=metric,
            seed=seed,
            timed=timed,
            progress=lambda _done, _all: progress.advance(),
        )
    if as_json:
        echo_json({**comparison.to_dict(), "data": str(data_dir)})
    else:
        click.echo(_text(comparison))
    if output is not None:
        page = write_comparison(comparison, contestants, pairs, output, pictures=pictures)
        click.echo(f"page: {page}", err=as_json)


def _contestants(networks: Sequence[str], threads: int) -> list[Contestant]:
    """Opened, each under its own name, or where two have one name under what was typed."""
    from dataclasses import replace

    if len(set(networks)) < len(networks):
        raise NetworkError("a network is given twice", remedy="give each once")
    opened = [_open(network, threads) for network in networks]
    often = Counter(one.name for one in opened)
    return [
        one if often[one.name] == 1 else replace(one, name=typed) for typed, one in zip(networks, opened, strict=True)
    ]


def _open(network: str, threads: int) -> Contestant:
    from figureground.evaluate import Contestant
    from figureground.runtime.catalogue import load, shipped

    if network in shipped() or not Path(network).is_dir():
        segmenter = load(network, threads=threads)
        return Contestant(segmenter.name, segmenter)
    if not Path(network, "recipe.yaml").is_file():
        raise NetworkError(f"the folder {network} holds no run", remedy="give a folder that 'figureground train' made")
    from figureground.cli.extras import extra

    with extra("train", "A run folder"):
        from figureground.train.segmenter import RunSegmenter

        run = RunSegmenter(Path(network), threads=threads)
    return Contestant(run.name, run.as_recipe_says(), run.cost)


def _text(comparison: Comparison) -> str:
    """Networks side by side, one number a line; then the pairs."""
    from figureground.cli.tables import table
    from figureground.evaluate.comparison_files import difference_rows, rows

    turned = [list(column) for column in zip(*rows(comparison), strict=True)]
    parts = [table(turned), "in brackets: 95 % intervals over the choice of photos"]
    pairs = difference_rows(comparison)
    if pairs:
        parts += ["", table(pairs, right=pairs[0][2:])]
        parts.append("p: paired permutation test; the last column is adjusted for all pairs (Holm)")
    return "\n".join(parts)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
