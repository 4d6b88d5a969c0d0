"""Sums over the pairs of pixels that are near in position and colour, each with its exact weight.

Position and colour together, in standard deviations, make a point in five dimensions, and the weight of two pixels is
the Gaussian of their points' distance. A balanced k-d tree puts near points into one leaf; two leaves whose boxes are
so far apart that all their pairs together weigh next to nothing are passed over. How much is passed over is bounded by
the distances of the boxes. Where that bound is not small beside what a pixel of the leaf receives, the leaf's reach
grows, so that a pixel like no other is as exact as any.

The narrower the Gaussian the fewer pairs are left. Memory is linear in the pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.checks import ArgumentError
from figureground.refine.gaussian import NOTHING, Reals, gaussian

__all__ = ["Block", "NearPairs", "NearTree"]

_LEAF = 128
"""Most pixels of a leaf."""

_REACHES = (5.5, 7.8, 11.0)
"""Standard deviations between boxes up to which leaves meet, in turn; at the last one a weight is e^-60."""

_CUT = 1e-4
"""Most that may be cut of what a pixel receives."""

_KEPT = 64_000_000
"""Up to so many weights are kept from one sum to the next."""

_MOST_MEETINGS = 3_000_000
"""Most pairs of leaves. The sums over more take minutes for each round."""

_AT_ONCE = 4096
"""Points that a leaf meets at once, so that the weights between them stay in the processor's cache."""

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """A leaf, as a slice of the sorted points, and leaves that it meets: their numbers, and their points' places.

    Where it meets itself, alone, each pair is there from both sides; otherwise from one.
    """

    own: slice
    leaves: Indices
    places: Indices
    itself: bool


