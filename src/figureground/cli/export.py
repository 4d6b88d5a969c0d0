"""`figureground export`: a trained run in, one bundle file out."""

from __future__ import annotations

from pathlib import Path

import click

from figureground.cli.extras import extra
from figureground.cli.options import debug_option


@click.command(
    epilog="""\b
Example
  figureground export runs/person-fast -o person-fast.onnx --report parity.json
"""
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The bundle to write (.onnx).")
@click.option("--name", help="Name of the network in the bundle.  [default: the recipe's name]")
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    help="Also write the parity report (bundle against torch) to this JSON file.",
)
@debug_option
def export(run: Path, output: Path, name: str | None, report: Path | None) -> None:
    """Turn a training run into a bundle (needs figureground[export])."""
    with extra("export", "Export"):
        from figureground.export import export_run

    export_run(run, output, name=name, report=report)
    click.echo(str(output))
