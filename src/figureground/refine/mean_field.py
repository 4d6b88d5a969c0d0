"""Dense conditional random field: pixels that are near one another and alike in colour should have one label.

Mean field of Kraehenbuehl and Koltun (arXiv:1210.5644). Every pair of pixels is coupled by two Gaussians: one of their
distance, which takes out specks, and one of distance and colour, which moves outlines onto the edges of the photo. No
pixel is coupled to itself, and weights are divided by the square root of the sums of both pixels' weights.

We differ in two places. The sums over pairs are nearer to exact (`pair_sums`). And the label tree says how much two
labels contradict one another: labels that part low in the tree less than labels that part at its root.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from figureground.checks import (
    ArgumentError,
    require_image,
    require_in_range,
    require_probabilities,
    require_same_size,
    require_whole,
)
from figureground.labels import LabelTree
from figureground.refine.gaussian import NOTHING
from figureground.refine.pair_sums import PairSums, pair_sums
from figureground.refine.separable import along_rows_and_columns

__all__ = ["SURE", "DenseCrf", "Distance", "agreement", "dense_crf", "log_odds", "softmax"]

Normalisation = Literal["symmetric", "none"]
Reals = NDArray[np.floating[Any]]

SURE = 1e-5
"""Probabilities nearer than this to 0 count as this: a logarithm of 0 could never be outvoted."""

_REACH = 5
"""Standard deviations after which the Gaussian of the distance alone is cut off; it is 4e-6 there."""


@dataclass(frozen=True)
class DenseCrf:
    """Settings of a dense CRF. Widths are in pixels of the map it works on, colours in steps of 0 to 255.

    Args:
        iterations: rounds of mean field, 1 to 100.
        smooth_width: standard deviation of the distance, for the Gaussian of distance alone; 0.1 to 1000.
        smooth_weight: how much it counts, 0 to 1000; 0 leaves it out.
        width: standard deviation of the distance, for the Gaussian of distance and colour; 0.1 to 10000.
        color: its standard deviation of the colour, 0.1 to 1000.
        weight: how much it counts, 0 to 1000; 0 leaves it out.
        normalisation: "symmetric" divides the weight of two pixels by the root of the product of the sums of their
            weights; "none" takes the Gaussians as they are, and then weights have to shrink as pictures grow.

    Raises:
        ArgumentError: a setting out of its range.
    """

    iterations: int = 5
    smooth_width: float = 3.0
    smooth_weight: float = 3.0
    width: float = 80.0
    color: float = 13.0
    weight: float = 10.0
    normalisation: Normalisation = "symmetric"

    def __post_init__(self) -> None:
        require_whole("iterations", self.iterations, 1, 100)
        require_in_range("smooth_width", self.smooth_width, 0.1, 1000)
        require_in_range("smooth_weight", self.smooth_weight, 0, 1000)
        require_in_range("width", self.width, 0.1, 10000)
        require_in_range("color", self.color, 0.1, 1000)
        require_in_range("weight", self.weight, 0, 1000)
        if self.normalisation not in get_args(Normalisation):
            raise ArgumentError(f"normalisation {self.normalisation!r}", remedy="it must be 'symmetric' or 'none'")


def dense_crf(
    probabilities: Reals,
    image: NDArray[np.uint8],
    settings: DenseCrf | None = None,
    *,
    labels: LabelTree | None = None,
) -> Reals:
    """Let pixels that are near and alike agree, by some rounds of mean field.

    Args:
        probabilities: floating point `(K, H, W)` in [0, 1], one map for each leaf; what is missing to 1 is background.
        image: the picture at the same size, uint8 `(H, W, 3)`.
        settings: `DenseCrf()` when not given.
        labels: a tree with K leaves, by which labels contradict one another more or less (`agreement`). Without it any
            two labels contradict one another fully.

    Returns:
        The leaves' new probabilities `(K, H, W)`: float64 for float64, else float32.

    Raises:
        ArgumentError: wrong arrays, NaN, sizes that differ, a tree with another number of leaves, or widths so narrow
            that memory would not hold the sums.
    """
    settings = settings or DenseCrf()
    require_probabilities("probabilities", probabilities, axes=3)
    require_image("image", image)
    require_same_size("image", image, "probabilities", probabilities[0])
    leaves = len(probabilities)
    if labels is not None and len(labels.leaves) != leaves:
        raise ArgumentError(f"probabilities has {leaves} maps but labels has {len(labels.leaves)} leaves")
    dtype = np.float64 if probabilities.dtype == np.float64 else np.float32
    agree = (agreement(labels) if labels is not None else np.eye(leaves + 1)).astype(dtype)
    unary: Reals = log_odds(probabilities).astype(dtype)
    couplings = _couplings(image, settings, dtype)
    # What all labels together send is known beforehand, so the background's share need not be summed.
    everything = _message(couplings, np.ones((1, *unary.shape[1:]), dtype))
    current = softmax(unary)
    for _ in range(settings.iterations):
        leaf = _message(couplings, current)
        sent = np.concatenate((everything - leaf.sum(axis=0), leaf))
        votes = np.tensordot(agree, sent, axes=1)
        current = softmax(unary + votes[1:] - votes[0])
    return current


def agreement(labels: LabelTree) -> NDArray[np.float64]:
    """How much the background and the leaves agree with one another, (1 + leaves, 1 + leaves).

    It is the share of the tree's levels on which two leaves have the same label: 1 with itself, 0 with the background
    and with leaves under another root.
    """
    levels = [labels.level(depth) for depth in range(labels.depth)]
    agree = np.eye(len(labels.leaves) + 1)
    paths = []
    for leaf in labels.leaves:
        above = {leaf.name, *(node.name for node in labels.ancestors(leaf.name))}
        paths.append([next(node.name for node in level if node.name in above) for level in levels])
    for i, one in enumerate(paths):
        for j, other in enumerate(paths):
            agree[i + 1, j + 1] = np.mean([a == b for a, b in zip(one, other, strict=True)])
    return agree


def log_odds(probabilities: Reals) -> Reals:
    """Log of each leaf's probability over the background's, `(K, H, W)`; no probability counts as less than 1e-5."""
    wide = probabilities.astype(np.promote_types(probabilities.dtype, np.float32))
    background = np.maximum(1 - wide.sum(axis=0), SURE)
    return np.asarray(np.log(np.maximum(wide, SURE)) - np.log(background))


class Distance:
    """The Gaussian of the distance alone: exact sums, rows and columns one after the other."""

    def __init__(self, width: float) -> None:
        reach = np.arange(int(np.ceil(_REACH * width)) + 1)
        self.taps: Reals = np.exp(-0.5 * (reach / width) ** 2)

    def sums(self, values: Reals) -> Reals:
        """For each pixel the weighted sum of the other pixels' values: `(C, H, W)` to `(C, H, W)`."""
        return along_rows_and_columns(values, self.taps) - values


