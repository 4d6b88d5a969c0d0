"""Losses on one score for every node of the tree: one against all, with or without agreement along the tree.

Tree-min and focal tree-min (Li et al., Deep hierarchical semantic segmentation, arXiv:2203.14335). A pixel is in a node
no more than in the nodes above it, and out of a node no more than out of the nodes below it; so the score that is
punished is the least of those above where the pixel is in the node, and the highest of those below where it is not.
Minima are taken of logits, which is the same as of sigmoids and exact in float32. What the paper leaves open:

- the sum over nodes, divided by the pixels (`sum_nodes`, the paper's text), or at each level the mean over nodes and
  pixels, summed over the levels (`level_mean`, the authors' code);
- the background, which has no channel, one, or a chain with one for each level, as the number of channels tells;
- a target that names an inner node says nothing about the nodes below it, which are then left out.
"""

from __future__ import annotations

from typing import Literal

import torch

from figureground.errors import RecipeError, suggest
from figureground.labels import LabelTree
from figureground.losses.node_focal_sum import summed_node_focal
from figureground.losses.nodes import NodeTables, as_columns, layout_of, tables_of

Reduction = Literal["sum_nodes", "level_mean"]


def node_focal(
    nodes: torch.Tensor,
    target: torch.Tensor,
    *,
    labels: LabelTree,
    gamma: float = 2.0,
    alpha: float | None = None,
    reduction: Reduction = "sum_nodes",
) -> torch.Tensor:
    """Focal loss of each node against all others, as if there were no tree (Lin et al., arXiv:1708.02002).

    With `gamma` 0 this is the binary cross-entropy of the nodes.

    Args:
        nodes: (N, V, H, W) logits of the head `nodes`.
        target: (N, H, W) int64 of `LabelTree.mask_values`, 0 background, 255 not counted.
        labels: the label tree.
        gamma: how much less an easy pixel counts; 0 is not at all.
        alpha: weight of pixels in a node, 1 - `alpha` of those outside; None weighs neither.
        reduction: `sum_nodes` or `level_mean`.

    Raises:
        RecipeError: a number of channels that does not fit the tree, or an unknown reduction.
    """
    return _mean(nodes, target, labels, gamma, reduction, alpha=alpha, agree=False)


def tree_min(
    nodes: torch.Tensor, target: torch.Tensor, *, labels: LabelTree, reduction: Reduction = "sum_nodes"
) -> torch.Tensor:
    """Binary cross-entropy of the nodes on scores that agree along the tree; see the module's text.

    Args and errors as of `node_focal`. Never less than its binary cross-entropy, and equal to it where the scores
    already agree.
    """
    return focal_tree_min(nodes, target, labels=labels, gamma=0.0, reduction=reduction)


def focal_tree_min(
    nodes: torch.Tensor,
    target: torch.Tensor,
    *,
    labels: LabelTree,
    gamma: float = 2.0,
    reduction: Reduction = "sum_nodes",
) -> torch.Tensor:
    """Focal loss of the nodes on scores that agree along the tree; see the module's text. Args as of `node_focal`."""
    return _mean(nodes, target, labels, gamma, reduction, agree=True)


def _mean(
    nodes: torch.Tensor,
    target: torch.Tensor,
    labels: LabelTree,
    gamma: float,
    reduction: str,
    *,
    alpha: float | None = None,
    agree: bool,
) -> torch.Tensor:
    tables = tables_of(layout_of(nodes, labels), nodes.device)
    wide, flat = as_columns(nodes, target)
    weights = tables.known.to(wide.dtype) * _shares(tables, reduction).to(wide.dtype).unsqueeze(1)
    if alpha is not None:
        weights = weights * torch.where(tables.inside, alpha, 1 - alpha)
    total = summed_node_focal(wide, flat, weights, tables, gamma=gamma, agree=agree)
    return total / tables.counted[flat].sum().clamp(min=1)


def _shares(tables: NodeTables, reduction: str) -> torch.Tensor:
    """(V,) what each node counts."""
    if reduction == "sum_nodes":
        return torch.ones(len(tables.depths), device=tables.depths.device)
    if reduction == "level_mean":
        return 1 / torch.bincount(tables.depths)[tables.depths].double()
    raise RecipeError(
        f"no reduction is called {reduction!r}", remedy=suggest(str(reduction), ["sum_nodes", "level_mean"])
    )
