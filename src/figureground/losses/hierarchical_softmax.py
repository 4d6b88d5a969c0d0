"""Softmax losses on one logit for every node of the tree.

The hierarchical softmax is the one of hyperbolic segmentation (Atigh et al., Hyperbolic image segmentation,
arXiv:2203.05898): the probability of a node given its parent is a softmax over siblings, the background being a sibling
of the roots. Where it differs on purpose: each group has its own log-softmax. The authors subtract the largest of all
logits, so that a group far below it is lost, and clamp what comes out.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from figureground.labels import LabelTree
from figureground.losses.nodes import as_columns, as_rows, layout_of, tables_of
from figureground.losses.sibling_cross_entropy import summed_sibling_cross_entropy


def hierarchical_softmax(nodes: torch.Tensor, target: torch.Tensor, *, labels: LabelTree) -> torch.Tensor:
    """Mean over the pixels of -log of the probability of the target's node, a product of softmaxes down the tree.

    A target that names an inner node costs the product down to that node. Without a channel of its own the background
    has the logit 0 among the roots. With one level this is the cross-entropy.

    Args:
        nodes: (N, V, H, W) logits of the head `nodes`, or of `hyperbolic` over the whole tree.
        target: (N, H, W) int64 of `LabelTree.mask_values`, 0 background, 255 not counted.
        labels: the label tree.

    Raises:
        RecipeError: a number of channels that does not fit the tree.
    """
    tables = tables_of(layout_of(nodes, labels), nodes.device)
    wide, flat = as_columns(nodes, target)
    return summed_sibling_cross_entropy(wide, flat, tables) / tables.counted[flat].sum().clamp(min=1)


def level_cross_entropy(nodes: torch.Tensor, target: torch.Tensor, *, labels: LabelTree) -> torch.Tensor:
    """Cross-entropy of a softmax over the nodes of each level, summed over the levels, as HSSN's code adds it.

    The code of arXiv:2203.14335 trains the scores of all nodes with it besides tree-min. At each level the candidates
    are `LabelTree.level` and the background: its node of that level, its only node, or a logit of 0. A pixel whose node
    at a level is not known costs nothing there. `tree_cross_entropy` is the one on leaf logits, which agree by
    themselves.

    Args and errors as of `hierarchical_softmax`.
    """
    layout = layout_of(nodes, labels)
    rows, flat = as_rows(nodes), target.flatten()
    total = rows.new_zeros(())
    for level in range(labels.depth):
        channels, place = (torch.as_tensor(table, device=rows.device) for table in layout.level(level))
        scores = rows.index_select(0, channels)
        if layout.background == "none":
            scores = torch.cat((scores, torch.zeros_like(scores[:1])))
        wanted = place[flat]
        losses = F.cross_entropy(scores.T, wanted, ignore_index=-1, reduction="sum")
        total = total + losses / (wanted >= 0).sum().clamp(min=1)
    return total