_Pairs = Distance | PairSums


@dataclass(frozen=True)
class _Coupling:
    """Sums over pairs with their weight, and the factor that each pixel gives to and takes from them."""

    pairs: _Pairs
    weight: float
    factor: Reals

    def message(self, values: Reals) -> Reals:
        return np.asarray(self.weight * self.factor * self.pairs.sums(self.factor * values))


def _couplings(image: NDArray[np.uint8], settings: DenseCrf, dtype: Any) -> list[_Coupling]:
    chosen: list[tuple[_Pairs, Reals, float]] = []
    if settings.smooth_weight > 0:
        distance = Distance(settings.smooth_width)
        chosen.append((distance, distance.sums(np.ones((1, *image.shape[:2]), dtype))[0], settings.smooth_weight))
    if settings.weight > 0:
        pairs = pair_sums(image, settings.width, settings.color, dtype)
        chosen.append((pairs, pairs.totals, settings.weight))
    couplings = []
    for kind, totals, weight in chosen:
        factor = np.ones_like(totals)
        if settings.normalisation == "symmetric":
            factor = 1 / np.sqrt(totals + NOTHING)
        couplings.append(_Coupling(kind, weight, factor.astype(dtype)))
    return couplings


def _message(couplings: list[_Coupling], values: Reals) -> Reals:
    total = np.zeros_like(values)
    for coupling in couplings:
        total += coupling.message(values)
    return total


def softmax(odds: Reals) -> Reals:
    """Probabilities of the leaves beside a background of log-odds 0."""
    highest = np.maximum(odds.max(axis=0), 0)
    exponentials = np.exp(odds - highest)
    return np.asarray(exponentials / (np.exp(-highest) + exponentials.sum(axis=0)))
