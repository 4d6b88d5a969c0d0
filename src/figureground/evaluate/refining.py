"""What can be done to a segmenter's answer, tried on photos without running its networks once for each try."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from figureground import images
from figureground.evaluate.curves import Tally, tally
from figureground.evaluate.pairs import Pair
from figureground.evaluate.run import Progress, true_mask
from figureground.runtime.photo import Photo
from figureground.runtime.refined import Refined
from figureground.runtime.segmenter import Segmenter


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


def refined_scores(
    base: Segmenter, tried: Sequence[tuple[Refinement, ...]], pairs: Sequence[Pair], progress: Progress | None = None
) -> list[tuple[NDArray[np.int64], float]]:
    """Count pixels after each of several rows of refinements of one segmenter, which is run once per photo.

    Args:
        base: what is refined.
        tried: rows of refinements, the first of each closest to `base`.
        pairs: photos and masks.
        progress: told (photos done, photos in all).

    Returns:
        For each row its (photos, thresholds, 3) tallies, and the median milliseconds that it adds.
    """
    recalled = _Recalled(base)
    rows = [_around(recalled, steps) for steps in tried]
    counted: list[list[Tally]] = [[] for _ in rows]
    seconds: list[list[float]] = [[] for _ in rows]
    for number, pair in enumerate(pairs):
        recalled.forget()
        photo = Photo(pair.image)
        true = true_mask(pair, photo.size)
        for index, segmenter in enumerate(rows):
            size = segmenter.network_size(*photo.size)
            picture = images.resize(photo.preview(min(size)), size)
            recalled.probabilities(images.resize(picture, recalled.network_size(*picture.shape[:2])))
            started = time.perf_counter()
            leaves = segmenter.probabilities(picture)
            seconds[index].append(time.perf_counter() - started)
            figure = images.resize_map(leaves.sum(axis=0).clip(0.0, 1.0), photo.size)
            counted[index].append(tally(figure, true))
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
    """A segmenter that repeats what it said about a picture, instead of being run again."""

    def __init__(self, inner: Segmenter) -> None:
        super().__init__(inner.name, inner.labels, inner.threshold)
        self._inner = inner
        self._said: list[tuple[NDArray[np.uint8], NDArray[np.float32]]] = []

    def forget(self) -> None:
        """The next photo is another one."""
        self._said.clear()

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        return self._inner.network_size(height, width)

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        for picture, leaves in self._said:
            if np.array_equal(picture, image):
                return leaves
        leaves = self._inner.probabilities(image)
        self._said.append((image, leaves))
        return leaves
