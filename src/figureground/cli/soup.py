"""`figureground soup`: the weights of several states of one network averaged into a run folder."""

from __future__ import annotations

from pathlib import Path

import click

from figureground.cli.extras import extra
from figureground.cli.options import debug_option, number_list

_FILE = click.Path(path_type=Path)


@click.command(
    epilog="""\b
Example
  figureground soup runs/a runs/b runs/c -o runs/soup
  figureground export runs/soup -o soup.onnx
"""
)
@click.argument("sources", nargs=-1, required=True, metavar="RUN|FILE...", type=_FILE)
@click.option("-o", "--output", required=True, metavar="RUN", type=_FILE, help="The run folder to make.")
@click.option(
    "--decay",
    type=click.FloatRange(0.0, 1.0, min_open=True, max_open=True),
    help="A moving average in the order given, each keeping this share of what was before.  [default: equal shares]",
)
@click.option("--weights", metavar="W,W...", callback=number_list, help="One for each source.  [default: equal]")
@debug_option
def soup(sources: tuple[Path, ...], output: Path, decay: float | None, weights: tuple[float, ...] | None) -> None:
    """Average the weights of several states of one network (needs figureground[train]).

    For snapshots of one training, and for trainings that went on from the same weights. Prints the run folder.
    """
    with extra("train", "A soup"):
        from figureground.train import soup as average

        average(sources, output, weights=weights, decay=decay)
    click.echo(str(output))
