"""`figureground search`: the values of a recipe that score highest, found by trying."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from figureground.cli.extras import extra
from figureground.cli.options import debug_option, echo_json, json_option, overrides_option

if TYPE_CHECKING:
    from figureground.train.trials import Trials

_FILE = click.Path(path_type=Path)

EPILOG = """\b
The space, a YAML file: which keys of the recipe to change, and between what
  optimize.learning_rate: {log: [0.0003, 0.01]}
  losses.1.weight: {range: [0.0, 1.0]}
  schedule.batch_size: {choice: [8, 16]}
Whole numbers stay whole; a range may have a step.

\b
Example
  figureground search mine.yaml --space space.yaml --trials 20
  figureground train searches/mine/best.yaml
"""


@click.command(epilog=EPILOG)
@click.argument("recipe", type=_FILE)
@click.option("--space", required=True, metavar="FILE", type=_FILE, help="What to change, and between what.")
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="How many in all; those that the study holds already count.",
)
@click.option("--study", metavar="FILE", type=_FILE, help="What remembers the trials.  [default: FOLDER/study.db]")
@overrides_option("Change one value of the recipe in all trials (may be repeated).")
@click.option("-o", "--output", metavar="FOLDER", type=_FILE, help="For everything.  [default: searches/NAME]")
@click.option("--prune/--no-prune", default=True, show_default=True, help="Whether to break off what does badly.")
@json_option
@debug_option
def search(
    recipe: Path,
    space: Path,
    trials: int,
    study: Path | None,
    overrides: tuple[str, ...],
    output: Path | None,
    prune: bool,
    as_json: bool,
) -> None:
    """Try values in a recipe and keep those that score highest (needs figureground[search]).

    Each trial is a training of its own. Given again, the same command goes on where it was stopped. Prints all trials,
    the best first, and the path of the best one's recipe.
    """
    with extra("search", "A search"):
        from figureground.train.search import search as find

        found = find(
            recipe,
            space,
            trials=trials,
            overrides=overrides,
            study=study,
            output=output,
            prune=prune,
            say=_say,
        )
    best = None if found.best is None else str(found.folder / "best.yaml")
    if as_json:
        echo_json({**found.to_dict(), "best": best})
        return
    from figureground.cli.tables import table

    click.echo(table(found.table()))
    if best is not None:
        click.echo(best)


def _say(trials: Trials) -> None:
    """One line for each trial that ended, while others follow."""
    last = max(trials.rows, key=lambda row: row.number)
    score = "no score" if last.score is None else f"score {last.score:.4f}"
    highest = "" if trials.best is None else f"; best {trials.best.score:.4f} of {trials.best.folder}"
    click.echo(f"{last.folder}: {last.state}, {score}{highest}", err=True)
