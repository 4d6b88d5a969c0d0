"""`figureground train`: a recipe in, a run folder out."""

from __future__ import annotations

from pathlib import Path

import click

from figureground.cli.extras import extra
from figureground.cli.options import debug_option, overrides_option


@click.command(
    epilog="""\b
Example
  figureground train recipes/person-fast.yaml --set schedule.epochs=3 -o runs/try
  figureground train recipes/person-fast.yaml --folds 5 -o runs/folds
"""
)
@click.argument("recipe", type=click.Path(path_type=Path))
@overrides_option("Change one value of the recipe; dots reach inside (may be repeated).")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder of the run.  [default: runs/NAME]")
@click.option("--resume", is_flag=True, help="Go on where the run in the folder was interrupted.")
@click.option(
    "--folds",
    type=click.IntRange(2, 100),
    metavar="N",
    help="Cross-validate: train N times, each time with another part of the photos held out, and print a table.",
)
@debug_option
def train(recipe: Path, overrides: tuple[str, ...], output: Path | None, resume: bool, folds: int | None) -> None:
    """Train a network from a recipe (needs figureground[train]) and print the folder of the run."""
    with extra("train", "Training"):
        if folds is None:
            from figureground.train import run

            folder = run(recipe, list(overrides), output=output, resume=resume)
        else:
            from figureground.train.folds import PAGE, run_folds

            folder = run_folds(recipe, list(overrides), count=folds, output=output, resume=resume)
            click.echo((folder / PAGE).read_text(encoding="utf-8"), nl=False)
    click.echo(str(folder))
