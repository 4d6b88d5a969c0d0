"""From how sure a network is to how opaque a cut-out should be."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.checks import require_in_range, require_probabilities

__all__ = ["opacity"]


def opacity(probability: NDArray[np.floating[Any]], threshold: float) -> NDArray[np.float32]:
    """Stretch probabilities around the threshold: a probability is not an opacity, and doubt is not a haze.

    A straight line that is one half at the threshold, 0 half-way from there to 0 or to 1 (whichever is nearer), and 1
    as far above. So a faint doubt about the background leaves nothing behind in a cut-out, the inside of a person is
    not translucent, and an outline keeps a soft edge about as wide as a pixel of the network.

    Args:
        probability: floating point (H, W) in [0, 1].
        threshold: between 0 and 1; where the probability reaches it, the result reaches one half.

    Returns:
        float32 (H, W) in [0, 1].

    Raises:
        ArgumentError: the array has another shape or type, NaN or values outside [0, 1]; or the threshold lies outside
            (0, 1).
    """
    require_probabilities("probability", probability)
    require_in_range("threshold", threshold, 1e-6, 1 - 1e-6)
    reach = 0.5 * min(threshold, 1 - threshold)
    stretched = probability.astype(np.float32) - np.float32(threshold)
    stretched *= np.float32(0.5 / reach)
    stretched += np.float32(0.5)
    return np.clip(stretched, 0, 1, out=stretched)
