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
from torch.nn import functional as F

from figureground.errors import RecipeError, suggest
from figureground.labels import LabelTree
from figureground.losses.nodes import NodeTables, as_rows, layout_of, least_above, least_below, tables_of

Reduction = Literal["sum_nodes", "level_mean"]

_RIGHT = 1e4
"""A score whose loss is exactly zero."""


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
    tables, flat = tables_of(layout_of(nodes, labels), nodes.device), target.flatten()
    inside = tables.inside.index_select(1, flat)
    losses = _focal(_turned(as_rows(nodes), inside, tables.known.index_select(1, flat)), gamma)
    if alpha is not None:
        losses = losses * torch.where(inside, alpha, 1 - alpha)
    return _reduced(losses.sum(1), flat, tables, reduction)


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
    tables, flat = tables_of(layout_of(nodes, labels), nodes.device), target.flatten()
    rows = as_rows(nodes)
    inside = [tables.inside[channels].index_select(1, flat) for channels in tables.by_depth]
    turned = [
        _turned(rows.index_select(0, channels), seen, tables.known[channels].index_select(1, flat))
        for channels, seen in zip(tables.by_depth, inside, strict=True)
    ]
    above, below = least_above(turned, tables), least_below(turned, tables)
    of_node = [_focal(torch.where(*level), gamma).sum(1) for level in zip(inside, above, below, strict=True)]
    order = torch.cat(tables.by_depth)
    return _reduced(torch.cat(of_node)[order.argsort()], flat, tables, reduction)


def _turned(rows: torch.Tensor, inside: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Scores with their sign changed where the pixel is outside, so that high is right everywhere.

    Then the least above and the highest below both become a minimum. What is not known is as right as can be: it costs
    nothing, has no gradient, and is the minimum of nothing else.
    """
    return torch.where(inside, rows, -rows).masked_fill(~known, _RIGHT)


def _focal(right: torch.Tensor, gamma: float) -> torch.Tensor:
    """-(1 - p)^gamma log p of p = sigmoid(right), elementwise; both factors stay exact where p is near 0 or 1."""
    log_p = F.logsigmoid(right)
    return -log_p if gamma == 0 else -log_p * torch.exp(gamma * (log_p - right))


def _reduced(of_node: torch.Tensor, flat: torch.Tensor, tables: NodeTables, reduction: str) -> torch.Tensor:
    """(V,) sums over the pixels -> the loss."""
    pixels = tables.counted[flat].sum().clamp(min=1)
    if reduction == "sum_nodes":
        return of_node.sum() / pixels
    if reduction == "level_mean":
        return (of_node / torch.bincount(tables.depths)[tables.depths]).sum() / pixels
    raise RecipeError(
        f"no reduction is called {reduction!r}", remedy=suggest(str(reduction), ["sum_nodes", "level_mean"])
    )
