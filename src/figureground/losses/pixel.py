"""Losses that are a mean over pixels."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from figureground.errors import RecipeError
from figureground.losses.background import IGNORE, with_background


def cross_entropy(
    logits: torch.Tensor, target: torch.Tensor, *, boundary_weight: float = 0.0, boundary_width: int = 5
) -> torch.Tensor:
    """Mean cross-entropy of the leaves and the background; with one leaf this is binary cross-entropy.

    Args:
        logits: (N, K, H, W), one map per leaf.
        target: (N, H, W) int64: 0 background, k + 1 leaf k, 255 not counted.
        boundary_weight: pixels within `boundary_width // 2` of a change of class count `1 + boundary_weight` times.
        boundary_width: odd side of the square neighbourhood in pixels.

    A batch without a pixel that counts costs nothing. Raises RecipeError for an even `boundary_width`.
    """
    losses = F.cross_entropy(with_background(logits), target, ignore_index=IGNORE, reduction="none")
    weights = (target != IGNORE).float()
    if boundary_weight > 0:
        weights = weights * (1 + boundary_weight * near_boundary(target, boundary_width))
    return (losses * weights).sum() / weights.sum().clamp(min=1)


def near_boundary(target: torch.Tensor, width: int) -> torch.Tensor:
    """(N, H, W) -> float32 map, 1 where the `width` x `width` neighbourhood holds more than one counted class.

    Raises RecipeError for an even `width`, whose neighbourhood would have no centre.
    """
    if width < 1 or width % 2 == 0:
        raise RecipeError(f"a boundary width of {width} has no middle pixel", remedy="use an odd number, 5 say")
    counted = target != IGNORE
    highest = torch.where(counted, target, -1).float().unsqueeze(1)
    lowest = torch.where(counted, target, IGNORE).float().unsqueeze(1)
    above = F.max_pool2d(highest, width, stride=1, padding=width // 2)
    below = -F.max_pool2d(-lowest, width, stride=1, padding=width // 2)
    return (above > below).float().squeeze(1)


def distillation(logits: torch.Tensor, teacher: torch.Tensor, *, temperature: float = 1.0) -> torch.Tensor:
    """Mean Kullback-Leibler divergence from the teacher's class probabilities to the student's, per pixel.

    Both (N, K, H, W) leaf logits. Hinton et al., arXiv:1503.02531; scaled by temperature squared as there.
    """
    student = F.log_softmax(with_background(logits) / temperature, dim=1)
    wanted = F.log_softmax(with_background(teacher) / temperature, dim=1)
    divergence = (wanted.exp() * (wanted - student)).sum(1)
    return divergence.mean() * temperature**2
