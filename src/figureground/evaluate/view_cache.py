"""What several segmenters say about each photo, kept on disk, so that their combinations need no further run."""

from __future__ import annotations

import hashlib
import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground import images
from figureground.checks import ArgumentError
from figureground.errors import OutputError
from figureground.evaluate.goals import Goal
from figureground.evaluate.pairs import Pair
from figureground.evaluate.run import Progress
from figureground.runtime.ensemble import Mean
from figureground.runtime.photo import Photo
from figureground.runtime.probability import leaf_logits
from figureground.runtime.segmenter import Segmenter

_FIXED_POINT = np.float32(2047)
"""Logits from -16 to 16 are kept in 16 bits, in steps of 1/2047: a probability is exact to about 0.0001."""
_MOST_PIXELS = 1_000_000
"""Larger photos are compared at this size while searching; the final measurement is at their own."""


@dataclass(frozen=True)
class Mixture:
    """A weighted mean of views: one weight per view of a cache, and what the mean is taken of."""

    weights: tuple[float, ...]
    mean: Mean = "probability"

    @property
    def used(self) -> tuple[int, ...]:
        """The views that count."""
        return tuple(index for index, weight in enumerate(self.weights) if weight > 0)


class ViewCache:
    """The answers of `views` for the photos of `pairs`, in files below `folder`. Answers that are there are kept.

    Args:
        views: segmenters with one label tree.
        keys: what identifies each view, whatever it is called: a change of it is a change of the answers.
        pairs: photos and masks.
        folder: where to keep them; some 150 kB per view, leaf and photo of 240 x 320 pixels.
        goal: what is counted of them.
    """

    def __init__(
        self, views: Sequence[Segmenter], keys: Sequence[str], pairs: Sequence[Pair], folder: Path, goal: Goal
    ) -> None:
        self.views = list(views)
        self.pairs = list(pairs)
        self.milliseconds = [math.nan] * len(self.views)
        """Median time of each view for one photo, resizing included; NaN for one that was never run."""
        self.base_ms = math.nan
        """Median time of what comes with any view: decoding, and enlarging its answer to the photo's size."""
        self._keys = list(keys)
        self._folder = folder
        self._goal = goal
        self._files: dict[tuple[int, int], Path] = {}

    def fill(self, progress: Progress | None = None) -> None:
        """Run every view on every photo that it has not answered yet.

        Each view is run on the first photos in any case, to be timed.

        Raises:
            ImageError: a photo that cannot be read.
            OutputError: the folder cannot be written to.
        """
        seconds: list[list[float]] = [[] for _ in self.views]
        base: list[float] = []
        for number, pair in enumerate(self.pairs):
            content = hashlib.sha256(pair.image.read_bytes()).hexdigest()
            started = time.perf_counter()
            photo = Photo(pair.image)
            photo.preview(max(min(view.network_size(*photo.size)) for view in self.views))
            decoding = time.perf_counter() - started
            for index, view in enumerate(self.views):
                file = self._file(self._keys[index], content)
                self._files[index, number] = file
                if file.exists() and number >= _TIMED + 1:
                    continue
                leaves, took = _answer(view, photo)
                started = time.perf_counter()
                _ = self._goal.enlarged(leaves, photo.size) >= view.threshold
                if number > 0 or len(self.pairs) == 1:  # the first run of a session is not like the others
                    seconds[index].append(took)
                    base.append(decoding + time.perf_counter() - started)
                if not file.exists():
                    _write(file, images.resize_map(leaves, scoring_size(photo.size)))
            if progress is not None:
                progress(number + 1, len(self.pairs))
        self.milliseconds = [1000 * statistics.median(times) if times else math.nan for times in seconds]
        self.base_ms = 1000 * statistics.median(base) if base else math.nan

    def cost(self, mixture: Mixture) -> float:
        """Estimated milliseconds for one photo, from file to mask."""
        return self.base_ms + sum(self.milliseconds[index] for index in mixture.used)

    def tallies(self, mixtures: Sequence[Mixture], progress: Progress | None = None) -> NDArray[Any]:
        """Count the pixels of every mixture on every photo, at every threshold: (mixtures, photos, thresholds, ...).

        Raises:
            DataError: a mask cannot be read, or has another size than its photo.
        """
        if any(len(mixture.weights) != len(self.views) for mixture in mixtures):
            raise ArgumentError("a mixture with another number of weights than there are views")
        counted: list[list[NDArray[Any]]] = [[] for _ in mixtures]
        for number in range(len(self.pairs)):
            true = self._truth(number)
            answers = _mixed(mixtures, partial(self._logits, number), self._goal)
            for column, seen in zip(counted, answers, strict=True):
                column.append(self._goal.tally(seen, true))
            if progress is not None:
                progress(number + 1, len(self.pairs))
        return np.array(counted)

    def _truth(self, number: int) -> NDArray[Any]:
        pair = self.pairs[number]
        size = images.size(pair.image)
        true, at = self._goal.truth(pair, size), scoring_size(size)
        return true if at == size else self._goal.shrunk(true, at)

    def _logits(self, number: int, index: int) -> NDArray[np.float32]:
        steps: NDArray[np.int16] = np.load(self._files[index, number])
        return np.asarray(steps / _FIXED_POINT, dtype=np.float32)

    def _file(self, key: str, content: str) -> Path:
        return self._folder / f"{hashlib.sha256(f'{key} {content}'.encode()).hexdigest()[:40]}.npy"


_TIMED = 12
"""Photos, after the first, on which a view is timed at least, also where its answers are known."""


def scoring_size(size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) at which a photo of `size` is compared: its own, up to a megapixel."""
    shrink = min(1.0, math.sqrt(_MOST_PIXELS / (size[0] * size[1])))
    return max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink))


def _answer(view: Segmenter, photo: Photo) -> tuple[NDArray[np.float32], float]:
    size = view.network_size(*photo.size)
    pixels = photo.preview(min(size))
    started = time.perf_counter()
    leaves = view.probabilities(images.resize(pixels, size))
    return leaves, time.perf_counter() - started


def _write(file: Path, leaves: NDArray[np.float32]) -> None:
    steps = np.round(leaf_logits(leaves) * _FIXED_POINT).clip(-32767, 32767).astype(np.int16)
    # Of its own, for another search may fill the same folder.
    temporary = file.with_suffix(f".{os.getpid()}.tmp.npy")
    try:
        np.save(temporary, steps)
        temporary.replace(file)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"cannot write to {file.parent}: {reason}", remedy="give another folder") from error


def _mixed(
    mixtures: Sequence[Mixture], logits_of: Callable[[int], NDArray[np.float32]], goal: Goal
) -> list[NDArray[np.float32]]:
    """What is counted of every mixture on one photo; each view is read once."""
    used = sorted({index for mixture in mixtures for index in mixture.used})
    logits = {index: logits_of(index) for index in used}
    seen = {}
    if any(mixture.mean == "probability" for mixture in mixtures):
        seen = {index: goal.seen(logits[index]) for index in used}
    found = []
    for mixture in mixtures:
        parts = [(index, np.float32(mixture.weights[index] / sum(mixture.weights))) for index in mixture.used]
        source = seen if mixture.mean == "probability" else logits
        total = sum((share * source[index] for index, share in parts[1:]), parts[0][1] * source[parts[0][0]])
        found.append(total if mixture.mean == "probability" else goal.seen(total))
    return found
