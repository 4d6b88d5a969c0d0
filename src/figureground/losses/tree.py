"""Losses over a label tree whose targets may name any node: a leaf, or an inner node where the part is not known.

A target holds `LabelTree.mask_values`: 0 background, k + 1 leaf k, then the inner nodes, 255 not counted. So photos in
which only people are marked and photos with all their parts teach one network. The probability of an inner node is
the sum over the leaves below it, and a pixel known only as an inner node says nothing about the levels below.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from figureground.checks import require_in_range
from figureground.errors import RecipeError
from figureground.labels import LabelTree
from figureground.losses.background import with_background
from figureground.losses.path_cross_entropy import summed_cross_entropy
from figureground.losses.pixel import near_boundary


@dataclass(frozen=True)
class _Tables:
    """The tree as lookups by target value; row 256 - 1 and values that no node has are 'not counted'.

    rows: (levels, 256) int64: 0 for background, 1 + the row in `members` of the node at that level, -1 where it is not
        known.
    inside: (256, nodes) float32: 1 where the pixel is in the node.
    known: (256, nodes) float32: 1 where that is known.
    members: (nodes, leaves) float32, `LabelTree.node_leaf_matrix`.
    """

    rows: torch.Tensor
    inside: torch.Tensor
    known: torch.Tensor
    members: torch.Tensor


@lru_cache(maxsize=32)
def _tables(labels: LabelTree, device: torch.device) -> _Tables:
    values = labels.mask_values()
    members = labels.node_leaf_matrix()
    nodes = len(members)
    rows = np.full((labels.depth, 256), -1)
    inside = np.zeros((256, nodes), np.float32)
    known = np.zeros((256, nodes), np.float32)
    rows[:, 0], known[0] = 0, 1
    for node, name in enumerate(labels.names):
        value, below = values[name], members[node] > 0
        # A node is decided where it has all of the leaves that the pixel may be, or none of them.
        covered = members[:, below].sum(1)
        inside[value] = covered == below.sum()
        known[value] = inside[value] + (covered == 0)
        for level in range(labels.depth):
            for above in labels.level(level):
                if inside[value][labels.index(above.name)]:
                    rows[level, value] = 1 + labels.index(above.name)
    tensors = (rows.astype(np.int64), inside, known, members)
    return _Tables(*(torch.from_numpy(table).to(device) for table in tensors))


def tree_cross_entropy(
    logits: torch.Tensor,
    target: torch.Tensor,
    *,
    labels: LabelTree,
    level_weights: tuple[float, ...] | None = None,
    boundary_weight: float = 0.0,
    boundary_width: int = 5,
) -> torch.Tensor:
    """Cross-entropy at every level of the tree, weighted and summed; with one level it is `cross_entropy`.

    At each level a pixel costs -log of the summed probability of the leaves below its node there (or of the
    background), and nothing where its node at that level is not known.

    Args:
        logits: (N, K, H, W), one map per leaf.
        target: (N, H, W) int64 of `LabelTree.mask_values`, 0 background, 255 not counted.
        labels: the label tree.
        level_weights: one weight per level from the roots down; all 1 unless given. They are divided by their sum.
        boundary_weight: pixels near a change of target count `1 + boundary_weight` times.
        boundary_width: odd side of the neighbourhood that is near, in pixels.

    Raises:
        RecipeError: a number of weights that is not the number of levels, weights that are negative or all zero, or
            an even `boundary_width`.
    """
    require_in_range("boundary_weight", boundary_weight, 0)
    weights = _checked_weights(level_weights, labels.depth)
    tables = _tables(labels, logits.device)
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32)).flatten(2)
    flat = target.flatten(1)
    emphasis = torch.ones_like(flat, dtype=wide.dtype)
    if boundary_weight > 0:
        emphasis = 1 + boundary_weight * near_boundary(target, boundary_width).flatten(1)
    used = [level for level, weight in enumerate(weights) if weight > 0]
    rows = tables.rows[used].index_select(1, flat.flatten()).view(len(used), *flat.shape)
    counted = emphasis * (rows >= 0)
    totals = counted.sum((1, 2), keepdim=True).clamp(min=1)
    shares = wide.new_tensor([weights[level] for level in used]).view(-1, 1, 1) / totals
    return summed_cross_entropy(wide, rows.clamp_(min=0), counted * shares, tables.members.to(wide.dtype))


def _checked_weights(weights: tuple[float, ...] | None, levels: int) -> list[float]:
    given = [1.0] * levels if weights is None else list(weights)
    if len(given) != levels or min(given) < 0 or sum(given) == 0:
        raise RecipeError(
            f"level_weights {given} for a label tree of {levels} levels",
            remedy="give one number per level from the roots down, none negative, not all zero",
        )
    return [weight / sum(given) for weight in given]


def tree_dice(
    logits: torch.Tensor, target: torch.Tensor, *, labels: LabelTree, smooth: float = 1.0, every: int = 1
) -> torch.Tensor:
    """One minus the soft Dice coefficient of every node over the batch, averaged over the nodes of the tree.

    A pixel counts for the nodes that its target decides; with one node this is `soft_dice`.

    Args:
        logits: (N, K, H, W), one map per leaf.
        target: (N, H, W) int64 of `LabelTree.mask_values`, 0 background, 255 not counted.
        labels: the label tree.
        smooth: pixels added to numerator and denominator.
        every: only every so many rows and columns are looked at; 2 takes a quarter of the time.
    """
    tables = _tables(labels, logits.device)
    logits, target = logits[..., ::every, ::every], target[..., ::every, ::every]
    leaves = with_background(logits).softmax(1)[:, 1:].permute(0, 2, 3, 1).flatten(0, 2)
    flat = target.flatten()
    nodes = leaves @ tables.members.T.to(leaves.dtype)
    inside, known = tables.inside[flat], tables.known[flat]
    overlap = (nodes * inside).sum(0)
    total = (nodes * known).sum(0) + inside.sum(0)
    return (1 - (2 * overlap + smooth) / (total + smooth)).mean()
