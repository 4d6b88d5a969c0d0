"""Focal loss over leaves and background (Lin et al., arXiv:1708.02002)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch

from figureground.checks import require_in_range
from figureground.errors import RecipeError, suggest
from figureground.losses.background import IGNORE, with_background

Mean = Literal["counted", "all"]

_TINY = 1e-12


def focal(
    logits: torch.Tensor,
    target: torch.Tensor,
    *,
    gamma: float = 2.0,
    alpha: float | Sequence[float] = 1.0,
    mean: Mean = "counted",
) -> torch.Tensor:
    """Cross-entropy in which an easy pixel counts less: -alpha (1 - p)^gamma log p, p the probability of the truth.

    The softmax form. One against all, as detectors and segmentation_models_pytorch have it, is `node_focal`. With
    `gamma` 0 and `alpha` 1 it is the cross-entropy.

    Args:
        logits: (N, K, H, W), one map per leaf.
        target: (N, H, W) int64: 0 background, k + 1 leaf k, 255 not counted.
        gamma: 0 counts all pixels alike.
        alpha: one weight, or one for the background and each leaf.
        mean: over the pixels that count, or over `all`, ignored ones too (as VainF/DeepLabV3Plus-Pytorch does).

    Raises:
        RecipeError: a number of weights that is not 1 + K, or an unknown mean.
    """
    require_in_range("gamma", gamma, 0)
    scores = with_background(logits)
    counted = target != IGNORE
    index = torch.where(counted, target, 0)
    log_p = scores.gather(1, index.unsqueeze(1)).squeeze(1) - scores.logsumexp(1)
    # Rounding can leave log p a little above 0; a power of the negative rest is no number, of zero it has no slope.
    losses = -log_p if gamma == 0 else -log_p * (-torch.expm1(log_p)).clamp(min=_TINY) ** gamma
    losses = losses * _weights(alpha, scores)[index] * counted
    if mean not in ("counted", "all"):
        raise RecipeError(f"no mean is called {mean!r}", remedy=suggest(str(mean), ["counted", "all"]))
    return losses.sum() / (counted.sum().clamp(min=1) if mean == "counted" else target.numel())


def _weights(alpha: float | Sequence[float], scores: torch.Tensor) -> torch.Tensor:
    classes = scores.shape[1]
    given = [float(alpha)] * classes if isinstance(alpha, int | float) else list(alpha)
    if len(given) != classes:
        raise RecipeError(
            f"{len(given)} weights in alpha for background and {classes - 1} leaves",
            remedy=f"give one number, or {classes} with the background's first",
        )
    return scores.new_tensor(given)
