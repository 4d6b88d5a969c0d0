"""`figureground combine`: networks, views and steps after them as one predictor file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from figureground.cli.options import complete_network, debug_option, number_list, refine_option, threshold_option
from figureground.errors import FiguregroundError

if TYPE_CHECKING:
    from figureground.runtime.ensemble import Mean
    from figureground.runtime.segmenter import Segmenter

EPILOG = """\b
What is done, in this order
  --mirror, --scales     each network is asked about more views of the photo
  --weights, --mean      the mean of all networks is taken
  --people-first, --zoom a closer look at people, or at tiles
  --refine               steps that improve the mask

\b
Example
  figureground combine person person-fast --weights 3,1 --mirror --refine holes,specks -o both.json
  figureground segment photo.jpg --network both.json
"""


@click.command(epilog=EPILOG)
@click.argument("networks", nargs=-1, required=True, metavar="NAME|FILE...", shell_complete=complete_network)
@click.option(
    "-o", "--output", required=True, metavar="FILE.json", type=click.Path(path_type=Path), help="The predictor file."
)
@click.option("--weights", metavar="W,W...", callback=number_list, help="One for each network.  [default: equal]")
@click.option(
    "--mean",
    type=click.Choice(["probability", "logit"]),
    default="probability",
    show_default=True,
    help="Of what the mean of networks and views is taken.",
)
@click.option("--mirror", is_flag=True, help="Ask about the mirror image too.")
@click.option("--scales", metavar="S,S...", callback=number_list, help="Ask at these scales.  [default: 1]")
@click.option("--people-first", is_flag=True, help="Look at each person again, closer.")
@click.option("--zoom", type=float, help="Look at the photo this many times as large, in tiles.")
@refine_option
@threshold_option
@click.option("--name", help="What people call it.  [default: made of the networks' names]")
@debug_option
def combine(
    networks: tuple[str, ...],
    output: Path,
    weights: tuple[float, ...] | None,
    mean: str,
    mirror: bool,
    scales: tuple[float, ...] | None,
    people_first: bool,
    zoom: float | None,
    refine: str | None,
    threshold: float | None,
    name: str | None,
) -> None:
    """Write networks and what is done around them as one predictor file, which --network takes like a network."""
    if people_first and zoom is not None:
        raise FiguregroundError("--people-first and --zoom both look closer", remedy="give one of them")
    from figureground.runtime.catalogue import load
    from figureground.runtime.ensemble import Ensemble
    from figureground.runtime.people_first import PeopleFirst
    from figureground.runtime.predictor import save_predictor
    from figureground.runtime.refined import Refined
    from figureground.runtime.tiled import Tiled
    from figureground.runtime.views import augmented

    of = cast("Mean", mean)
    made: list[Segmenter] = [load(network) for network in networks]
    if mirror or scales is not None:
        made = [augmented(network, flip=mirror, scales=scales or (1.0,), mean=of) for network in made]
    if len(made) > 1 or weights is not None:
        made = [Ensemble(made, weights=weights, mean=of)]
    (whole,) = made
    if people_first:
        whole = PeopleFirst(whole)
    if zoom is not None:
        whole = Tiled(whole, zoom=zoom)
    if refine is not None:
        whole = Refined(whole, refine)
    if name is not None or threshold is not None:
        whole = whole.renamed(name or whole.name, whole.threshold if threshold is None else threshold)
    save_predictor(whole, output)
    click.echo(str(output))
