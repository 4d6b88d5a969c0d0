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
from figureground.runtime.ensemble import Mean, weighted_mean
from figureground.runtime.photo import Photo
from figureground.runtime.probability import sure_leaves
from figureground.runtime.segmenter import Segmenter

Floats = NDArray[np.float32]

_KEPT_AS = np.float16
"""Of logits: a probability is exact to about 0.0001."""
_SUREST = 60_000
"""Logits end there, where those numbers do."""
_FORMAT = "logits as the network gives them"
"""Part of a file's name, so that what another version of figureground kept is not taken for it."""
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
        folder: where to keep them: the logits, two bytes for each leaf and pixel of a view's map.
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
        """Run every view on every photo that it has not answered yet, or whose answer is damaged.

        Each view is run on the first photos in any case, to be timed.

        Raises:
            ImageError: a photo that cannot be read.
            DataError: a mask cannot be read, or has another size than its photo; then nothing has been run.
            OutputError: the folder cannot be written to.
        """
        for pair in self.pairs:
            self._goal.truth(pair, images.size(pair.image))
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
                known = _is_whole(file, len(view.labels.leaves))
                if known and number >= _TIMED + 1:
                    continue
                if len(self.pairs) == 1:  # the first run of a session is not like the others
                    _answer(view, photo)
                logits, leaves, took = _answer(view, photo)
                started = time.perf_counter()
                _ = self._goal.enlarged(leaves, photo.size) >= view.threshold
                if number > 0 or len(self.pairs) == 1:
                    seconds[index].append(took)
                    base.append(decoding + time.perf_counter() - started)
                if not known:
                    _write(file, logits)
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
        peaks = [view.peak for view in self.views]
        for number in range(len(self.pairs)):
            true, size = self._truth(number)
            enlarged = partial(self._goal.enlarged, size=size)
            answers = _mixed(mixtures, partial(self._logits, number), peaks, enlarged)
            for column, seen in zip(counted, answers, strict=True):
                column.append(self._goal.tally(seen, true))
            if progress is not None:
                progress(number + 1, len(self.pairs))
        return np.array(counted)

    def _truth(self, number: int) -> tuple[NDArray[Any], tuple[int, int]]:
        """The truth of a photo, and its size, at which it is compared."""
        pair = self.pairs[number]
        size = images.size(pair.image)
        true, at = self._goal.truth(pair, size), scoring_size(size)
        return (true if at == size else self._goal.shrunk(true, at)), at

    def _logits(self, number: int, index: int) -> Floats:
        return np.asarray(np.load(self._files[index, number]), dtype=np.float32)

    def _file(self, key: str, content: str) -> Path:
        return self._folder / f"{hashlib.sha256(f'{_FORMAT} {key} {content}'.encode()).hexdigest()[:40]}.npy"


_TIMED = 12
"""Photos, after the first, on which a view is timed at least, also where its answers are known."""


def scoring_size(size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) at which a photo of `size` is compared: its own, up to a megapixel."""
    shrink = min(1.0, math.sqrt(_MOST_PIXELS / (size[0] * size[1])))
    return max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink))


def _answer(view: Segmenter, photo: Photo) -> tuple[Floats, Floats, float]:
    """The logits of a view, its probabilities, and the seconds that these took."""
    size = view.network_size(*photo.size)
    pixels = photo.preview(min(size))
    started = time.perf_counter()
    logits = view.logits(images.resize(pixels, size))
    leaves = sure_leaves(logits, view.peak)
    return logits, leaves, time.perf_counter() - started


def _is_whole(file: Path, leaves: int) -> bool:
    """Whether such an answer is there, to its end."""
    try:
        kept = np.lib.format.open_memmap(file, mode="r")
    except (OSError, ValueError):
        return False
    return kept.dtype == _KEPT_AS and kept.ndim == 3 and len(kept) == leaves


def _write(file: Path, logits: Floats) -> None:
    kept = logits.clip(-_SUREST, _SUREST).astype(_KEPT_AS)
    # Of its own, for another search may fill the same folder.
    temporary = file.with_suffix(f".{os.getpid()}.tmp.npy")
    try:
        np.save(temporary, kept)
        temporary.replace(file)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"cannot write to {file.parent}: {reason}", remedy="give another folder") from error


def _mixed(
    mixtures: Sequence[Mixture],
    logits_of: Callable[[int], Floats],
    peaks: Sequence[float],
    enlarged: Callable[[Floats], Floats],
) -> list[Floats]:
    """What is counted of every mixture on one photo, by the rules of `Ensemble`; each view is read once."""
    used = sorted({index for mixture in mixtures for index in mixture.used})
    logits = {index: logits_of(index) for index in used}
    seen = {}
    if any(mixture.mean == "probability" for mixture in mixtures):
        seen = {index: enlarged(sure_leaves(logits[index], peaks[index])) for index in used}
    found = []
    for mixture in mixtures:
        shares = {index: mixture.weights[index] / sum(mixture.weights) for index in mixture.used}
        if mixture.mean == "probability":
            (first, share), *others = shares.items()
            found.append(
                sum((np.float32(part) * seen[index] for index, part in others), np.float32(share) * seen[first])
            )
        else:
            mean = weighted_mean([logits[index] for index in shares], list(shares.values()))
            peak = sum(share * peaks[index] for index, share in shares.items())
            found.append(enlarged(sure_leaves(mean, peak)))
    return found
