"""`figureground combine`: networks, views and steps after them as one predictor file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from figureground.cli.options import complete_network, debug_option, number_list, refine_option, threshold_option
from figureground.errors import FiguregroundError

if TYPE_CHECKING:
    from figureground.runtime.ensemble import Mean

EPILOG = """\b
What is done, in this order
  --mirror, --scales     each network is asked about more views of the photo
  --weights, --mean      the mean of all networks is taken
  --people-first, --zoom a closer look at people, or at tiles; with settings: --closer
  --refine               steps that improve the mask

\b
Example
  figureground combine person person-fast --weights 3,1 --mirror --refine holes,specks -o both.json
  figureground combine person --closer people-first:margin=0.4:crops=4 -o closer.json
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
@click.option(
    "--closer",
    metavar="LOOK",
    help="A closer look with its settings, such as people-first:margin=0.4:crops=4 or tiles:zoom=2:overlap=0.125.",
)
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
    closer: str | None,
    zoom: float | None,
    refine: str | None,
    threshold: float | None,
    name: str | None,
) -> None:
    """Write networks and what is done around them as one predictor file, which --network takes like a network."""
    looks = {"--people-first": people_first, "--closer": closer is not None, "--zoom": zoom is not None}
    given = [option for option, is_given in looks.items() if is_given]
    if len(given) > 1:
        raise FiguregroundError(f"{' and '.join(given)} both look closer", remedy="give one of them")
    from figureground.images import make_folder
    from figureground.runtime.catalogue import load
    from figureground.runtime.inference import Inference, read_closer
    from figureground.runtime.predictor import check_path, save_predictor

    check_path(output)
    make_folder(output.parent)
    looked = {"flip": mirror, "scales": list(scales or (1.0,)), "mean": mean}
    inference = Inference(
        views=looked if mirror or scales is not None else None,
        refine=() if refine is None else refine,
        threshold=threshold,
        **({"people_first": {}} if people_first else {}),
        **({} if zoom is None else {"tiles": {"zoom": zoom}}),
        **({} if closer is None else read_closer(closer)),
    )
    whole = inference.around([load(network) for network in networks], weights, cast("Mean", mean))
    save_predictor(whole if name is None else whole.renamed(name, whole.threshold), output)
    click.echo(str(output))
