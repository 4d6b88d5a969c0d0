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

from typing import Any, Literal

import torch
from torch.nn import functional as F

from figureground.errors import RecipeError, suggest
from figureground.labels import LabelTree
from figureground.losses.nodes import NodeTables, as_rows, layout_of, least_above, least_below, tables_of

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
    tables, flat = tables_of(layout_of(nodes, labels), nodes.device), target.flatten()
    sign, free = tables.sign.index_select(1, flat), tables.free.index_select(1, flat)
    weight = None if alpha is None else torch.where(sign > 0, alpha, 1 - alpha)
    of_node = _summed_focal(torch.addcmul(free, as_rows(nodes), sign), gamma, weight)
    return _reduced(of_node, flat, tables, reduction)


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
    signs = [tables.sign[channels].index_select(1, flat) for channels in tables.by_depth]
    # With the sign changed where the pixel is outside, high is right everywhere, and the least above and the highest
    # below both become a minimum.
    right = [
        torch.addcmul(tables.free[channels].index_select(1, flat), rows.index_select(0, channels), sign)
        for channels, sign in zip(tables.by_depth, signs, strict=True)
    ]
    above, below = least_above(right, tables), least_below(right, tables)
    of_node = [
        _summed_focal(up if up is down else torch.where(sign > 0, up, down), gamma)
        for sign, up, down in zip(signs, above, below, strict=True)
    ]
    order = torch.cat(tables.by_depth)
    return _reduced(torch.cat(of_node)[order.argsort()], flat, tables, reduction)


def _summed_focal(right: torch.Tensor, gamma: float, weight: torch.Tensor | None = None) -> torch.Tensor:
    """(V, P) -> (V,), -(1 - p)^gamma log p of p = sigmoid(right), summed over the pixels."""
    summed: torch.Tensor = _SummedFocal.apply(right, gamma, weight)
    return summed


class _SummedFocal(torch.autograd.Function):
    """The sum and its slope in one walk over the pixels: a third of the passes that autograd would make.

    The slope of a pixel is (1 - p)^gamma (gamma p log p + p - 1). log p and 1 - p stay exact where p is near 0 or 1.
    """

    @staticmethod
    def forward(ctx: Any, right: torch.Tensor, gamma: float, weight: torch.Tensor | None) -> torch.Tensor:
        log_p = F.logsigmoid(right)
        miss = torch.exp(log_p - right)
        factor = miss**gamma if gamma else torch.ones_like(miss)
        if weight is not None:
            factor = factor * weight
        if ctx.needs_input_grad[0]:
            slope = torch.addcmul(log_p, log_p, miss, value=-1).mul_(gamma).sub_(miss).mul_(factor)
            ctx.save_for_backward(slope)
        return factor.mul_(log_p).sum(1).neg_()

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        return slope * grads[0][:, None], None, None


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
