"""Cross-entropies of softmaxes over siblings, down the path of each pixel, with their gradient in one walk.

The same as what autograd makes of one log-softmax for each group of siblings, but only the groups on a pixel's path are
counted, and pixels come in blocks that stay in the processor's cache.
"""

from __future__ import annotations

from typing import Any

import torch

from figureground.losses.blocks import blocks
from figureground.losses.nodes import NodeTables


def summed_sibling_cross_entropy(logits: torch.Tensor, target: torch.Tensor, tables: NodeTables) -> torch.Tensor:
    """Sum over pixels of -log of the probability of the target's node, a product of softmaxes; scalar.

    Args:
        logits: (N, V, P) of the nodes, float32 or float64.
        target: (N, P) int64, values of `LabelTree.mask_values`; those that tell nothing cost nothing.
        tables: of the layout of the nodes.
    """
    inside = (tables.inside * tables.counted).to(logits.dtype)
    # Which softmaxes a target's path goes through: those with a member in it, and for background that of the roots.
    through = (
        inside.new_zeros((len(tables.groups), inside.shape[1])).index_add_(0, tables.siblings, inside).clamp_(max=1)
    )
    beside_roots = tables.layout.background == "none"
    if beside_roots:
        through[0, 0] = 1
    total: torch.Tensor = _Summed.apply(logits, target, inside, through, tables, beside_roots)
    return total


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        logits: torch.Tensor,
        target: torch.Tensor,
        inside: torch.Tensor,
        through: torch.Tensor,
        tables: NodeTables,
        beside_roots: bool,
    ) -> torch.Tensor:
        slope = torch.empty_like(logits)
        total = logits.new_zeros(())
        for image, block in blocks(logits):
            values, rows = target[image, block], logits[image, :, block]
            on_path = inside.gather(1, values.expand(len(inside), -1))
            counted = through.gather(1, values.expand(len(through), -1))
            totals, shares = _softmaxes(rows, tables, beside_roots)
            total += (counted * totals).sum() - (on_path * rows).sum()
            torch.sub(shares.mul_(counted.index_select(0, tables.siblings)), on_path, out=slope[image, :, block])
        ctx.save_for_backward(slope)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None, None, None, None]:
        (slope,) = ctx.saved_tensors
        return slope * grads[0], None, None, None, None, None


def _softmaxes(rows: torch.Tensor, tables: NodeTables, beside_roots: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """(V, p) -> (G, p) logs of the sums of exponentials of each group, and (V, p) probabilities given the parent.

    `beside_roots`: the background is a sibling of the roots with the logit 0.
    """
    groups, siblings = tables.groups, tables.siblings
    highest = rows.index_select(0, groups.flatten()).view(*groups.shape, -1).amax(1)
    sums = torch.zeros_like(highest)
    if beside_roots:
        highest[0].clamp_(min=0)
        torch.exp(-highest[0], out=sums[0])
    powers = (rows - highest.index_select(0, siblings)).exp_()
    sums.index_add_(0, siblings, powers)
    return highest + sums.log(), powers.div_(sums.index_select(0, siblings))
