"""What can be done to a segmenter's answer, tried on photos without running its networks once for each try."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground import images
from figureground.evaluate.goals import Goal
from figureground.evaluate.pairs import Pair
from figureground.evaluate.run import Progress
from figureground.runtime.inference import Inference
from figureground.runtime.people_first import PeopleFirst
from figureground.runtime.photo import Photo
from figureground.runtime.refined import Refined
from figureground.runtime.segmenter import Segmenter
from figureground.runtime.tiled import Tiled


@dataclass(frozen=True)
class Refinement:
    """A step after the network: what it is called, and the segmenter that does it around another one."""

    name: str
    wrap: Callable[[Segmenter], Segmenter]


_MENU = (
    "smooth",
    "holes:max_area=0.01",
    "specks",
    "sure",
    "largest",
    "erode",
    "guided:zoom=2",
    "coarse",
)

REFINEMENTS: dict[str, Refinement] = {steps: Refinement(steps, partial(Refined, steps=steps)) for steps in _MENU}
"""What `figureground tune` tries, by name: steps as `--refine` takes them."""


def closer_looks(*, people_first: bool = False, zooms: Sequence[float] = ()) -> dict[str, Refinement]:
    """Ways to look closer, by name, for a search to try: at each person, and in tiles at each of `zooms`.

    Raises:
        ArgumentError: a zoom out of range.
    """
    for zoom in zooms:
        Inference(tiles={"zoom": zoom})
    found = [Refinement("people first", PeopleFirst)] if people_first else []
    found += [Refinement(f"tiles x{zoom:g}", partial(Tiled, zoom=zoom)) for zoom in zooms]
    return {one.name: one for one in found}


def refined_scores(
    base: Segmenter,
    tried: Sequence[tuple[Refinement, ...]],
    pairs: Sequence[Pair],
    goal: Goal,
    progress: Progress | None = None,
) -> list[tuple[NDArray[Any], float]]:
    """Count pixels after each of several rows of refinements of one segmenter.

    What the segmenter says about a picture is kept while a photo is in hand, so it is run once for the whole photo, and
    once for each crop or tile that some row looks at.

    Args:
        base: what is refined.
        tried: rows of refinements, the first of each closest to `base`.
        pairs: photos and masks.
        goal: what is counted.
        progress: told (photos done, photos in all).

    Returns:
        For each row its (photos, thresholds, ...) tallies, and the median milliseconds that it adds to those of `base`.
    """
    recalled = _Recalled(base)
    rows = [_around(recalled, steps) for steps in tried]
    counted: list[list[NDArray[Any]]] = [[] for _ in rows]
    seconds: list[list[float]] = [[] for _ in rows]
    for number, pair in enumerate(pairs):
        recalled.forget()
        photo = Photo(pair.image)
        true = goal.truth(pair, photo.size)
        for index, segmenter in enumerate(rows):
            size = segmenter.network_size(*photo.size)
            picture = images.resize(photo.preview(min(size)), size)
            recalled.probabilities(images.resize(picture, recalled.network_size(*picture.shape[:2])))
            whole, recalled.saved = recalled.took, 0.0
            started = time.perf_counter()
            leaves = segmenter.probabilities(picture)
            seconds[index].append(time.perf_counter() - started + recalled.saved - whole)
            counted[index].append(goal.tally(goal.enlarged(leaves, photo.size), true))
        if progress is not None:
            progress(number + 1, len(pairs))
    return [
        (np.array(tallies), 1000 * statistics.median(times)) for tallies, times in zip(counted, seconds, strict=True)
    ]


def _around(segmenter: Segmenter, steps: Sequence[Refinement]) -> Segmenter:
    for step in steps:
        segmenter = step.wrap(segmenter)
    return segmenter


class _Recalled(Segmenter):
    """A segmenter that repeats what it said about a picture, instead of being run again.

    `took` are the seconds that the run about the last picture took, then or now, and `saved` the seconds of all runs
    that repeating has saved since somebody set it to 0.
    """

    def __init__(self, inner: Segmenter) -> None:
        super().__init__(inner.name, inner.labels, inner.threshold)
        self.took = self.saved = 0.0
        self._inner = inner
        self._said: list[tuple[NDArray[np.uint8], NDArray[np.float32], float]] = []

    def forget(self) -> None:
        """The next photo is another one."""
        self._said.clear()

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        return self._inner.network_size(height, width)

    def fitting_size(self, height: int, width: int) -> tuple[int, int] | None:
        return self._inner.fitting_size(height, width)

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        for picture, leaves, seconds in self._said:
            if np.array_equal(picture, image):
                self.took = seconds
                self.saved += seconds
                return leaves
        started = time.perf_counter()
        leaves = self._inner.probabilities(image)
        self.took = time.perf_counter() - started
        self._said.append((image, leaves, self.took))
        return leaves
