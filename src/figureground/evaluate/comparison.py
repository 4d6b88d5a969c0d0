"""Several segmenters on the same photos: quality with intervals, cost, time, and whether they differ at all.

Photo by photo all of them predict, so that their numbers are paired. Times are taken afterwards in turns, so that a
machine that grows slow grows slow for all.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground import images
from figureground.checks import ArgumentError, require_in_range
from figureground.errors import DataError, suggest
from figureground.evaluate.pairs import Pair
from figureground.evaluate.parts_tally import PartsTally
from figureground.evaluate.run import Progress, true_mask
from figureground.labels import LabelTree
from figureground.metrics import BinaryReport, ImageRecord, bootstrap, holm, sign_flip_test
from figureground.runtime.cost import Cost, cost
from figureground.runtime.segmenter import Segmenter

__all__ = ["METRICS", "Comparison", "Contestant", "Difference", "Standing", "Value", "compare"]

METRICS = ("dice_image_mean", "iou_image_mean", "dice_dataset", "iou_dataset", "boundary_f")
"""What is measured, under the names of `BinaryReport.summary`; the boundary F-score is an image mean too."""
PER_IMAGE = ("dice", "iou", "boundary_f")
"""What photos are compared by; beside them `parts`, where there are parts."""
_ROUNDS = 5


@dataclass(frozen=True)
class Contestant:
    """One segmenter under the name it has in the tables, and how to find out what it costs."""

    name: str
    segmenter: Segmenter
    cost: Callable[[Segmenter, NDArray[np.uint8]], Cost] = cost


@dataclass(frozen=True)
class Value:
    """A number and the ends of its 95 % interval over the choice of photos."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Standing:
    """How one contestant did.

    metrics: by the names of `METRICS`; with parts also `iou_level0` and so on, the mean IoU of each level over the data
        set, from the roots down.
    milliseconds: median of the network alone, from the resized photo to probabilities; None where no time was taken.
    """

    name: str
    cost: Cost
    milliseconds: float | None
    metrics: dict[str, Value]
    per_image: Sequence[ImageRecord]
    parts: Sequence[float] | None = None
    """With parts, the mean IoU of the deepest level in each photo; 1 where nobody is and nobody was found."""

    def quality(self, metric: str) -> NDArray[np.float64]:
        """(photos,) what `metric` says about each photo."""
        if metric == "parts":
            return np.array(self.parts)
        return np.array([getattr(record, metric) for record in self.per_image])

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, ready for JSON."""
        return {
            "name": self.name,
            **asdict(self.cost),
            "milliseconds": self.milliseconds,
            "metrics": {name: asdict(value) for name, value in self.metrics.items()},
            "per_image": [
                {**record.to_dict(), **({} if self.parts is None else {"parts": self.parts[place]})}
                for place, record in enumerate(self.per_image)
            ],
        }


@dataclass(frozen=True)
class Difference:
    """One contestant less another, photo by photo.

    mean: of the differences, with its interval.
    better, worse: photos in which the first is better, and worse; they are equal in the rest.
    p: probability of such a mean if the two were alike, by a paired permutation test.
    p_adjusted: the same with regard to how many pairs were tested (Holm).
    """

    first: str
    second: str
    mean: Value
    better: int
    worse: int
    p: float
    p_adjusted: float


@dataclass(frozen=True)
class Comparison:
    """What came out.

    metric: what photos are compared by.
    standings: in the order of the contestants.
    differences: of every two of them, the earlier less the later.
    disagreement: for each photo the share of pixels that some, but not all, call figure, among those that any does.
    """

    metric: str
    standings: tuple[Standing, ...]
    differences: tuple[Difference, ...]
    disagreement: dict[str, float] = field(repr=False)

    def most_disputed(self, number: int) -> list[str]:
        """The names of the photos in which they disagree most, the worst first."""
        return sorted(self.disagreement, key=lambda name: -self.disagreement[name])[:number]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, ready for JSON."""
        return {
            "metric": self.metric,
            "images": len(self.disagreement),
            "networks": [standing.to_dict() for standing in self.standings],
            "differences": [asdict(difference) for difference in self.differences],
            "disagreement": self.disagreement,
        }


