"""`figureground segment`: photos in, pictures out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from figureground.cli.options import debug_option, network_option, threshold_option
from figureground.cli.outputs import FORMATS, names_folder, output_format, plan
from figureground.cli.rendering import KINDS, check_format, rendering
from figureground.cli.sources import find
from figureground.errors import OutputError

EPILOG = """\b
Where the pictures go
  segment photo.jpg               photo-cutout.png next to it
  segment photos                  photos-cutout/, with the folders inside
  segment a.jpg b.jpg -o out      out/a.png and out/b.png
  segment photos -o out --resume  out/, only what is not there yet
  segment photo.jpg -o me.webp    me.webp
  segment - < in.jpg > out.png    stdin to stdout
No input is overwritten, and no two pictures get the same name.

\b
Example
  figureground segment photo.jpg --background blur:20 -o portrait.png
"""


@click.command(epilog=EPILOG)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...", type=click.Path())
@click.option("-o", "--output", metavar="FILE|FOLDER|-", type=click.Path(), help="Where to write; - is stdout.")
@click.option(
    "--as", "kind", type=click.Choice(KINDS), default="cutout", show_default=True, help="The picture to make."
)
@click.option(
    "--background", metavar="COLOR|IMAGE|blur:R", help="Put the people on a colour, an image, or the blurred photo."
)
@click.option("--format", "chosen_format", type=click.Choice(FORMATS), help="Format of the pictures.  [default: png]")
@network_option
@threshold_option
@click.option("--resume", is_flag=True, help="Skip images whose picture is there already.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per image, one a line.")
@debug_option
def segment(
    sources: tuple[str, ...],
    output: str | None,
    kind: str,
    background: str | None,
    chosen_format: str | None,
    network: str,
    threshold: float | None,
    resume: bool,
    as_json: bool,
) -> int:
    """Cut the people out of photos.

    SOURCE is an image, a folder (with all that is below it), a pattern such as 'photos/**/*.jpg', an address
    (https://...), or - for stdin. A file that cannot be used is reported in one line; the others are done all the same,
    and the exit code is 2.
    """
    picture_format = output_format(output, chosen_format)
    drawn = rendering(kind, background)
    check_format(drawn, picture_format)
    found = find(sources, leave_out=Path(output) if output is not None and names_folder(output) else None)
    targets = plan(found, output, drawn.kind, picture_format)
    _check_stdout(targets, as_json)

    from figureground.cli.pipeline import Job, Task, process
    from figureground.cli.results import describe, results

    jobs = [Job(source, target) for source, target in zip(found, targets, strict=True)]
    waiting = [job for job in jobs if not (resume and job.target is not None and job.target.exists())]
    with results(jobs, waiting, as_json) as told:
        if waiting:
            from figureground.runtime.catalogue import load

            task = Task(drawn.draw, picture_format, describe if as_json else None)
            for outcome in process(load(network), waiting, task, threshold):
                told.tell(outcome)
    return told.exit_code


def _check_stdout(targets: Sequence[Path | None], as_json: bool) -> None:
    """OutputError when stdout is to carry a picture and cannot."""
    if None not in targets:
        return
    if as_json:
        raise OutputError("stdout cannot carry both the picture and --json", remedy="give a file: -o cutout.png")
    if sys.stdout.isatty():
        raise OutputError("stdout is a terminal, not a place for a picture", remedy="give a file: -o cutout.png")
