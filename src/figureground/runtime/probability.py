"""Between logits and probabilities of leaves, with a background whose logit is 0 and which has no map of its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from figureground import refine

_SURE = np.float32(1e-7)
"""As near to 0 or 1 as a float32 probability tells apart: a logit of about 16."""


def leaf_probabilities(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softmax over the leaves and a background whose logit is 0, without the background: float32 (K, h, w).

    p_k = exp(z_k) / (1 + sum_j exp(z_j)), with the largest exponent taken out so that nothing overflows.
    One leaf makes it the sigmoid.
    """
    highest = np.maximum(logits.max(axis=0), np.float32(0))
    exponentials = np.exp(logits - highest)
    exponentials /= np.exp(-highest) + exponentials.sum(axis=0)
    return np.asarray(exponentials, dtype=np.float32)


def drop_unsure_leaves(leaves: NDArray[np.float32], peak: float) -> NDArray[np.float32]:
    """Take away the areas in which the figure, the sum over the leaves (K, h, w), never reaches `peak`; 0 keeps all.

    What fires faintly on a scene without people goes; a figure has a sure inside and stays. See `refine.drop_unsure`.
    """
    if peak <= 0:
        return leaves
    kept = refine.drop_unsure(leaves.sum(axis=0).clip(0.0, 1.0), peak=peak)
    return np.where(kept > 0, leaves, np.float32(0))


def sure_leaves(logits: NDArray[np.float32], peak: float) -> NDArray[np.float32]:
    """The probabilities of the leaves (K, h, w) of such logits, without the areas that never reach `peak`."""
    return drop_unsure_leaves(leaf_probabilities(logits), peak)


def leaf_logits(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """The inverse of `leaf_probabilities`: z_k = log(p_k / p_background), float32 (K, h, w), from -16 to 16.

    A float32 probability holds no more than that: what is nearer than 1e-7 to 0 or 1 counts as 1e-7 away.
    """
    background = np.clip(1 - probabilities.sum(axis=0), _SURE, 1)
    return np.asarray(np.log(np.clip(probabilities, _SURE, 1)) - np.log(background), dtype=np.float32)
