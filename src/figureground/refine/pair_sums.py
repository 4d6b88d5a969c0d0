"""Sums over all pairs of pixels, weighted by a Gaussian of how far they are apart and how unlike their colours are.

There are as many weights as pairs, so only a small picture has them written out (`AllPairs`). For any other there are
two ways: to go through the pairs that weigh anything (`NearPairs`), exact, and quick where the Gaussian is narrow or
the picture not large; and to factor the weights (`FactoredPairs`), quick where it is wide. Factored sums are held
against exact ones at some pixels before they are used.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.refine.exact_rows import exact_sums
from figureground.refine.factored_pairs import FactoredPairs, landmarks_of
from figureground.refine.gaussian import NOTHING, Points, Reals, gaussian
from figureground.refine.near_pairs import NearPairs, NearTree

__all__ = ["AllPairs", "PairSums", "pair_sums"]

_WRITTEN_OUT = 64 * 64
"""Pictures up to this size have the weights of all their pairs written out."""

_SMALL = 1 << 15
"""Pictures up to this size, and larger ones with a Gaussian as narrow as this in pixels, are sorted into leaves to see
how many pairs are near ..."""
_NARROW = 10.0

_QUICK = 64_000_000
"""... and up to so many are gone through. They are kept from one sum to the next, which is as quick as factoring."""

_LANDMARKS = (640, 1280, 2560)
"""Most landmarks, tried in turn until the sums hold."""

_LIKENESSES = 1 << 27
"""The first of them is passed over while pixels times landmarks would stay below this with the next."""

_TYPICAL, _WORST = 2e-3, 5e-2
"""Most that what a pixel is told may be off by, on the average and at one pixel."""

_LARGE = 1 << 20
"""In pictures above this size `_WORST` may be passed: exact sums would take hours."""

_CHECKED = 128
"""Pixels that sums are checked at."""


class AllPairs:
    """The weights of all pairs of a small picture, written out.

    Args:
        image: `(H, W, 3)`, red, green and blue of 0 to 255.
        width: standard deviation of the position, in pixels.
        color: standard deviation of the colour, in steps of 0 to 255.
        dtype: the floating type to work in.
    """

    def __init__(self, image: NDArray[Any], width: float, color: float, dtype: Any = np.float32) -> None:
        self.size: tuple[int, int] = (image.shape[0], image.shape[1])
        points = Points(image, width, color, dtype).all()
        self.matrix: Reals = gaussian(points, points)
        np.fill_diagonal(self.matrix, 0)
        self.totals: Reals = self.matrix.sum(axis=1).reshape(self.size)
        """`(H, W)`: what each pixel receives when every pixel gives 1."""

    def sums(self, values: Reals) -> Reals:
        """For each pixel the weighted sum of the other pixels' values: `(C, H, W)` to `(C, H, W)`."""
        return np.asarray((values.reshape(len(values), -1) @ self.matrix).reshape(values.shape))


PairSums = AllPairs | NearPairs | FactoredPairs


def pair_sums(image: NDArray[Any], width: float, color: float, dtype: Any = np.float32) -> PairSums:
    """The sums over the pairs of a picture, in the quickest of the ways that are near enough to exact.

    Arguments are those of `AllPairs`.

    Raises:
        ArgumentError: the picture is large, and of so many colours beside `color` that no way would be both quick and
            near enough.
    """
    pixels = image.shape[0] * image.shape[1]
    if pixels <= _WRITTEN_OUT:
        return AllPairs(image, width, color, dtype)
    tree = NearTree(image, width, color, dtype) if pixels <= _SMALL or width <= _NARROW else None
    if tree is not None and (tree.weights <= _QUICK or width <= _NARROW):
        return NearPairs(tree)
    fair = None
    for most in _LANDMARKS:
        if most < _LANDMARKS[1] and pixels * _LANDMARKS[1] <= _LIKENESSES:
            continue
        landmarks = landmarks_of(image, width, color, most)
        if landmarks is None:
            continue
        factored = FactoredPairs(image, width, color, dtype, landmarks=landmarks)
        typical, worst = _off_by(factored, image, width, color)
        if typical <= _TYPICAL and worst <= _WORST:
            return factored
        fair = factored if typical <= _TYPICAL else None
        # Before the next is made: of 12 megapixels two would not go into 2 GB.
        del factored
    if fair is not None and pixels > _LARGE:
        return fair
    return NearPairs(tree or NearTree(image, width, color, dtype))


def _off_by(sums: FactoredPairs, image: NDArray[Any], width: float, color: float) -> tuple[float, float]:
    """How far normalised sums are from exact ones, on the average of some pixels and at the worst of them.

    Half of the pixels are those that receive least. Every pixel greener than the middle one gives, so that errors
    which go with the colours show.
    """
    points = Points(image, width, color, sums.totals.dtype)
    totals = sums.totals.reshape(-1) + NOTHING
    few = min(_CHECKED // 2, totals.size)
    anywhere = np.random.default_rng(0).choice(totals.size, few, replace=False)
    usual = totals.copy()
    if sums.rare is not None:
        usual[sums.rare.chosen] = np.inf
    faint = np.argpartition(usual, few - 1)[:few]
    chosen = np.concatenate((anywhere, faint))
    green = image[..., 1].reshape(1, -1)
    given = ((green > np.median(green)) / np.sqrt(totals)).astype(totals.dtype)
    there = sums.sums(given.reshape(1, *sums.size)).reshape(-1)[chosen] / np.sqrt(totals[chosen])
    total, exact = exact_sums(points, chosen, np.concatenate((np.ones_like(given), given)))
    apart = np.abs(there - exact / np.sqrt(total + NOTHING))
    return float(apart[: len(anywhere)].mean()), float(apart.max())
