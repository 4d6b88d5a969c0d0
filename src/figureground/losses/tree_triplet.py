"""Tree-triplet loss: pixels whose parts are near in the tree get embeddings that are near.

Li et al., Deep hierarchical semantic segmentation, arXiv:2203.14335: for a pixel, a positive closer to it in the tree
and a negative further away, the cosine distance to the negative is to exceed the one to the positive by a margin.
What the paper leaves open, or the authors' code does in its own way, are options:

- the margin: `margin_base + margin_scale * (far - near) / (2 * height)` with the tree distances `far` and `near`.
  `margin_scale` 1 is the code's, 0.5 the paper's; `margin` sets a constant one, 0.6 in the code;
- the order: triplets are drawn at random, or `raster` takes the first of each kind from the top of the first image, as
  the code does, which prefers the first images;
- `same_leaf`: whether another pixel of the same leaf is a positive too (the paper's text), against siblings as well, or
  only siblings are (the code);
- `background`: whether background pixels are negatives (the paper's text) or left out (the code for people).

In a tree of more than two levels the positives and negatives of a leaf are told apart at an ancestor that is drawn
anew for each leaf: positives are below it on another branch, negatives are not below it. In the tree of a person
that is the leaf's parent, or the root where the background is in.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from torch.nn import functional as F

from figureground.errors import RecipeError, suggest
from figureground.labels import LabelTree
from figureground.labels.nodes import node_layout

Order = Literal["random", "raster"]


def tree_triplet(
    embedding: torch.Tensor,
    target: torch.Tensor,
    *,
    labels: LabelTree,
    margin: float | None = None,
    margin_base: float = 0.1,
    margin_scale: float = 1.0,
    triplets: int = 200,
    order: Order = "random",
    same_leaf: bool = False,
    background: bool = False,
) -> torch.Tensor:
    """Mean over the leaves that have triplets of the mean over their triplets of `max(near - far + margin, 0)`.

    `near` and `far` are cosine distances, 0 to 2. Each leaf has as many triplets as it has anchors, positives or
    negatives, whichever are fewest, and at most `triplets`. Pixels that are known only as an inner node are left out.
    A batch without a triplet costs nothing and gives a zero gradient, so that processes that train together agree.

    Args:
        embedding: (N, E, h, w); its length is of no matter.
        target: (N, H, W) int64 of `LabelTree.mask_values`; the value of the nearest pixel is taken.
        labels: the label tree.
        margin: a constant margin in place of the tree's.
        margin_base: the part of the margin that all triplets share.
        margin_scale: the part that grows with the difference of the tree distances.
        triplets: most triplets of a leaf.
        order: `random`, drawn with torch's generator, or `raster`.
        same_leaf: other pixels of the leaf are positives too.
        background: background pixels are negatives.

    Raises:
        RecipeError: an unknown order.
    """
    if order not in ("random", "raster"):
        raise RecipeError(f"no order is called {order!r}", remedy=suggest(str(order), ["random", "raster"]))
    small = F.interpolate(target.unsqueeze(1).float(), size=embedding.shape[-2:], mode="nearest-exact")
    value = small.flatten().long()
    pixels = torch.arange(len(value), device=value.device)
    if order == "random":
        pixels = torch.randperm(len(value), device=value.device)
        value = value[pixels]
    leaves, anchor, positive, negative = _triplets(value, labels, triplets, same_leaf, background)
    if len(leaves) == 0:
        return embedding.sum() * 0.0
    one, closer, further = _unit_vectors(embedding, pixels[torch.cat([anchor, positive, negative])]).chunk(3)
    near = 1 - (one * closer).sum(1)
    far = 1 - (one * further).sum(1)
    wanted = (
        near.new_tensor(margin)
        if margin is not None
        else _margin(value[anchor], value[positive], value[negative], labels, margin_base, margin_scale)
    )
    losses = (near - far + wanted).clamp(min=0)
    count = torch.bincount(leaves, minlength=len(labels.leaves)).to(losses.dtype)
    return (losses / count[leaves]).sum() / (count > 0).sum()


def _unit_vectors(embedding: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """(N, E, h, w) and numbers of its N * h * w pixels (T,) -> their vectors of length 1, (T, E) at least float32.

    The few that take part are picked before anything is computed with them: they are far fewer than the pixels.
    """
    image, place = pixels // embedding[0, 0].numel(), pixels % embedding[0, 0].numel()
    vectors = embedding.flatten(2)[image, :, place]
    return F.normalize(vectors.to(torch.promote_types(vectors.dtype, torch.float32)), dim=1, eps=1e-12)


def _margin(
    anchor: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor, labels: LabelTree, base: float, scale: float
) -> torch.Tensor:
    distances = torch.as_tensor(node_layout(labels).distances, device=anchor.device)
    # Where branches differ in depth, a positive may be more edges away than a negative of another branch.
    difference = (distances[anchor, negative] - distances[anchor, positive]).clamp(min=0)
    height = max(1, labels.depth - 1)
    return base + scale * difference / (2 * height)


def _triplets(
    value: torch.Tensor, labels: LabelTree, most: int, same_leaf: bool, background: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Leaf, and pixels taken as anchor, positive and negative, of every triplet: four (T,) int64 tensors."""
    near, far, usable = (table.to(value.device) for table in _relations(labels, same_leaf, background))
    leaves = len(usable)
    # One ancestor for each leaf, drawn among those that have both a positive and a negative leaf in the tree.
    draw = torch.multinomial(usable + 1e-9, 1).squeeze(1)
    row = torch.arange(leaves, device=value.device)
    anchors = value == 1 + row[:, None]
    if same_leaf:
        # The leaf's own pixels are positives too: half are anchors, so that none is its own positive.
        rank = anchors.cumsum(1)
        anchors &= 2 * rank <= 1 + rank[:, -1:]
    positives, negatives = near[row, draw][:, value] & ~anchors, far[row, draw][:, value]
    taken = [_first(pixels, most) for pixels in (anchors, positives, negatives)]
    count = torch.stack([table.ge(0).sum(1) for table in taken]).amin(0)
    leaf, place = torch.nonzero(torch.arange(most, device=value.device) < count[:, None], as_tuple=True)
    anchor, positive, negative = (table[leaf, place] for table in taken)
    return leaf, anchor, positive, negative


