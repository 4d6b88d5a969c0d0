"""Many images through one segmenter: decoding, the network, and drawing with writing, all three at once.

The segmenter's `batch` decodes ahead in its own threads and runs the network in ours; drawing, encoding and writing
happen in a few threads here. Never more than a few images are in memory, however many there are. Results are reported
in the order of the jobs.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figureground.cli.sources import Source
from figureground.errors import FiguregroundError, ImageError, MissingExtraError, OutputError, SourceError

if TYPE_CHECKING:
    from PIL.Image import Image

    from figureground.runtime.depth_input import WithDepth
    from figureground.runtime.segmentation import Segmentation
    from figureground.runtime.segmenter import Segmenter

_WRITERS = 2
_WAITING = 4
"""Segmented images that may wait to be drawn and written. More would cost memory and save no time."""


_Facts = Future[dict[str, Any]]

_OF_ONE_IMAGE = (ImageError, SourceError, MissingExtraError)
"""Errors that say nothing about the other images. An extra that is missing is the one for HEIC photos."""


@dataclass(frozen=True)
class Job:
    """One image to do: where it comes from and where its picture goes (None: stdout)."""

    source: Source
    target: Path | None


@dataclass(frozen=True)
class Outcome:
    """How one job ended: with what was asked to be told about it, or with an error about its image."""

    job: Job
    facts: dict[str, Any] = field(default_factory=dict)
    error: FiguregroundError | None = None


@dataclass(frozen=True)
class Task:
    """What is done with each segmentation: a file is made of it (None: no file), and it is described where wanted."""

    encode: Callable[[Segmentation], bytes] | None
    describe: Callable[[Segmentation], dict[str, Any]] | None = None

    def finish(self, result: Segmentation, target: Path | None) -> dict[str, Any]:
        """Write the file of `result` to `target`, or to stdout; return its description.

        Raises:
            ImageError: the photo's pixels are damaged, or its picture is too large for the format.
            OutputError: the file cannot be written.
        """
        if self.encode is not None:
            _deliver(self.encode(result), target)
        return self.describe(result) if self.describe is not None else {}


def pictures(draw: Callable[[Segmentation], Image], picture_format: str) -> Callable[[Segmentation], bytes]:
    """The function that draws a segmentation and gives the bytes of the picture's file, for a `Task`."""

    def encode(result: Segmentation) -> bytes:
        from figureground import images

        picture = draw(result)
        try:
            return images.encode(picture, picture_format)
        except OutputError as error:
            # A format's limit on width and height is the affair of this one image.
            raise ImageError(f"'{result.path}': {error.message}", remedy=error.remedy) from error

    return encode


def process(segmenter: Segmenter, jobs: Iterable[Job], task: Task, threshold: float | None) -> Iterator[Outcome]:
    """Do all `jobs` and give one outcome each, in order. A bad image is an outcome, everything else an exception.

    Raises:
        OutputError, NetworkError: what spoils one picture would spoil the others too, so it ends the run.
    """
    opened: deque[_Opened] = deque()
    writing: deque[tuple[Job, _Facts]] = deque()
    pool = ThreadPoolExecutor(_WRITERS, thread_name_prefix="figureground-write")
    results = segmenter.batch(_images(jobs, opened), threshold=threshold, on_error="yield")
    try:
        for result in results:
            writing.extend(_unopened(opened))
            job = opened.popleft().job
            if isinstance(result, FiguregroundError):
                writing.append((job, _failed(result)))
            else:
                writing.append((job, pool.submit(task.finish, result, job.target)))
            while len(writing) > _WAITING:
                yield _outcome(*writing.popleft())
        writing.extend(_unopened(opened))
        while writing:
            yield _outcome(*writing.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        if isinstance(results, Generator):  # ends its threads now, not when the error's traceback is dropped
            results.close()


@dataclass(frozen=True)
class _Opened:
    """A job whose source was opened, or could not be."""

    job: Job
    error: FiguregroundError | None = None


def _images(jobs: Iterable[Job], opened: deque[_Opened]) -> Iterator[Path | bytes | WithDepth]:
    """The images of `jobs` that could be opened; `opened` tells which jobs they belong to, and which failed between."""
    for job in jobs:
        try:
            image = job.source.open()
        except FiguregroundError as error:
            opened.append(_Opened(job, error))
            continue
        opened.append(_Opened(job))
        yield image


def _unopened(opened: deque[_Opened]) -> Iterator[tuple[Job, _Facts]]:
    """Take the failed jobs from the head of `opened`: they have no result to wait for."""
    while opened and (error := opened[0].error) is not None:
        yield opened.popleft().job, _failed(error)


def _deliver(data: bytes, target: Path | None) -> None:
    from figureground import images

    if target is None:
        _to_stdout(data)
    else:
        images.make_folder(target.parent)
        images.write_bytes(data, target)


def _to_stdout(data: bytes) -> None:
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write to stdout: {error.strerror}") from error


def _failed(error: FiguregroundError) -> _Facts:
    facts = _Facts()
    facts.set_exception(error)
    return facts


def _outcome(job: Job, facts: _Facts) -> Outcome:
    try:
        return Outcome(job, facts.result())
    except _OF_ONE_IMAGE as error:
        return Outcome(job, error=error)
