"""`figureground export`: a trained run or an ensemble in, one bundle file out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from figureground.cli.extras import extra
from figureground.cli.options import debug_option
from figureground.errors import DataError

FILE = click.Path(path_type=Path)


@click.command(
    epilog="""\b
Example
  figureground export runs/person-fast -o person-fast.onnx --report parity.json
  figureground export best.json -o best.onnx
"""
)
@click.argument("run", metavar="RUN|PREDICTOR", type=FILE)
@click.option("-o", "--output", required=True, type=FILE, help="The bundle to write (.onnx).")
@click.option("--name", help="Name of the network in the bundle.  [default: the recipe's or predictor's]")
@click.option("--card", type=FILE, help="YAML or JSON file of what people should know: description, licences, ...")
@click.option(
    "--storage",
    type=click.Choice(["float16", "float32", "int8"]),
    help="How a run's weights are stored; they compute in float32 all the same.  [default: float16]",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0.0, 1.0, min_open=True, max_open=True),
    help="A pixel is person from this probability on.  [default: the recipe's or predictor's, or 0.5]",
)
@click.option(
    "--peak",
    type=click.FloatRange(0.0, 1.0),
    help="Areas in which a run's probability never reaches this are dropped; 0 keeps all.  [default: 0]",
)
@click.option(
    "--whole",
    metavar="LABEL",
    help="Leave a run's parts out: one label of this name for the whole figure.  [default: the recipe's label tree]",
)
@click.option(
    "--area",
    type=click.IntRange(min=1),
    metavar="PIXELS",
    help="Pixels at which a run's network sees a photo.  [default: the recipe's]",
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
    threshold: float | None,
    peak: float | None,
    whole: str | None,
    area: int | None,
    photos: Path | None,
    report: Path | None,
) -> None:
    """Turn a training run, or a predictor file of networks and their views, into a bundle and print its path.

    Where the run's recipe has a section 'predict', a predictor file with it is written beside the bundle, and its path
    printed as well. Needs figureground[export].
    """
    is_run = run.suffix.lower() != ".json"
    if not is_run and any(option is not None for option in (storage, peak, whole, area)):
        raise click.UsageError(
            "--storage, --peak, --whole and --area are for runs: a predictor's networks keep their own"
        )
    if is_run and report is not None and report.absolute() == output.with_suffix(".json").absolute():
        raise click.UsageError(
            f"{report} is where the predictor file of a recipe's 'predict' goes: name --report otherwise"
        )
    with extra("export", "Export"):
        facts = _read_card(card) if card is not None else None
    from figureground.images import make_folder

    for file in (output, report):
        if file is not None:
            make_folder(file.parent)
    with extra("export", "Export"):
        from figureground.export import export_inference, export_predictor, export_run

        if is_run:
            export_run(
                run,
                output,
                name=name,
                report=report,
                card=facts,
                storage=storage or "float16",
                threshold=threshold,
                peak=peak or 0.0,
                whole=whole,
                area=area,
                photos=photos,
            )
        else:
            export_predictor(run, output, name=name, report=report, card=facts, threshold=threshold, photos=photos)
        around = export_inference(run, output) if is_run else None
    click.echo(str(output))
    if around is not None:
        click.echo(str(around))


def _read_card(path: Path) -> dict[str, Any]:
    import yaml

    try:
        card = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DataError(f"cannot read the card {path}: {error}", remedy="give a YAML or JSON file") from error
    if not isinstance(card, dict):
        raise DataError(f"the card {path} holds no keys and values", remedy="write description: ... in it")
    return card
