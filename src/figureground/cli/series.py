"""`figureground series`: several recipes, one after the other, and one table of what they reached."""

from __future__ import annotations

from pathlib import Path

import click

from figureground.cli.compare import compare
from figureground.cli.extras import extra
from figureground.cli.options import debug_option, overrides_option

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
@debug_option
@click.pass_context
def series(
    context: click.Context, recipes: tuple[Path, ...], overrides: tuple[str, ...], output: Path, data_dir: Path | None
) -> None:
    """Train several recipes and compare what they reached (needs figureground[train]).

    Each recipe gets the run folder FOLDER/NAME. Given again, the same command leaves finished runs alone and goes on
    with what was interrupted. With --data the runs are compared as 'figureground compare' does, into
    FOLDER/comparison; without, the run folders are printed.
    """
    if data_dir is not None and not data_dir.is_dir():
        raise click.BadParameter(f"'{data_dir}' is no folder", param_hint="--data")
    with extra("train", "Training"):
        from figureground.train.series import run_series

        folders = run_series(recipes, overrides, output=output)
    if data_dir is None:
        click.echo("\n".join(str(folder) for folder in folders))
        return
    context.invoke(
        compare, networks=tuple(str(folder) for folder in folders), data_dir=data_dir, output=output / "comparison"
    )
