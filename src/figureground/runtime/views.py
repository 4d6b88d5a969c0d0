"""One segmenter's other views of a photo: mirrored, larger or smaller. Their mean is test-time augmentation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.checks import ArgumentError, require_in_range
from figureground.runtime.ensemble import Ensemble, Mean
from figureground.runtime.segmenter import Segmenter

SMALLEST_SCALE, LARGEST_SCALE = 0.1, 10.0


class View(Segmenter):
    """A segmenter that sees each photo at another scale, or in a mirror, and answers for the photo as it is.

    In a mirror a left arm is a right arm: leaves that are `flip` partners in the label tree change places.

    Args:
        inner: what is asked.
        scale: sides of the picture it sees, relative to those it asks for, 0.1 to 10.
        mirrored: whether it sees the photo mirrored left to right.

    Raises:
        ArgumentError: a scale out of range, or other than 1 where `inner` sees photos at its own sizes only.
    """

    def __init__(self, inner: Segmenter, *, scale: float = 1.0, mirrored: bool = False) -> None:
        require_in_range("scale", scale, SMALLEST_SCALE, LARGEST_SCALE)
        if scale != 1 and inner.fitting_size(64, 64) is None:
            raise ArgumentError(
                f"scale {scale:g} of '{inner.name}', which sees photos at its own sizes only",
                remedy="scale the networks inside it",
            )
        marks = [f"x{scale:g}"] * (scale != 1) + ["mirrored"] * mirrored
        super().__init__(" ".join([inner.name, *marks]), inner.labels, inner.threshold)
        self.inner = inner
        self.scale = float(scale)
        self.mirrored = mirrored
        self._partners = inner.labels.flip_permutation()

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) that the inner segmenter asks for, scaled."""
        inner = self.inner.network_size(height, width)
        if self.scale == 1:
            return inner
        return self.inner.fitting_size(round(inner[0] * self.scale), round(inner[1] * self.scale)) or inner

    def fitting_size(self, height: int, width: int) -> tuple[int, int] | None:
        """The inner segmenter's."""
        return self.inner.fitting_size(height, width)

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probability of every leaf in `image` as it is, uint8 (h, w, 3): float32 (leaves, h', w')."""
        return self._back(self.inner.probabilities(self._turned(image)))

    @property
    def peak(self) -> float:
        """The inner segmenter's."""
        return self.inner.peak

    def logits(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """As `probabilities`, of the inner segmenter's logits."""
        return self._back(self.inner.logits(self._turned(image)))

    def _turned(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.ascontiguousarray(image[:, ::-1]) if self.mirrored else image

    def _back(self, leaves: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.ascontiguousarray(leaves[self._partners, :, ::-1]) if self.mirrored else leaves


def views(inner: Segmenter, *, flip: bool = True, scales: Sequence[float] = (1.0,)) -> list[Segmenter]:
    """Every scale of `inner`, and with `flip` each of them mirrored too. What changes nothing is `inner` itself.

    Raises:
        ArgumentError: no scales, one twice, or one out of range.
    """
    given = _listed(scales)
    if not given or len(set(given)) != len(given):
        raise ArgumentError(f"scales {given}", remedy="give at least one, and none twice")
    turns = (False, True) if flip else (False,)
    return [
        View(inner, scale=scale, mirrored=turn) if turn or scale != 1 else inner for scale in given for turn in turns
    ]


def _listed(scales: Any) -> list[float]:
    if isinstance(scales, str) or not isinstance(scales, Iterable):
        raise ArgumentError(f"scales is {scales!r}", remedy="give a list of numbers such as (1, 1.25)")
    return list(scales)


def augmented(
    inner: Segmenter, *, flip: bool = True, scales: Sequence[float] = (1.0,), mean: Mean = "probability"
) -> Ensemble:
    """Test-time augmentation: the mean of what `inner` says about a photo, its mirror image, and other scales of both.

    With `flip` alone this is HumanSegmentation's reflection aggregator, with `scales` alone its resize aggregator;
    both took the mean of raw outputs, `mean="logit"`. Segmentation papers take that of probabilities. Each view costs
    a run of the network, one at scale s about s squared runs.

    Args:
        inner: what is asked.
        flip: also ask about the mirror image.
        scales: sides of the picture it sees, relative to those it asks for.
        mean: of what the mean is taken; see `Ensemble`.

    Raises:
        ArgumentError: no scales, one twice, or one out of range.

    >>> import figureground as fg
    >>> fg.augmented(fg.load("person-fast"))(demo_photo).mask.shape
    (512, 512)
    """
    members = views(inner, flip=flip, scales=scales)
    marks = [f"x{scale:g}" for scale in scales if scale != 1] + ["flip"] * flip
    return Ensemble(members, mean=mean, name=" ".join([inner.name, *marks]), threshold=inner.threshold)
