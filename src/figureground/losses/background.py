"""The background's logit: networks give one logit per leaf, and the background's is fixed at zero.

With one leaf the softmax over (0, z) is the sigmoid of z, so person against background is not a special case.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from figureground.errors import RecipeError

IGNORE = 255
"""Target value of pixels that no loss and no metric looks at."""


def with_background(logits: torch.Tensor) -> torch.Tensor:
    """(N, K, H, W) leaf logits -> (N, 1 + K, H, W) float32 with the background's zero logit first.

    Never less than float32: the losses sum over many pixels, which bfloat16 cannot do. Float64 stays as it is.
    """
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return torch.cat((torch.zeros_like(wide[:, :1]), wide), dim=1)


def one_hot(target: torch.Tensor, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, H, W) class indices -> (N, classes, H, W) float32 and the (N, 1, H, W) float32 map of pixels that count."""
    counts = (target != IGNORE).unsqueeze(1)
    clean = torch.where(counts.squeeze(1), target, 0)
    hot = torch.nn.functional.one_hot(clean, classes).permute(0, 3, 1, 2)
    return (hot * counts).float(), counts.float()


def weights_of_classes(given: Sequence[float] | None, scores: torch.Tensor) -> torch.Tensor | None:
    """`class_weights` of background and then each leaf as (1 + K,) beside the scores (N, 1 + K, H, W); None stays None.

    Raises:
        RecipeError: not one weight for each class, a negative one, or nothing but zeros.
    """
    if given is None:
        return None
    if len(given) != scores.shape[1] or min(given) < 0 or max(given) == 0:
        raise RecipeError(
            f"{len(given)} class weights for background and {scores.shape[1] - 1} leaves",
            remedy=f"give {scores.shape[1]} numbers, the background's first, none negative and not all zero",
        )
    return scores.new_tensor(given)


def mean_of_classes(losses: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    """The mean of losses (..., classes), each class counting with its weight; 0 where all weights are 0."""
    if weights is None:
        return losses.mean()
    spread = weights.expand_as(losses)
    return (losses * spread).sum() / spread.sum().clamp(min=1e-12)
