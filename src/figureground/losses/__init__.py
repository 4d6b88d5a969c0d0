"""Losses: pure functions of (logits, target), each usable alone and by name in a recipe."""

from __future__ import annotations

from collections.abc import Callable

import torch

from figureground.losses.background import IGNORE, with_background
from figureground.losses.pixel import cross_entropy, distillation, near_boundary
from figureground.losses.region import soft_dice

LOSSES: dict[str, Callable[..., torch.Tensor]] = {"cross_entropy": cross_entropy, "soft_dice": soft_dice}
"""The losses that a recipe can name."""

__all__ = ["IGNORE", "LOSSES", "cross_entropy", "distillation", "near_boundary", "soft_dice", "with_background"]
