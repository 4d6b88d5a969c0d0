"""`figureground export`: a trained run in, one bundle file out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from figureground.cli.extras import extra
from figureground.cli.folders import make_folder
from figureground.cli.options import debug_option
from figureground.errors import DataError

FILE = click.Path(path_type=Path)


@click.command(
    epilog="""\b
Example
  figureground export runs/person-fast -o person-fast.onnx --report parity.json
"""
)
@click.argument("run", type=FILE)
@click.option("-o", "--output", required=True, type=FILE, help="The bundle to write (.onnx).")
@click.option("--name", help="Name of the network in the bundle.  [default: the recipe's name]")
@click.option("--card", type=FILE, help="YAML or JSON file of what people should know: description, licences, ...")
@click.option(
    "--storage",
    type=click.Choice(["float16", "float32", "int8"]),
    default="float16",
    show_default=True,
    help="How the weights are stored; they compute in float32 all the same.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0.0, 1.0, min_open=True, max_open=True),
    default=0.5,
    show_default=True,
    help="A pixel is person from this probability on.",
)
@click.option(
    "--peak",
    type=click.FloatRange(0.0, 1.0),
    default=0.0,
    show_default=True,
    help="Areas in which the probability never reaches this are dropped; 0 keeps all.",
)
@click.option(
    "--photos",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of photos to compare on.  [default: the demo photo and noise]",
)
@click.option("--report", type=FILE, help="Also write the parity report (bundle against torch) to this JSON file.")
@debug_option
def export(
    run: Path,
    output: Path,
    name: str | None,
    card: Path | None,
    storage: Any,
    threshold: float,
    peak: float,
    photos: Path | None,
    report: Path | None,
) -> None:
    """Turn a training run into a bundle (needs figureground[export]) and print its path."""
    with extra("export", "Export"):
        facts = _read_card(card) if card is not None else None
    for file in (output, report):
        if file is not None:
            make_folder(file.parent)
    with extra("export", "Export"):
        from figureground.export import export_run

        export_run(
            run,
            output,
            name=name,
            report=report,
            card=facts,
            storage=storage,
            threshold=threshold,
            peak=peak,
            photos=photos,
        )
    click.echo(str(output))


def _read_card(path: Path) -> dict[str, Any]:
    import yaml

    try:
        card = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DataError(f"cannot read the card {path}: {error}", remedy="give a YAML or JSON file") from error
    if not isinstance(card, dict):
        raise DataError(f"the card {path} holds no keys and values", remedy="write description: ... in it")
    return card