def _first(pixels: torch.Tensor, most: int) -> torch.Tensor:
    """(leaves, P) bool -> (leaves, most) the numbers of the first pixels of each row, -1 where there are no more."""
    rank = pixels.cumsum(1)
    row, pixel = torch.nonzero(pixels & (rank <= most), as_tuple=True)
    table = torch.full((len(pixels), most), -1, device=pixels.device)
    table[row, rank[row, pixel] - 1] = pixel
    return table


@lru_cache(maxsize=32)
def _relations(labels: LabelTree, same_leaf: bool, background: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Which target values are positives and negatives of a leaf, told apart at each of its ancestors.

    Two (leaves, levels, 256) bool tables, and (leaves, levels) float32: 1 where the tree has both.
    """
    layout = node_layout(labels)
    leaves, levels = layout.paths.shape
    below = layout.ancestors[:leaves].T
    near = np.zeros((leaves, levels, 256), np.bool_)
    far = np.zeros_like(near)
    for leaf, path in enumerate(layout.paths):
        branch = -1
        for level in range(levels - 1, -1, -1):
            node = path[level]
            if node == branch:
                continue
            if branch >= 0:
                near[leaf, level, 1 : 1 + leaves] = below[node] & ~below[branch]
            near[leaf, level, 1 + leaf] = same_leaf
            far[leaf, level, 1 : 1 + leaves] = ~below[node]
            far[leaf, level, 0] = background
            branch = node
    usable = near.any(-1) & far.any(-1)
    return torch.from_numpy(near), torch.from_numpy(far), torch.from_numpy(usable).float()