class NearTree:
    """The pixels of a picture sorted into leaves, and which leaves meet. Arguments are those of `AllPairs`.

    Attributes:
        points: `(leaves * leaf, 5)`, sorted; some of the last pixel's may be there more than once.
        order: for each of them the number of its pixel; numbers from the number of pixels on are repetitions.
        leaf: points of a leaf.
        pairs: `(pairs, 2)`, the leaves that meet, the first not above the second; None where they are too many.
    """

    def __init__(self, image: NDArray[Any], width: float, color: float, dtype: Any = np.float32) -> None:
        self.size: tuple[int, int] = (image.shape[0], image.shape[1])
        rows, columns = np.mgrid[: self.size[0], : self.size[1]].reshape(2, -1)
        # Not divided by the widths yet: whole numbers stay exact.
        pixels = np.column_stack((rows, columns, image.reshape(-1, 3))).astype(dtype)
        self.scale = np.array((width, width, color, color, color), dtype)
        self.order, self.leaf = _leaves(pixels, self.scale)
        self.points: Reals = pixels[np.minimum(self.order, len(pixels) - 1)]
        self._boxes = _boxes(self.points, self.leaf, self.scale)
        self._reach = np.full(len(self.points) // self.leaf, _REACHES[0])
        self.pairs, self._cut = _meeting(self._boxes, self._reach, self.leaf)

    @property
    def weights(self) -> float:
        """How many weights a sum goes through; infinitely many where that would take minutes for each round."""
        return math.inf if self.pairs is None else len(self.pairs) * self.leaf**2

    def reach_on(self, totals: Reals) -> bool:
        """Let those leaves reach further that do not reach far enough for what their pixels receive, `(H, W)`.

        Returns whether there were any. Then `pairs` has changed.
        """
        least = totals.reshape(-1)[np.minimum(self.order, totals.size - 1)].reshape(-1, self.leaf).min(axis=1)
        short = (self._cut > _CUT * (least + NOTHING)) & (self._reach < _REACHES[-1])
        further = np.array(_REACHES)[np.searchsorted(_REACHES, self._reach[short]) + 1]
        self._reach[short] = further
        if short.any():
            self.pairs, self._cut = _meeting(self._boxes, self._reach, self.leaf)
        return bool(short.any())

    def blocks(self) -> Iterator[Block]:
        """All pairs of pixels that count, those of each leaf first and then those between it and others."""
        if self.pairs is None:
            raise ArgumentError(
                f"the pairs of a picture of {self.size[1]}x{self.size[0]} are too many to be summed exactly",
                remedy="use a smaller picture, or a larger color, with which sums can be factored",
            )
        count = len(self.points) // self.leaf
        starts = np.searchsorted(self.pairs[:, 0], np.arange(count + 1))
        within = np.arange(self.leaf)
        step = max(1, _AT_ONCE // self.leaf)
        for number in range(count):
            own = slice(number * self.leaf, (number + 1) * self.leaf)
            yield Block(own, np.array([number]), within + own.start, itself=True)
            others = self.pairs[starts[number] : starts[number + 1], 1]
            others = others[others != number]
            for start in range(0, len(others), step):
                met = others[start : start + step]
                yield Block(own, met, (met[:, None] * self.leaf + within).reshape(-1), itself=False)

    def between(self, block: Block) -> tuple[Reals, Reals]:
        """The points of both sides of a block, in standard deviations around the first side's mean."""
        own, others = self.points[block.own], self.points[block.places]
        middle = own.mean(axis=0)
        return (own - middle) / self.scale, (others - middle) / self.scale


class NearPairs:
    """The exact weights of all pairs of pixels that weigh anything. Arguments and `sums` are those of `AllPairs`.

    Args:
        tree: the sorted pixels; its leaves are made to reach as far as is needed.

    Raises:
        ArgumentError: so many leaves meet that a sum would take minutes.
    """

    def __init__(self, tree: NearTree) -> None:
        self.tree, self.size = tree, tree.size
        ones = np.ones((1, *self.size), tree.points.dtype)
        while True:
            self._kept: list[tuple[Block, Reals]] | None = None
            self.totals: Reals = self.sums(ones)[0]
            if not tree.reach_on(self.totals):
                break

    def sums(self, values: Reals) -> Reals:
        """For each pixel the weighted sum of the other pixels' values: `(C, H, W)` to `(C, H, W)`."""
        pixels = self.size[0] * self.size[1]
        flat = np.zeros((len(values), len(self.tree.order)), self.tree.points.dtype)
        flat[:, :pixels] = values.reshape(len(values), -1)
        sent = np.ascontiguousarray(flat[:, self.tree.order].T)
        received = np.zeros_like(sent)
        by_leaf = received.reshape(-1, self.tree.leaf, len(values))
        for block, weights in self.weighted():
            received[block.own] += weights @ sent[block.places]
            if not block.itself:
                by_leaf[block.leaves] += (weights.T @ sent[block.own]).reshape(-1, *by_leaf.shape[1:])
        flat[:, self.tree.order] = received.T
        return flat[:, :pixels].reshape(values.shape)

    def weighted(self) -> Iterator[tuple[Block, Reals]]:
        """All pairs that count, with their weights `(leaf, leaf)` or `(leaf, others)`."""
        if self._kept is not None:
            yield from self._kept
            return
        kept = []
        few = self.tree.weights <= _KEPT
        for block in self.tree.blocks():
            weights = gaussian(*self.tree.between(block))
            if block.itself:
                np.fill_diagonal(weights, 0)
            if few:
                kept.append((block, weights))
            yield block, weights
        if few:
            self._kept = kept


def _leaves(pixels: Reals, scale: Reals) -> tuple[Indices, int]:
    """Halved along their widest side again and again: the numbers of the pixels, leaf by leaf, and a leaf's size."""
    depth = max(0, int(np.ceil(np.log2(len(pixels) / _LEAF))))
    leaf = -(-len(pixels) // 2**depth)
    order = np.arange(leaf * 2**depth)[None]
    for _ in range(depth):
        inside = pixels[np.minimum(order, len(pixels) - 1)]
        widest = np.argmax(np.ptp(inside, axis=1) / scale, axis=1)
        along = np.take_along_axis(inside, widest[:, None, None], axis=2)[:, :, 0]
        half = along.shape[1] // 2
        order = np.take_along_axis(order, np.argpartition(along, half, axis=1), axis=1).reshape(-1, half)
    return order.reshape(-1), leaf


def _boxes(points: Reals, leaf: int, scale: Reals) -> list[tuple[Reals, Reals]]:
    """Lowest and highest coordinates of each node, level by level from the root, in standard deviations."""
    sides = points.reshape(-1, leaf, 5)
    levels = [(sides.min(axis=1) / scale, sides.max(axis=1) / scale)]
    while len(levels[-1][0]) > 1:
        low, high = (side.reshape(-1, 2, 5) for side in levels[-1])
        levels.append((low.min(axis=1), high.max(axis=1)))
    return levels[::-1]


def _meeting(boxes: list[tuple[Reals, Reals]], reach: Reals, leaf: int) -> tuple[Indices | None, Reals]:
    """Pairs of leaves of which one reaches the other, and for each leaf at most so much weight of those that do not."""
    reaches = [reach]
    while len(reaches[-1]) > 1:
        reaches.append(reaches[-1].reshape(-1, 2).max(axis=1))
    pairs, cut = np.zeros((1, 2), np.int64), np.zeros(1)
    for (low, high), limit in zip(boxes, reversed(reaches), strict=True):
        if len(low) > 1:
            pairs = np.concatenate([2 * pairs + child for child in ((0, 0), (0, 1), (1, 0), (1, 1))])
            pairs = pairs[pairs[:, 0] <= pairs[:, 1]]
            cut = np.repeat(cut, 2)
        one, other = pairs.T
        gap = np.maximum(np.maximum(low[one] - high[other], low[other] - high[one]), 0)
        squared = (gap.astype(np.float64) ** 2).sum(axis=1)
        far = squared > np.maximum(limit[one], limit[other]) ** 2
        passed = leaf * (len(reach) // len(low)) * np.exp(-0.5 * squared[far])
        cut += np.bincount(one[far], passed, len(low)) + np.bincount(other[far], passed, len(low))
        pairs = pairs[~far]
        if len(pairs) > _MOST_MEETINGS:
            return None, cut
    return pairs[np.argsort(pairs[:, 0], kind="stable")], cut
