"""What the verbs that take photos say about each of them: a path or an error in text, or one JSON object a line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from figureground.cli.pipeline import Job, Outcome, Task, process
from figureground.cli.progress import Progress
from figureground.cli.sources import STDIN
from figureground.errors import FiguregroundError

if TYPE_CHECKING:
    from figureground.runtime.segmentation import Segmentation
    from figureground.runtime.segmenter import Segmenter


def describe(result: Segmentation) -> dict[str, Any]:
    """What JSON says about a segmentation. `person_share` is the share of pixels in the mask."""
    height, width = result.size
    return {
        "width": width,
        "height": height,
        "threshold": result.threshold,
        "is_empty": result.is_empty,
        "person_share": 0.0 if result.is_empty else float(result.mask.mean()),
        "seconds": result.elapsed,
    }


class Results:
    """Tells about outcomes as they come in, and knows how it all ended.

    Args:
        jobs: all that was asked for.
        waiting: those of them that are still to be done.
        progress: counts them.
    """

    def __init__(self, jobs: Sequence[Job], waiting: Sequence[Job], progress: Progress) -> None:
        self.failed = 0
        self.exit_code = 0
        """0, the code of the errors where they share one, else 2."""
        self._jobs = jobs
        self._skipped = len(jobs) - len(waiting)
        self._progress = progress

    def tell(self, outcome: Outcome) -> None:
        """Tell about one outcome; an error goes to stderr as well."""
        self._progress.advance()
        if outcome.error is not None:
            code = outcome.error.exit_code
            self.exit_code = code if self.exit_code in (0, code) else FiguregroundError.exit_code
            self.failed += 1
            self._progress.say(f"figureground: {named(outcome.job, outcome.error)}", err=True)
        line = self.line(outcome)
        if line is not None:
            self._progress.say(line)

    def line(self, outcome: Outcome) -> str | None:
        """What stdout says about one outcome: the path of a picture whose photo was named by itself."""
        if outcome.error is not None or outcome.job.target is None or outcome.job.source.root is not None:
            return None
        return str(outcome.job.target)

    def close(self) -> None:
        """Say how it went, where folders were searched."""
        where = _folder_of_pictures(self._jobs)
        if where is None:
            return
        parts = [f"{self._progress.done - self.failed} pictures written to {where}"]
        if self._skipped:
            parts.append(f"{self._skipped} were there already")
        if self.failed:
            parts.append(f"{self.failed} failed")
        rate = f" ({self._progress.rate:.1f} images/s)" if self._progress.done else ""
        click.echo(", ".join(parts) + rate)


class JsonResults(Results):
    """The same as JSON lines: every image is one object, the skipped ones first."""

    def __init__(self, jobs: Sequence[Job], waiting: Sequence[Job], progress: Progress) -> None:
        super().__init__(jobs, waiting, progress)
        still = {id(job) for job in waiting}
        for job in jobs:
            if id(job) not in still:
                self._progress.say(_json_line(job, {"skipped": True}))

    def line(self, outcome: Outcome) -> str:
        """The facts of an outcome, or its error."""
        if outcome.error is not None:
            return _json_line(outcome.job, {"error": named(outcome.job, outcome.error)}, written=False)
        return _json_line(outcome.job, outcome.facts)

    def close(self) -> None:
        """Nothing: JSON has one line per image and no other."""


@contextmanager
def results(jobs: Sequence[Job], waiting: Sequence[Job], as_json: bool) -> Iterator[Results]:
    """Tell about `jobs`, in text or JSON, with a progress bar over the `waiting` ones."""
    with Progress(len(waiting)) as progress:
        told = (JsonResults if as_json else Results)(jobs, waiting, progress)
        yield told
    told.close()


def carry_out(
    jobs: Sequence[Job],
    task: Task,
    open_segmenter: Callable[[], Segmenter],
    *,
    threshold: float | None,
    resume: bool,
    as_json: bool,
) -> int:
    """Do `jobs`, tell about each, and return the exit code. With `resume` those whose file is there are passed over.

    The network is opened only when there is something to do.
    """
    waiting = [job for job in jobs if not (resume and job.target is not None and job.target.exists())]
    with results(jobs, waiting, as_json) as told:
        if waiting:
            for outcome in process(open_segmenter(), waiting, task, threshold):
                told.tell(outcome)
    return told.exit_code


def _folder_of_pictures(jobs: Sequence[Job]) -> str | None:
    """The folder that holds the pictures of searched folders, or how many hold them; None where none was searched."""
    found = [(job.source.root, job.target.parent) for job in jobs if job.source.root is not None and job.target]
    if not found:
        return None
    folders = [folder for _, folder in found]
    if len({folder.is_absolute() for folder in folders}) == 1:
        common = os.path.commonpath(folders)
        if Path(common).name:
            return common
    roots = len({root for root, _ in found})
    return f"{roots} folders" if roots > 1 else "."


def _json_line(job: Job, facts: dict[str, Any], *, written: bool = True) -> str:
    output = str(job.target) if written and job.target is not None else None
    return json.dumps({"source": job.source.shown, "output": output, **facts})


def named(job: Job, error: FiguregroundError) -> str:
    """The error's text, with a name for images that came without a path."""
    # What follows the question mark of an address may be secret.
    name = "stdin" if job.source.shown == STDIN else f"'{job.source.shown.partition('?')[0]}'"
    return str(error).replace("the image given", name)
