"""From one score for every node to one logit for every leaf, as graphs that ONNX can hold.

Node logits are (N, V, H, W) in the channel order of `figureground.labels.nodes`.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from figureground.labels.nodes import NodeLayout
from figureground.networks.blocks.poincare import wide

Score = Literal["prob", "logit"]

_SHARPNESS = {"prob": 8.0, "logit": 1.0}
"""How fast a leaf's share falls with the distance of its path from the best one."""
_CERTAIN = 1 - 1e-6


def path_sums(scores: Tensor, layout: NodeLayout) -> Tensor:
    """(N, V, H, W) -> (N, leaves, H, W), the sum of the scores on the way from the root to each leaf.

    Every way has one node for each level: a leaf that ends higher is carried down.
    """
    columns = torch.as_tensor(layout.paths.T.copy(), device=scores.device)
    total = scores.index_select(1, columns[0])
    for column in columns[1:]:
        total = total + scores.index_select(1, column)
    return total


class PathInference(nn.Module):
    """The way through the tree with the highest sum of scores (arXiv:2203.14335).

    The background's way is its chain, or its node carried down; without a channel its score at each level is how little
    the best root is there. The leaf logits that come out make a person more probable than not exactly where the best
    way is better than the background's, by the mean margin of a level, and share that out between the leaves by a
    softmax of their sums, so that the most probable leaf is the best way's.

    score: sum sigmoids (`prob`, the paper's scores) or logits (`logit`, the authors' code).
    """

    def __init__(self, layout: NodeLayout, score: Score) -> None:
        super().__init__()
        self.layout = layout
        self.score = score

    def forward(self, nodes: Tensor) -> Tensor:
        """(N, V, H, W) -> (N, leaves, H, W)."""
        logits = wide(nodes)
        scores = logits.sigmoid() if self.score == "prob" else logits
        sums = path_sums(scores, self.layout)
        levels = self.layout.labels.depth
        margin = (sums.amax(1, keepdim=True) - self.background(scores)) / levels
        if self.score == "prob":
            # A margin is 2 p - 1 where the person is there with p and the background with 1 - p.
            certain = margin.clamp(-_CERTAIN, _CERTAIN)
            person = torch.log1p(certain) - torch.log1p(-certain)
        else:
            person = margin / 2
        return person + (_SHARPNESS[self.score] * sums).log_softmax(1)

    def background(self, scores: Tensor) -> Tensor:
        """(N, V, H, W) -> (N, 1, H, W), the sum of the scores on the background's way."""
        levels, path = self.layout.labels.depth, self.layout.background_path
        if not path:
            roots = torch.as_tensor((self.layout.depths == 0).nonzero()[0], device=scores.device)
            best = scores.index_select(1, roots).amax(1, keepdim=True)
            return levels * (1 - best if self.score == "prob" else -best)
        own = scores[:, path[0] : path[-1] + 1].sum(1, keepdim=True)
        return own * (levels / len(path))


class SiblingSoftmax(nn.Module):
    """The probability of a leaf as a product of softmaxes over siblings on the way to it (arXiv:2203.05898)."""

    barred: Tensor

    def __init__(self, layout: NodeLayout) -> None:
        super().__init__()
        self.layout = layout
        most = layout.groups.shape[1]
        width = torch.bincount(torch.as_tensor(layout.siblings))
        filled = torch.arange(most) >= width[:, None]
        self.register_buffer("barred", torch.where(filled, -torch.inf, 0.0), persistent=False)

    def forward(self, nodes: Tensor) -> Tensor:
        """(N, V, H, W) -> (N, leaves, H, W)."""
        logits, layout = wide(nodes), self.layout
        members = torch.as_tensor(layout.groups.flatten(), device=nodes.device)
        grouped = torch.unflatten(logits.index_select(1, members), 1, layout.groups.shape)
        totals = (grouped + self.barred[None, :, :, None, None]).logsumexp(2)
        none = layout.background == "none"
        if none:
            totals = torch.cat((torch.logaddexp(totals[:, :1], torch.zeros_like(totals[:, :1])), totals[:, 1:]), 1)
        siblings = torch.as_tensor(layout.siblings, device=nodes.device)
        # A leaf that ends higher is carried down, and has nothing to be told from there.
        given_parent = torch.cat((logits - totals.index_select(1, siblings), torch.zeros_like(logits[:, :1])), 1)
        return self._down(given_parent) - (-totals[:, :1] if none else self._background(given_parent))

    def _down(self, given_parent: Tensor) -> Tensor:
        paths = self.layout.paths.copy()
        repeated = paths[:, 1:] == paths[:, :-1]
        paths[:, 1:][repeated] = len(self.layout)
        columns = torch.as_tensor(paths.T.copy(), device=given_parent.device)
        total = given_parent.index_select(1, columns[0])
        for column in columns[1:]:
            total = total + given_parent.index_select(1, column)
        return total

    def _background(self, given_parent: Tensor) -> Tensor:
        path = self.layout.background_path
        return given_parent[:, path[0] : path[-1] + 1].sum(1, keepdim=True)
