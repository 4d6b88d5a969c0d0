"""`figureground segment`: photos in, pictures out."""

from __future__ import annotations

from pathlib import Path

import click

from figureground.cli.options import (
    debug_option,
    depth_option,
    format_option,
    json_lines_option,
    network_option,
    output_option,
    refine_option,
    resume_option,
    sources_argument,
    threshold_option,
)
from figureground.cli.outputs import check_stdout, names_folder, output_format, plan
from figureground.cli.rendering import KINDS, check_format, rendering
from figureground.cli.sources import find, with_depth

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
@sources_argument
@output_option
@click.option(
    "--as", "kind", type=click.Choice(KINDS), default="cutout", show_default=True, help="The picture to make."
)
@click.option(
    "--background", metavar="COLOR|IMAGE|blur:R", help="Put the people on a colour, an image, or the blurred photo."
)
@format_option
@network_option
@threshold_option
@refine_option
@resume_option
@json_lines_option
@depth_option
@debug_option
def segment(
    sources: tuple[str, ...],
    output: str | None,
    kind: str,
    background: str | None,
    chosen_format: str | None,
    network: str,
    threshold: float | None,
    refine: str | None,
    resume: bool,
    as_json: bool,
    depth: Path | None,
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
    found = with_depth(found, depth)
    targets = plan(found, output, drawn.kind, picture_format)
    check_stdout(targets, as_json)

    from figureground.cli.pipeline import Job, Task, pictures
    from figureground.cli.refining import opener
    from figureground.cli.results import carry_out, describe

    open_network = opener(network, refine)
    jobs = [Job(source, target) for source, target in zip(found, targets, strict=True)]
    task = Task(pictures(drawn.draw, picture_format), describe if as_json else None)
    return carry_out(jobs, task, open_network, threshold=threshold, resume=resume, as_json=as_json)
