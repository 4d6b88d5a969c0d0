"""`figureground parse`: photos in, the parts of the people out, as pictures or as numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from figureground.cli.options import (
    debug_option,
    depth_option,
    format_option,
    json_lines_option,
    output_option,
    parts_network_option,
    refine_option,
    resume_option,
    sources_argument,
    threshold_option,
)
from figureground.cli.outputs import JSON_SUFFIXES, SUFFIXES, check_stdout, names_folder, output_format, plan
from figureground.cli.refining import opener
from figureground.cli.sources import find, with_depth
from figureground.errors import OutputError

if TYPE_CHECKING:
    from figureground.runtime.segmentation import Segmentation
    from figureground.runtime.segmenter import Segmenter

# The kinds, and the word that names of files carry: `segment` has an overlay too.
WORDS = {
    "overlay": "parts-overlay",
    "map": "parts-map",
    "parts": "parts",
    "side-by-side": "parts-side-by-side",
    "json": "parts",
}
_KEEP_NUMBERS = ("png", "tif", "bmp")

EPILOG = """\b
What is made of each photo
  overlay       the photo with the parts painted over, and a legend
  map           the number of the part as the value of each pixel
  parts         each part by itself, with its share of the photo
  side-by-side  the photo, the overlay and the map
  json          area, box and confidence of each part, on stdout or in -o
Where files go is as for 'segment': photo-parts-overlay.png by default.

\b
Example
  figureground parse photo.jpg --level 1 --as side-by-side -o halves.png
  figureground parse photos --as json > parts.jsonl
"""


@click.command(epilog=EPILOG)
@sources_argument
@output_option
@click.option(
    "--as", "kind", type=click.Choice(tuple(WORDS)), default="overlay", show_default=True, help="What to make."
)
@click.option(
    "--level",
    type=click.IntRange(min=0),
    help="Level of the label tree; 0 is the whole person.  [default: the deepest; json has all]",
)
@format_option
@parts_network_option
@refine_option
@threshold_option
@resume_option
@json_lines_option
@depth_option
@debug_option
def parse(
    sources: tuple[str, ...],
    output: str | None,
    kind: str,
    level: int | None,
    chosen_format: str | None,
    network: str,
    refine: str | None,
    threshold: float | None,
    resume: bool,
    as_json: bool,
    depth: Path | None,
) -> int:
    """Find the parts of the people in photos: head, torso, arms and legs.

    SOURCE is an image, a folder (with all that is below it), a pattern such as 'photos/**/*.jpg', an address
    (https://...), or - for stdin. A file that cannot be used is reported in one line; the others are done all the same,
    and the exit code is 2.
    """
    open_network = opener(network, refine)
    suffixes = JSON_SUFFIXES if kind == "json" else SUFFIXES
    file_format = output_format(output, chosen_format, suffixes)
    _check_format(kind, file_format)
    found = find(sources, leave_out=Path(output) if output is not None and names_folder(output, suffixes) else None)
    found = with_depth(found, depth)
    # Numbers without a place to go are told on stdout, a line for each photo.
    only_told = kind == "json" and output in (None, "-")
    targets = [None] * len(found) if only_told else plan(found, output, WORDS[kind], file_format, suffixes)
    if not only_told:
        check_stdout(targets, as_json)

    from figureground.cli.pipeline import Job, Task
    from figureground.cli.results import carry_out

    jobs = [Job(source, target) for source, target in zip(found, targets, strict=True)]
    as_json = as_json or only_told
    describe = partial(describe_parts, level=level) if as_json else None
    task = Task(None if only_told else _encoder(kind, level, file_format), describe)
    return carry_out(
        jobs, task, partial(_open, open_network, level), threshold=threshold, resume=resume, as_json=as_json
    )


def describe_parts(result: Segmentation, level: int | None) -> dict[str, Any]:
    """What JSON says about the parts in a photo, at one level or at all of them."""
    from figureground.cli.results import describe

    return {**describe(result), "level": level, "parts": [part.to_dict() for part in result.found(level)]}


def _encoder(kind: str, level: int | None, file_format: str) -> Callable[[Segmentation], bytes]:
    if kind == "json":
        return lambda result: f"{json.dumps(describe_parts(result, level), indent=2)}\n".encode()
    from figureground.cli.pipeline import pictures

    return pictures(lambda result: result.part_picture(kind, -1 if level is None else level), file_format)


def _check_format(kind: str, file_format: str) -> None:
    if kind == "json" and file_format != "json":
        raise OutputError(f"--as json is no {file_format} picture", remedy="leave --format out")
    if kind == "map" and file_format not in _KEEP_NUMBERS:
        raise OutputError(
            f"a {file_format} file does not keep the numbers of a map", remedy=f"write .{', .'.join(_KEEP_NUMBERS)}"
        )


def _open(open_network: Callable[[], Segmenter], level: int | None) -> Segmenter:
    """The network, once it is known to have parts, and that level."""
    from figureground.runtime.catalogue import require_parts

    segmenter = require_parts(open_network())
    if level is not None:
        segmenter.labels.level(level)  # raises for a level that is not there
    return segmenter
