"""Losses over regions rather than pixels."""

from __future__ import annotations

import torch

from figureground.losses.background import one_hot, with_background


def soft_dice(
    logits: torch.Tensor, target: torch.Tensor, *, per_image: bool = False, smooth: float = 1.0
) -> torch.Tensor:
    """One minus the soft Dice coefficient, averaged over the leaves (Milletari et al., arXiv:1606.04797, unsquared).

    Sums run over the whole batch, or over each image where `per_image` is set. `smooth` is in pixels: it makes an
    empty target with an empty prediction a loss of zero rather than a division by zero.

    Args:
        logits: (N, K, H, W), one map per leaf.
        target: (N, H, W) int64: 0 background, k + 1 leaf k, 255 not counted.
        per_image: Dice of each image, then the mean.
        smooth: added to numerator and denominator.
    """
    scores = with_background(logits)
    hot, counted = one_hot(target, scores.shape[1])
    probabilities = scores.softmax(1)[:, 1:] * counted
    leaves = hot[:, 1:]
    dims = (2, 3) if per_image else (0, 2, 3)
    overlap = (probabilities * leaves).sum(dims)
    total = probabilities.sum(dims) + leaves.sum(dims)
    return (1 - (2 * overlap + smooth) / (total + smooth)).mean()
