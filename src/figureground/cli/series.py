"""`figureground series`: several recipes, one after the other, and one table of what they reached."""

from __future__ import annotations

from pathlib import Path

import click

from figureground.cli.compare import compare
from figureground.cli.extras import extra
from figureground.cli.options import (
    debug_option,
    depth_folder_option,
    echo_json,
    json_option,
    overrides_option,
    tree_option,
)

_FILE = click.Path(path_type=Path)


@click.command(
    epilog="""\b
Example
  figureground series plain.yaml gates.yaml --data photos/valid -o runs/gates
"""
)
@click.argument("recipes", nargs=-1, required=True, metavar="RECIPE...", type=_FILE)
@overrides_option("Change one value of all recipes (may be repeated).")
@click.option(
    "-o", "--output", metavar="FOLDER", type=_FILE, default=Path("runs"), show_default=True, help="Holds the runs."
)
@click.option("--data", "data_dir", metavar="DIR", type=_FILE, help="Photos and masks to compare the runs on.")
@tree_option
@depth_folder_option
@json_option
@debug_option
@click.pass_context
def series(
    context: click.Context,
    recipes: tuple[Path, ...],
    overrides: tuple[str, ...],
    output: Path,
    data_dir: Path | None,
    tree: str | None,
    depth: Path | None,
    as_json: bool,
) -> None:
    """Train several recipes and compare what they reached (needs figureground[train]).

    Each recipe gets the run folder FOLDER/NAME. Given again, the same command leaves finished runs alone and goes on
    with what was interrupted. With --data the runs are compared as 'figureground compare' does, into
    FOLDER/comparison; without, the run folders are printed.
    """
    if data_dir is None and (tree is not None or depth is not None):
        raise click.UsageError("--tree and --depth are about the photos of --data, which is not given")
    if data_dir is not None:
        # What is not there is told now and not after the trainings.
        from figureground.evaluate import find_pairs, with_depth_maps

        pairs = find_pairs(data_dir)
        if depth is not None:
            with_depth_maps(pairs, depth)
    with extra("train", "Training"):
        from figureground.train.series import COMPARISON, run_series

        made = run_series(recipes, overrides, output=output)
    folders = [str(folder) for folder in made.finished]
    if data_dir is not None and folders:
        given = {"data_dir": data_dir, "tree": tree, "depth": depth, "as_json": as_json}
        context.invoke(compare, networks=tuple(folders), output=output / COMPARISON, **given)
    elif as_json:
        echo_json({"runs": folders})
    else:
        click.echo("\n".join(folders))
    for _folder, error in made.diverged:
        raise error