def compare(
    contestants: Sequence[Contestant],
    pairs: Sequence[Pair],
    *,
    labels: LabelTree | None = None,
    metric: str | None = None,
    draws: int = 2000,
    seed: int = 0,
    timed: int = 10,
    progress: Progress | None = None,
) -> Comparison:
    """Run all contestants over `pairs` and compare them, each at its own threshold.

    Args:
        contestants: one or more, of different names.
        pairs: photos and masks; see `find_pairs`.
        labels: the tree in whose numbers the truth is written, to compare parts too; None: only person or not.
        metric: what photos are compared by: `dice`, `iou`, `boundary_f`, or with `labels` also `parts`. When not given,
            `parts` where there are some, else `iou`.
        draws: of photos for the intervals; signs are drawn five times as often.
        seed: decides all draws.
        timed: photos on which times are taken; 0 takes none.
        progress: called after each photo.

    Raises:
        ArgumentError: no contestants, two of one name, no such metric, or a number out of range.
        DataError: no pairs, or a mask that cannot be read, has another size than its photo or a number without label.
        LabelError: a contestant finds a leaf that is in no leaf of `labels`.
        ImageError: a photo that cannot be read.
    """
    names = [contestant.name for contestant in contestants]
    if not names or len(set(names)) < len(names):
        raise ArgumentError(f"contestants must be one or more of different names, not {', '.join(names) or 'none'}")
    known = PER_IMAGE if labels is None else (*PER_IMAGE, "parts")
    metric = metric or ("iou" if labels is None else "parts")
    if metric not in known:
        raise ArgumentError(f"no metric of photos is called '{metric}' here", remedy=suggest(metric, known))
    require_in_range("draws", draws, 1)
    require_in_range("timed", timed, 0)
    if not pairs:
        raise DataError("there is nothing to compare on: no photos", remedy="give a folder with images/ and masks/")
    reports = [BinaryReport() for _ in contestants]
    tallies = [None if labels is None else PartsTally(one.segmenter.labels, labels) for one in contestants]
    disagreement = {}
    for done, pair in enumerate(pairs, start=1):
        disagreement[pair.stem] = _one_photo(contestants, reports, tallies, pair)
        if progress is not None:
            progress(done, len(pairs))
    chosen = [pairs[place] for place in np.linspace(0, len(pairs) - 1, min(timed, len(pairs))).astype(int)]
    milliseconds = _milliseconds([contestant.segmenter for contestant in contestants], chosen)
    sample = images.read(pairs[len(pairs) // 2].image)
    standings = tuple(
        Standing(
            contestant.name,
            contestant.cost(contestant.segmenter, sample),
            spent,
            _values(report, tally, draws, seed),
            report.per_image,
            None if tally is None else tuple(tally.photos),
        )
        for contestant, report, tally, spent in zip(contestants, reports, tallies, milliseconds, strict=True)
    )
    return Comparison(metric, standings, _differences(standings, metric, draws, seed), disagreement)


def _one_photo(
    contestants: Sequence[Contestant],
    reports: Sequence[BinaryReport],
    tallies: Sequence[PartsTally | None],
    pair: Pair,
) -> float:
    """Measure one photo for all; the share of pixels they disagree on."""
    true: NDArray[np.bool_] | None = None
    votes: NDArray[np.int64] | None = None
    for contestant, report, tally in zip(contestants, reports, tallies, strict=True):
        result = contestant.segmenter(pair.seen_by(contestant.segmenter))
        predicted = result.mask
        if tally is not None:
            tally.add(result, pair)
        true = true_mask(pair, predicted.shape) if true is None else true
        report.add(pair.stem, predicted, true)
        votes = predicted.astype(np.int64) if votes is None else votes + predicted
    assert votes is not None
    by_any = int((votes > 0).sum())
    return 1 - int((votes == len(contestants)).sum()) / by_any if by_any else 0.0


def _values(report: BinaryReport, tally: PartsTally | None, draws: int, seed: int) -> dict[str, Value]:
    """Every metric with its interval, from one set of drawn photos."""
    records = report.per_image
    counts = [record.counts for record in records]
    overlap = np.array([count.tp for count in counts], float)
    union = np.array([count.tp + count.fp + count.fn for count in counts], float)
    rows: dict[str, tuple[NDArray[np.float64], NDArray[np.float64] | None]] = {
        "dice_image_mean": (np.array([record.dice for record in records]), None),
        "iou_image_mean": (np.array([record.iou for record in records]), None),
        "dice_dataset": (2 * overlap, overlap + union),
        "iou_dataset": (overlap, union),
        "boundary_f": (np.array([record.boundary_f for record in records]), None),
    }
    summary = report.summary()
    values = {
        name: Value(summary[name], *bootstrap(sums, over=over, draws=draws, seed=seed))
        for name, (sums, over) in rows.items()
    }
    for level, (mean, sums, over) in enumerate(tally.levels() if tally is not None else []):
        values[f"iou_level{level}"] = Value(mean, *bootstrap(sums, over=over, draws=draws, seed=seed))
    return values


def _differences(standings: Sequence[Standing], metric: str, draws: int, seed: int) -> tuple[Difference, ...]:
    numbers = [standing.quality(metric) for standing in standings]
    found = []
    for one, other in combinations(range(len(standings)), 2):
        values = numbers[one] - numbers[other]
        mean = Value(float(values.mean()), *bootstrap(values, draws=draws, seed=seed))
        p = sign_flip_test(values, draws=5 * draws, seed=seed)
        found.append((one, other, mean, int((values > 0).sum()), int((values < 0).sum()), p))
    adjusted = holm([entry[-1] for entry in found])
    return tuple(
        Difference(standings[one].name, standings[other].name, mean, better, worse, p, p_adjusted)
        for (one, other, mean, better, worse, p), p_adjusted in zip(found, adjusted, strict=True)
    )


def _milliseconds(segmenters: Sequence[Segmenter], pairs: Sequence[Pair]) -> list[float | None]:
    """Median time of each, taken in turns over all photos; each starts as often as the others."""
    if not pairs:
        return [None] * len(segmenters)
    photos = [images.read(pair.image) for pair in pairs]
    fitted = [[images.resize(photo, one.network_size(*photo.shape[:2])) for photo in photos] for one in segmenters]
    seconds: list[list[float]] = [[] for _ in segmenters]
    for turn in range(_ROUNDS + 1):
        for photo in range(len(photos)):
            for place in range(len(segmenters)):
                which = (place + turn + photo) % len(segmenters)
                started = time.perf_counter()
                _answer(segmenters[which], fitted[which][photo])
                if turn:  # the first turn warms up
                    seconds[which].append(time.perf_counter() - started)
    return [1000 * statistics.median(spent) for spent in seconds]


def _answer(segmenter: Segmenter, image: NDArray[np.uint8]) -> None:
    """One run of the network; what a depth map shows makes no difference to the time."""
    if segmenter.depth_input is None:
        segmenter.probabilities(image)
    else:
        segmenter.probabilities_with_depth(image, np.zeros(image.shape[:2], np.float32))
