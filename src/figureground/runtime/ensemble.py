"""Several segmenters as one: the weighted mean of what they say."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from figureground import images
from figureground.checks import ArgumentError
from figureground.errors import suggest
from figureground.runtime.probability import leaf_logits, sure_leaves
from figureground.runtime.segmenter import Segmenter

Mean = Literal["probability", "logit"]
"""Of what the mean is taken. That of logits is the geometric mean of odds: one very sure member can decide alone."""

_ROOM = 2.0
"""A picture for members of several sizes has at least this many times the sides that the largest of them asks for."""


class Ensemble(Segmenter):
    """The weighted mean of several segmenters with one label tree.

    Each member sees the photo at its own size. Members that ask for one and the same size share one resized picture;
    for others the picture is kept at up to twice the largest size and resized for each. The maps are brought to the
    largest of their sizes before the mean is taken.

    Areas in which a network is nowhere sure, by its bundle's `peak`, are dropped: for a mean of probabilities by each
    member on its own, for a mean of logits from the mean, by the weighted mean of the members' peaks.

    Args:
        members: what is asked; ensembles, views and tiled segmenters too.
        weights: one number per member, at least 0, not all 0; only their ratios count. Equal when not given. A member
            of weight 0 is not run.
        mean: of probabilities, or of logits.
        name: the members' names joined by " + " when not given.
        threshold: the weighted mean of the members' thresholds when not given.

    Raises:
        ArgumentError: no members, what is no segmenter, other label trees, weights that do not fit, or an unknown mean.

    >>> import figureground as fg
    >>> both = fg.Ensemble([fg.load("person"), fg.load("person-fast")], weights=[3, 1])
    >>> both.weights
    (0.75, 0.25)
    >>> both(demo_photo).mask.shape
    (512, 512)
    """

    def __init__(
        self,
        members: Sequence[Segmenter],
        weights: Sequence[float] | None = None,
        *,
        mean: Mean = "probability",
        name: str | None = None,
        threshold: float | None = None,
    ) -> None:
        self.members = tuple(members)
        self.weights = _shares(self.members, weights)
        if mean not in get_args(Mean):
            raise ArgumentError(f"no mean '{mean}'", remedy=suggest(str(mean), get_args(Mean)))
        self.mean: Mean = mean
        own = sum(weight * member.threshold for weight, member in zip(self.weights, self.members, strict=True))
        super().__init__(
            name or " + ".join(member.name for member in self.members),
            self.members[0].labels,
            own if threshold is None else threshold,
        )
        self.asked = [pair for pair in zip(self.members, self.weights, strict=True) if pair[1] > 0]
        """The members that count, each with its weight."""

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """The members' size where they agree; else that of the photo, but not far beyond what the largest needs."""
        sizes = [member.network_size(height, width) for member, _ in self.asked]
        shared = sizes[0]
        if all(size == shared for size in sizes) and all(m.network_size(*shared) == shared for m, _ in self.asked):
            return shared
        zoom = min(1.0, max(_ROOM * max(h / height, w / width) for h, w in sizes))
        return max(1, round(height * zoom)), max(1, round(width * zoom))

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probability of every leaf: float32 (leaves, h', w'). `image` is uint8 (h, w, 3) of any size."""
        if self.mean == "logit":
            return sure_leaves(self.logits(image), self.peak)
        return self._mean_of(lambda member, picture: member.probabilities(picture), image)

    @property
    def peak(self) -> float:
        """For a mean of logits the weighted mean of the members' peaks; members of other means drop on their own."""
        return sum(weight * member.peak for member, weight in self.asked) if self.mean == "logit" else 0.0

    def logits(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """As `probabilities`, but logits: float32 (leaves, h', w')."""
        if self.mean == "probability":
            return leaf_logits(self.probabilities(image))
        return self._mean_of(lambda member, picture: member.logits(picture), image)

    def _mean_of(
        self, ask: Callable[[Segmenter, NDArray[np.uint8]], NDArray[np.float32]], image: NDArray[np.uint8]
    ) -> NDArray[np.float32]:
        pictures: dict[tuple[int, int], NDArray[np.uint8]] = {}
        maps = []
        for member, _ in self.asked:
            size = member.network_size(*image.shape[:2])
            if size not in pictures:
                pictures[size] = images.resize(image, size)
            maps.append(ask(member, pictures[size]))
        return weighted_mean(maps, [weight for _, weight in self.asked])


def weighted_mean(maps: Sequence[NDArray[np.float32]], weights: Sequence[float]) -> NDArray[np.float32]:
    """Sum of `weights[i] * maps[i]`, each (K, h_i, w_i), at the largest of their sizes: float32 (K, h, w)."""
    size = max((leaves.shape[-2:] for leaves in maps), key=math.prod)
    total = np.zeros((maps[0].shape[0], *size), np.float32)
    for leaves, weight in zip(maps, weights, strict=True):
        total += np.float32(weight) * (leaves if leaves.shape[-2:] == size else images.resize_map(leaves, size))
    return total


def _shares(members: Sequence[Segmenter], weights: Sequence[float] | None) -> tuple[float, ...]:
    """The weights, scaled to sum to 1."""
    if not members:
        raise ArgumentError("an ensemble without members", remedy="give at least one segmenter")
    for member in members:
        if not isinstance(member, Segmenter):
            raise ArgumentError(f"{member!r} is no segmenter", remedy="give what load(...) returns")
    for member in members[1:]:
        if member.labels != members[0].labels:
            raise ArgumentError(
                f"'{member.name}' has other labels than '{members[0].name}'",
                remedy="an ensemble needs members of one label tree",
            )
    try:
        given = [1.0] * len(members) if weights is None else [float(weight) for weight in weights]
    except (TypeError, ValueError, OverflowError):
        given = []
    total = sum(given)
    if len(given) != len(members) or not all(0 <= weight < math.inf for weight in given) or not 0 < total < math.inf:
        raise ArgumentError(
            f"weights {weights} for {len(members)} members", remedy="give one number per member, at least 0, not all 0"
        )
    return tuple(weight / total for weight in given)
