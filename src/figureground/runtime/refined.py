"""A segmenter whose answers are improved before anybody sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground import images
from figureground.refine.steps import Seen, Step, as_steps, write_step
from figureground.runtime.depth_input import DepthInput
from figureground.runtime.segmenter import Segmenter


class Refined(Segmenter):
    """A segmenter with steps after it, in the order in which they are given; docs/refine.md has the list.

    Steps that ask where the figure is take it from this segmenter's threshold, not from that of a single call.

    Args:
        inner: what is refined.
        steps: as text ("crf:width=40,largest"), as steps, or as their names and settings.
        name: the inner's name with the steps' names when not given.

    Raises:
        ArgumentError: an unknown step or setting, or a setting out of its range.

    >>> import figureground as fg
    >>> tidy = fg.Refined(fg.load("person-fast"), "holes:max_area=0.01,largest")
    >>> tidy.name
    'person-fast holes largest'
    >>> tidy(demo_photo).is_empty
    False
    """

    def __init__(
        self, inner: Segmenter, steps: str | Sequence[Step | Mapping[str, Any]], *, name: str | None = None
    ) -> None:
        self.inner = inner
        self.chain = as_steps(steps)
        """The steps."""
        names = [step.name for step in self.chain]
        super().__init__(name or " ".join([inner.name, *names]), inner.labels, inner.threshold)

    @property
    def steps(self) -> tuple[dict[str, Any], ...]:
        """The steps as plain values."""
        return tuple(write_step(step) for step in self.chain)

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """The inner segmenter's, or larger, up to the photo's own size, where a step makes use of a larger picture."""
        inner = self.inner.network_size(height, width)
        enlarges = max((step.enlarges for step in self.chain), default=1.0)
        scale = min(1.0, enlarges * max(inner[0] / height, inner[1] / width))
        larger = round(height * scale), round(width * scale)
        # In proportion to the photo, unless rounding leaves it below what the network sees anyway.
        return larger if enlarges > 1 and larger[0] >= inner[0] and larger[1] >= inner[1] else inner

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Refined probability of every leaf: float32 (leaves, h', w'). `image` is uint8 (h, w, 3) of any size."""
        leaves = self.inner.probabilities(images.resize(image, self.inner.network_size(*image.shape[:2])))
        return self._refined(leaves, image)

    @property
    def depth_input(self) -> DepthInput | None:
        """The inner segmenter's."""
        return self.inner.depth_input

    def probabilities_with_depth(self, image: NDArray[np.uint8], depth: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `probabilities`, with depth for the inner segmenter."""
        size = self.inner.network_size(*image.shape[:2])
        leaves = self.inner.probabilities_with_depth(images.resize(image, size), images.resize_map(depth, size))
        return self._refined(leaves, image)

    def _refined(self, leaves: NDArray[np.float32], image: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen = Seen(image, self.labels, self.threshold)
        for step in self.chain:
            leaves = step.apply(leaves, seen)
        return leaves
