"""Losses: pure functions of (logits, target), each usable alone and by name in a recipe."""

from __future__ import annotations

from collections.abc import Callable

import torch

from figureground.losses.background import IGNORE, with_background
from figureground.losses.pixel import cross_entropy, distillation, near_boundary
from figureground.losses.region import soft_dice
from figureground.losses.tree import tree_cross_entropy, tree_dice

LOSSES: dict[str, Callable[..., torch.Tensor]] = {
    "cross_entropy": cross_entropy,
    "soft_dice": soft_dice,
    "tree_cross_entropy": tree_cross_entropy,
    "tree_dice": tree_dice,
}
"""The losses that a recipe can name."""

__all__ = [
    "IGNORE",
    "LOSSES",
    "cross_entropy",
    "distillation",
    "near_boundary",
    "soft_dice",
    "tree_cross_entropy",
    "tree_dice",
    "with_background",
]
