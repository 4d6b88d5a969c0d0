"""`figureground predict`: the predictions of many photos in a CSV file and on one page."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from figureground.cli.options import (
    debug_option,
    depth_option,
    echo_json,
    json_option,
    network_option,
    refine_option,
    sources_argument,
    threshold_option,
)
from figureground.cli.sources import Source, find, with_depth

if TYPE_CHECKING:
    from figureground.runtime.segmentation import Segmentation

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(
    epilog="""\b
The CSV file
  id,rle_mask
  001,1 3 242 5      the photo's name without suffix; start and length of each
                     run of person pixels, row by row, the first pixel is 1

\b
Example
  figureground predict photos --csv predictions.csv --html predictions.html
"""
)
@sources_argument
@click.option("--csv", "csv_file", metavar="FILE", type=_FILE, help="Write the masks as run lengths, a line a photo.")
@click.option("--html", "html_file", metavar="FILE", type=_FILE, help="Write one page with all photos and masks.")
@network_option
@refine_option
@threshold_option
@json_option
@depth_option
@debug_option
def predict(
    sources: tuple[str, ...],
    csv_file: Path | None,
    html_file: Path | None,
    network: str,
    refine: str | None,
    threshold: float | None,
    as_json: bool,
    depth: Path | None,
) -> int:
    """Predict photos into two files: a CSV of run lengths, and a page that shows every prediction.

    SOURCE is an image, a folder, a pattern, an address or -, as for 'segment'. The page holds its pictures itself. A
    photo that cannot be used is reported in one line and left out of both files, and the exit code is 2.
    """
    if csv_file is None and html_file is None:
        raise click.UsageError("give --csv FILE, --html FILE or both")
    if Path("-") in (csv_file, html_file):
        raise click.UsageError("'-' is no file to write to: give --csv and --html a name each")
    if csv_file is not None and html_file is not None and _place(csv_file) == _place(html_file):
        raise click.UsageError(f"--csv and --html are one file, {csv_file}: give a name each")
    from figureground.cli.pipeline import Job, Task, process
    from figureground.cli.progress import Progress
    from figureground.cli.refining import opener
    from figureground.cli.results import named
    from figureground.evaluate import PredictionFiles
    from figureground.images import make_folder

    found = with_depth(find(sources), depth)
    names = _names(found)
    open_network = opener(network, refine)
    for file in (csv_file, html_file):
        if file is not None:
            make_folder(file.parent)
    segmenter = open_network()
    jobs = [Job(source, None) for source in found]
    errors: list[dict[str, str]] = []
    files = PredictionFiles(csv=csv_file, html=html_file, title=f"Predictions of {segmenter.name}")
    with files, Progress(len(jobs)) as progress:
        outcomes = process(segmenter, jobs, Task(None, _prediction), threshold)
        for name, outcome in zip(names, outcomes, strict=True):
            progress.advance()
            if outcome.error is None:
                files.add(name, outcome.facts["prediction"])
            else:
                said = named(outcome.job, outcome.error)
                errors.append({"source": outcome.job.source.shown, "error": said})
                progress.say(f"figureground: {said}", err=True)
    written = [str(file) for file in (csv_file, html_file) if file is not None]
    if as_json:
        echo_json({"images": len(jobs) - len(errors), "failed": errors, "files": written, "network": segmenter.name})
    else:
        click.echo("\n".join(written))
    return 2 if errors else 0


def _place(file: Path) -> str:
    """Where a file comes to lie. A link in its own place is replaced, not followed."""
    return os.path.join(os.path.realpath(file.parent), file.name)


def _prediction(result: Segmentation) -> dict[str, Any]:
    from figureground.evaluate import Prediction

    return {"prediction": Prediction.of(result)}


def _names(found: Sequence[Source]) -> list[str]:
    """The place below the folder without suffix; where two photos would have one name with it, or else as typed."""
    names = [source.relative.with_suffix("").as_posix() for source in found]
    for longer in ([source.relative.as_posix() for source in found], [source.shown for source in found]):
        often = Counter(names)
        names = [name if often[name] == 1 else other for name, other in zip(names, longer, strict=True)]
    return names
