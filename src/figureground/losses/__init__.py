"""Losses: pure functions of (output, target), each usable alone and by name in a recipe.

The first argument's name says which output of the head it is: `logits` of the leaves, `nodes`, or the `embedding`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from figureground.losses.background import IGNORE, with_background
from figureground.losses.contour import active_boundary, boundary
from figureground.losses.crf import dense_crf, dense_potts, gated_potts, smooth_crf
from figureground.losses.focal import focal
from figureground.losses.hierarchical_softmax import hierarchical_softmax, level_cross_entropy
from figureground.losses.mask_classification import mask_classification
from figureground.losses.mean_field import dense_crf_logits, smooth_crf_logits
from figureground.losses.pixel import cross_entropy, distillation, near_boundary
from figureground.losses.region import lovasz, soft_dice, tversky
from figureground.losses.tree import tree_cross_entropy, tree_dice
from figureground.losses.tree_min import focal_tree_min, node_focal, tree_min
from figureground.losses.tree_triplet import tree_triplet

LOSSES: dict[str, Callable[..., torch.Tensor]] = {
    "cross_entropy": cross_entropy,
    "soft_dice": soft_dice,
    "tversky": tversky,
    "lovasz": lovasz,
    "boundary": boundary,
    "active_boundary": active_boundary,
    "tree_cross_entropy": tree_cross_entropy,
    "tree_dice": tree_dice,
    "focal": focal,
    "node_focal": node_focal,
    "tree_min": tree_min,
    "focal_tree_min": focal_tree_min,
    "level_cross_entropy": level_cross_entropy,
    "hierarchical_softmax": hierarchical_softmax,
    "tree_triplet": tree_triplet,
    "mask_classification": mask_classification,
    "smooth_crf": smooth_crf,
    "dense_crf": dense_crf,
    "dense_potts": dense_potts,
    "gated_potts": gated_potts,
}
"""The losses that a recipe can name."""

__all__ = [
    "IGNORE",
    "LOSSES",
    "active_boundary",
    "boundary",
    "cross_entropy",
    "dense_crf",
    "dense_crf_logits",
    "dense_potts",
    "distillation",
    "focal",
    "focal_tree_min",
    "gated_potts",
    "hierarchical_softmax",
    "level_cross_entropy",
    "lovasz",
    "mask_classification",
    "near_boundary",
    "node_focal",
    "smooth_crf",
    "smooth_crf_logits",
    "soft_dice",
    "tree_cross_entropy",
    "tree_dice",
    "tree_min",
    "tree_triplet",
    "tversky",
    "with_background",
]
