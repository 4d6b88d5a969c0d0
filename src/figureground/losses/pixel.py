"""Losses that are a mean over pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.nn import functional as F

from figureground.checks import require_in_range
from figureground.errors import RecipeError
from figureground.losses.background import IGNORE, weights_of_classes, with_background


def cross_entropy(
    logits: torch.Tensor,
    target: torch.Tensor,
    *,
    boundary_weight: float = 0.0,
    boundary_width: int = 5,
    class_weights: Sequence[float] | None = None,
    label_smoothing: float = 0.0,
    hard_below: float = 1.0,
    hard_share: float = 0.0,
) -> torch.Tensor:
    """Mean cross-entropy of the leaves and the background; with one leaf this is binary cross-entropy.

    Args:
        logits: (N, K, H, W), one map per leaf.
        target: (N, H, W) int64: 0 background, k + 1 leaf k, 255 not counted.
        boundary_weight: pixels within `boundary_width // 2` of a change of class count `1 + boundary_weight` times.
        boundary_width: odd side of the square neighbourhood in pixels.
        class_weights: of background and then each leaf; a pixel counts with its class's weight.
        label_smoothing: share of the target that is spread over all classes, 0 to 1.
        hard_below: only pixels whose own class has less than this probability count (online hard example mining,
            Shrivastava et al., arXiv:1604.03540, by threshold); 1 is off.
        hard_share: at least this share of the pixels counts all the same, the hardest first.

    A batch without a pixel that counts costs nothing.

    Raises:
        RecipeError: an even `boundary_width`, or a number of class weights that is not one more than there are leaves.
        ArgumentError: another option out of its range.
    """
    require_in_range("boundary_weight", boundary_weight, 0)
    require_in_range("label_smoothing", label_smoothing, 0, 1)
    require_in_range("hard_below", hard_below, 0.001, 1)
    require_in_range("hard_share", hard_share, 0, 1)
    scores = with_background(logits)
    given = weights_of_classes(class_weights, scores)
    losses = F.cross_entropy(
        scores, target, given, ignore_index=IGNORE, reduction="none", label_smoothing=label_smoothing
    )
    weights = (target != IGNORE).to(losses.dtype)
    if hard_below < 1:
        weights = weights * _hard(scores, target, hard_below, hard_share)
    if boundary_weight > 0:
        weights = weights * (1 + boundary_weight * near_boundary(target, boundary_width))
    # The loss of a pixel has its class's weight in it already; the mean has to divide by it too.
    counted = weights if given is None else weights * given[target.where(target != IGNORE, 0)]
    total = counted.sum()
    return (losses * weights).sum() / total.where(total > 0, 1)


def _hard(scores: torch.Tensor, target: torch.Tensor, below: float, share: float) -> torch.Tensor:
    """(N, H, W) bool: counted pixels of low probability for their own class, at least `share` of the counted."""
    counted = target != IGNORE
    own = scores.detach().softmax(1).gather(1, target.where(counted, 0).unsqueeze(1)).squeeze(1)
    own = own.where(counted, 2.0)  # behind every pixel that counts
    easiest = below
    least = math.ceil(share * int(counted.sum()))
    if least > 0:
        easiest = max(below, float(own.flatten().kthvalue(least).values))
    return own <= easiest if easiest > below else own < below


def near_boundary(target: torch.Tensor, width: int) -> torch.Tensor:
    """(N, H, W) -> float32 map, 1 where the `width` x `width` neighbourhood holds more than one counted class.

    Raises RecipeError for an even `width`, whose neighbourhood would have no centre.
    """
    if width < 1 or width % 2 == 0:
        raise RecipeError(f"a boundary width of {width} has no middle pixel", remedy="use an odd number, 5 say")
    counted = target != IGNORE
    highest = torch.where(counted, target, -1).float().unsqueeze(1)
    lowest = torch.where(counted, target, IGNORE).float().unsqueeze(1)
    return (_highest_around(highest, width) > -_highest_around(-lowest, width)).float().squeeze(1)


def _highest_around(values: torch.Tensor, width: int) -> torch.Tensor:
    # Along columns and then along rows: twice `width` comparisons a pixel instead of its square.
    columns = F.max_pool2d(values, (width, 1), stride=1, padding=(width // 2, 0))
    return F.max_pool2d(columns, (1, width), stride=1, padding=(0, width // 2))


def distillation(logits: torch.Tensor, teacher: torch.Tensor, *, temperature: float = 1.0) -> torch.Tensor:
    """Mean Kullback-Leibler divergence from the teacher's class probabilities to the student's, per pixel.

    Both (N, K, H, W) leaf logits. Hinton et al., arXiv:1503.02531; scaled by temperature squared as there.
    """
    student = F.log_softmax(with_background(logits) / temperature, dim=1)
    wanted = F.log_softmax(with_background(teacher) / temperature, dim=1)
    divergence = (wanted.exp() * (wanted - student)).sum(1)
    return divergence.mean() * temperature**2
