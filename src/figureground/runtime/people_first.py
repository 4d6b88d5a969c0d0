"""Two passes: find the people in the whole photo, then look at each of them more closely."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from figureground import images, refine
from figureground.checks import ArgumentError, require_in_range, require_whole
from figureground.runtime.blending import window
from figureground.runtime.segmenter import Segmenter

_MOST_PIXELS = 4_000_000
"""Crops are cut from a picture of at most so many pixels: a crop never needs more than a few hundred a side."""
_SHARE_OF_MARGIN = 0.8
"""The part of a box's margin over which its answer is blended into that of the whole photo."""

_Box = tuple[int, int, int, int]


class PeopleFirst(Segmenter):
    """A segmenter that looks at the whole photo, then at a crop around each person that it found, and merges both.

    A person who is a few pixels high for the network is seen larger in a crop of its own. Boxes that overlap become
    one, so a crowd is one crop. A person who fills the photo gains nothing and is not looked at twice; one whom the
    first pass did not see at all stays unseen.

    Args:
        inner: what is asked in both passes.
        find: probability from which a pixel belongs to somebody in the first pass, above 0, below 1.
        margin: how far a crop reaches beyond the person, as a share of the box's longer side, 0 to 2.
        zoom: the least and the most that a crop enlarges what the first pass saw, 1 to 32; a gain below the first is
            not worth a run, a gain above the second would show blur.
        crops: crops per photo, at most; those of the largest areas come first.

    Raises:
        ArgumentError: a number out of its range.
    """

    def __init__(
        self,
        inner: Segmenter,
        *,
        find: float = 0.3,
        margin: float = 0.3,
        zoom: tuple[float, float] = (1.3, 4.0),
        crops: int = 8,
    ) -> None:
        require_in_range("find", find, 1e-6, 1 - 1e-6)
        require_in_range("margin", margin, 0, 2)
        if not isinstance(zoom, (tuple, list)) or len(zoom) != 2:
            raise ArgumentError(f"zoom must be two numbers, not {zoom!r}", remedy="give the least and the most")
        require_in_range("zoom[0]", zoom[0], 1, 32)
        require_in_range("zoom[1]", zoom[1], zoom[0], 32)
        require_whole("crops", crops, 1, 1000)
        super().__init__(f"{inner.name} people first", inner.labels, inner.threshold)
        self.inner = inner
        self.find = float(find)
        self.margin = float(margin)
        self.zoom = (float(zoom[0]), float(zoom[1]))
        self.crops = int(crops)

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the picture that crops are cut from: the photo's, up to 4 megapixels."""
        shrink = min(1.0, math.sqrt(_MOST_PIXELS / (height * width)))
        return max(1, round(height * shrink)), max(1, round(width * shrink))

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probability of every leaf: float32 (leaves, h, w). `image` is uint8 (h, w, 3) of any size."""
        size = image.shape[:2]
        overview = self._seen(image, size)
        merged = overview.copy()
        for top, left, bottom, right in self._boxes(overview):
            crop = image[top:bottom, left:right]
            closer = self._seen(np.ascontiguousarray(crop), crop.shape[:2])
            share = self._share((top, left, bottom, right), size)
            there = merged[:, top:bottom, left:right]
            there += share * (closer - there)
        return merged

    def _seen(self, picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float32]:
        """What the inner segmenter says about a picture, at `size`."""
        fitted = images.resize(picture, self.inner.network_size(*picture.shape[:2]))
        return images.resize_map(self.inner.probabilities(fitted), size)

    def _boxes(self, overview: NDArray[np.float32]) -> list[_Box]:
        """Boxes worth a closer look, none of which overlaps another, the largest first."""
        height, width = overview.shape[-2:]
        found = refine.bounding_boxes(overview.sum(axis=0) >= self.find)
        grown = _merged([self._grown(box, height, width) for box in found.tolist()])
        whole = self._pixels_per_pixel(height, width)
        worth = [b for b in grown if self._pixels_per_pixel(b[2] - b[0], b[3] - b[1]) >= self.zoom[0] ** 2 * whole]
        worth.sort(key=lambda b: (b[0] - b[2]) * (b[3] - b[1]))
        return worth[: self.crops]

    def _pixels_per_pixel(self, height: int, width: int) -> float:
        """Pixels that the inner segmenter sees for one of a picture of that size."""
        return math.prod(self.inner.network_size(height, width)) / (height * width)

    def _grown(self, box: list[int], height: int, width: int) -> _Box:
        """`box` with its margin, and no smaller than the largest zoom allows, inside the picture."""
        top, left, bottom, right = box
        margin = self.margin * max(bottom - top, right - left)
        rows = max(bottom - top + 2 * margin, height / self.zoom[1])
        columns = max(right - left + 2 * margin, width / self.zoom[1])
        middle_row, middle_column = (top + bottom) / 2, (left + right) / 2
        return (
            max(0, math.floor(middle_row - rows / 2)),
            max(0, math.floor(middle_column - columns / 2)),
            min(height, math.ceil(middle_row + rows / 2)),
            min(width, math.ceil(middle_column + columns / 2)),
        )

    def _share(self, box: _Box, size: tuple[int, int]) -> NDArray[np.float32]:
        """How much the closer look counts at each pixel of the box: less in the margin, but not at the photo's edge."""
        top, left, bottom, right = box
        # A grown box has `margin` of the person's longer side all around.
        soft = _SHARE_OF_MARGIN * self.margin / (1 + 2 * self.margin)
        sides = []
        for start, end, length in ((top, bottom, size[0]), (left, right, size[1])):
            fade = math.floor(soft * (end - start))
            sides.append(window(end - start, fade, soft_start=start > 0, soft_end=end < length))
        return np.asarray(sides[0][:, None] * sides[1], dtype=np.float32)


def _merged(boxes: list[_Box]) -> list[_Box]:
    """Boxes that overlap replaced by the box around them, until none does."""
    merged: list[_Box] = []
    for box in boxes:
        while (other := next((kept for kept in merged if _overlap(kept, box)), None)) is not None:
            merged.remove(other)
            box = min(other[0], box[0]), min(other[1], box[1]), max(other[2], box[2]), max(other[3], box[3])
        merged.append(box)
    return merged


def _overlap(a: _Box, b: _Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
