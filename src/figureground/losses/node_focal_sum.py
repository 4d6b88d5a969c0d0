"""The focal loss of every node of a tree, with its gradient in one walk over the pixels.

What tree-min takes for a node's score depends on the pixel only through its sign: where the pixel is in the node it is
in all nodes above, and the score is the least logit of those; where it is outside it is outside of all below, and the
score is their highest logit. So both are computed for all nodes at once, and the slope goes to whichever logit was
taken. Pixels come in blocks that stay in the processor's cache.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from figureground.losses.blocks import blocks
from figureground.losses.nodes import NodeTables


def summed_node_focal(
    nodes: torch.Tensor, target: torch.Tensor, weights: torch.Tensor, tables: NodeTables, *, gamma: float, agree: bool
) -> torch.Tensor:
    """Sum over nodes and pixels of weight times -(1 - p)^gamma log p; scalar.

    p is the probability that the node is right about the pixel: the sigmoid of its score inside, one minus it outside.

    Args:
        nodes: (N, V, P) logits in the channel order of the tables, float32 or float64.
        target: (N, P) int64 of `LabelTree.mask_values`.
        weights: (V, 256), what a node counts at a target value; 0 where that does not tell.
        tables: of the layout of the nodes.
        gamma: how much less an easy pixel counts.
        agree: score a node by tree-min instead of by its own logit.
    """
    total: torch.Tensor = _Summed.apply(nodes, target, weights, tables, gamma, agree)
    return total


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        nodes: torch.Tensor,
        target: torch.Tensor,
        weights: torch.Tensor,
        tables: NodeTables,
        gamma: float,
        agree: bool,
    ) -> torch.Tensor:
        slope = torch.empty_like(nodes)
        total = nodes.new_zeros(())
        # Rows by depth, so that the nodes of one depth are a slice. One table tells whether a pixel is inside, by the
        # sign, and what that counts. Truth values are floats: on a CPU, comparing and choosing by bools is slower.
        signed = torch.where(tables.inside, weights, -weights)[tables.order]
        for image, block in blocks(nodes):
            looked_up = signed.gather(1, target[image, block].expand(len(signed), -1))
            inside = torch.gt(looked_up, 0, out=torch.empty_like(looked_up))
            weight = looked_up.abs_()
            logits = nodes[image, :, block].index_select(0, tables.order)
            if agree:
                above, below = _least_above(logits, tables), _highest_below(logits, tables)
                part, steep = _focal(torch.lerp(-below, above, inside), weight, gamma)
                of_inside = steep * inside
                of_outside = steep.sub_(of_inside)
                steep = _to_above(of_inside, logits, above, tables).sub_(_to_below(of_outside, logits, below, tables))
            else:
                sign = inside.mul_(2).sub_(1)
                part, steep = _focal(logits.mul_(sign), weight, gamma)
                steep.mul_(sign)
            total += part
            slope[image, :, block] = steep.index_select(0, tables.place)
        ctx.save_for_backward(slope)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (slope,) = ctx.saved_tensors
        return slope * grads[0], None, None, None, None, None


def _focal(right: torch.Tensor, weight: torch.Tensor, gamma: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The weighted sum of -(1 - p)^gamma log p over p = sigmoid(right), and its slope.

    The slope is (1 - p)^gamma (gamma p log p + p - 1). log p and 1 - p stay exact where p is near 0 or 1.
    """
    log_p = F.logsigmoid(right)
    if gamma == 0:
        miss = torch.sigmoid(-right).mul_(weight)
        return -(log_p.mul_(weight)).sum(), miss.neg_()
    miss = torch.sigmoid(-right)
    factor = (miss.square() if gamma == 2 else miss**gamma).mul_(weight)
    slope = torch.addcmul(log_p, log_p, miss, value=-1).mul_(gamma).sub_(miss).mul_(factor)
    return -(factor.mul_(log_p)).sum(), slope


def _least_above(logits: torch.Tensor, tables: NodeTables) -> torch.Tensor:
    """(V, p) rows by depth -> the least on the way from each node up to its root, the node included."""
    least = logits.clone()
    for rows, parents in tables.climbs:
        torch.minimum(least[rows], least.index_select(0, parents), out=least[rows])
    return least


def _highest_below(logits: torch.Tensor, tables: NodeTables) -> torch.Tensor:
    """(V, p) rows by depth -> the highest in the subtree of each node, the node included."""
    highest = logits.clone()
    for inner, children in reversed(tables.descents):
        of_children = highest.index_select(0, children.flatten()).view(*children.shape, -1).amax(1)
        highest.index_copy_(0, inner, torch.maximum(highest.index_select(0, inner), of_children))
    return highest


def _to_above(slope: torch.Tensor, logits: torch.Tensor, least: torch.Tensor, tables: NodeTables) -> torch.Tensor:
    """Hand each node's slope up to the node whose logit `_least_above` took, in place."""
    for rows, parents in reversed(tables.climbs):
        passed = torch.lt(least[rows], logits[rows], out=torch.empty_like(slope[rows])).mul_(slope[rows])
        slope[rows] -= passed
        slope.index_add_(0, parents, passed)
    return slope


def _to_below(slope: torch.Tensor, logits: torch.Tensor, highest: torch.Tensor, tables: NodeTables) -> torch.Tensor:
    """Hand each node's slope down to the node whose logit `_highest_below` took, in place; ties share it."""
    for inner, children in tables.descents:
        highest_here = highest.index_select(0, inner)
        passed = torch.gt(highest_here, logits.index_select(0, inner), out=torch.empty_like(highest_here))
        passed.mul_(slope.index_select(0, inner))
        slope.index_add_(0, inner, passed, alpha=-1)
        of_children = highest.index_select(0, children.flatten()).view(*children.shape, -1)
        taken = torch.eq(of_children, highest_here.unsqueeze(1), out=torch.empty_like(of_children))
        passed /= taken.sum(1).clamp_(min=1)
        slope.index_add_(0, children.flatten(), taken.mul_(passed.unsqueeze(1)).flatten(0, 1))
    return slope
