"""What the losses on node logits share: the tables of the tree on the right device, pixels as columns.

Node logits are (N, V, H, W) in the channel order of `figureground.labels.nodes`: leaves, inner nodes, background. Their
number tells how the background is scored. Inside the losses they are (V, P), one row for each node and one column for
each pixel, because then all that is done along the tree is done to whole rows.
"""

from __future__ import annotations

import itertools
from functools import lru_cache

import torch

from figureground.errors import RecipeError
from figureground.labels import LabelTree
from figureground.labels.nodes import Background, NodeLayout, node_layout


def layout_of(nodes: torch.Tensor, labels: LabelTree) -> NodeLayout:
    """The layout of (N, V, H, W) node logits, told by V.

    Raises:
        RecipeError: a number of channels that no background makes.
    """
    wanted: dict[int, Background] = {len(labels) + labels.depth: "chain", len(labels) + 1: "node", len(labels): "none"}
    if nodes.shape[1] not in wanted:
        raise RecipeError(
            f"{nodes.shape[1]} node logits for a label tree of {len(labels)} nodes",
            remedy=f"give {' or '.join(map(str, sorted(wanted)))} channels, with head.name 'nodes' in a recipe",
        )
    return node_layout(labels, wanted[nodes.shape[1]])


class NodeTables:
    """The tables of a layout on a device, made by `tables_of`.

    Attributes:
        inside: (V, 256) bool, `NodeLayout.inside` the other way round.
        known: (V, 256) float32 of 0 and 1, `NodeLayout.known` the other way round.
        counted: (256,) float32 of 0 and 1, whether a target value tells anything.
        depths: `NodeLayout.depths`.
        order: (V,) the channels by depth, from the roots down; what follows numbers them in that order.
        place: (V,) where each channel stands in `order`.
        climbs: for each depth below the roots, its rows and (n,) their parents.
        descents: for each depth but the last, its inner nodes (n,) and their children (n, most).
        siblings: `NodeLayout.siblings`.
        groups: `NodeLayout.groups`.
    """

    def __init__(self, layout: NodeLayout, device: torch.device) -> None:
        def moved(array: object) -> torch.Tensor:
            return torch.as_tensor(array, device=device)

        self.layout = layout
        self.inside, self.known = moved(layout.inside.T.copy()), moved(layout.known.T.copy()).float()
        self.counted = self.known.amax(0)
        self.depths = moved(layout.depths)
        self.order = torch.cat([moved(channels) for channels in layout.by_depth])
        self.place = self.order.argsort()
        starts = [0, *itertools.accumulate(len(channels) for channels in layout.by_depth)]
        self.climbs = [
            (slice(starts[depth + 1], starts[depth + 2]), starts[depth] + moved(parents))
            for depth, parents in enumerate(layout.parent_places)
        ]
        self.descents = [
            (starts[depth] + moved(inner), starts[depth + 1] + moved(children))
            for depth, (inner, children) in enumerate(layout.child_places)
        ]
        self.siblings, self.groups = moved(layout.siblings), moved(layout.groups)


@lru_cache(maxsize=64)
def tables_of(layout: NodeLayout, device: torch.device) -> NodeTables:
    """The tables of `layout` on `device`, made once."""
    return NodeTables(layout, device)


def as_columns(nodes: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, V, H, W) and (N, H, W) -> (N, V, P) in float32 or more, and (N, P).

    Raises:
        RecipeError: they are of different sizes.
    """
    if nodes.shape[:1] + nodes.shape[2:] != target.shape:
        raise RecipeError(f"node logits of {tuple(nodes.shape)} for a target of {tuple(target.shape)}")
    return nodes.to(torch.promote_types(nodes.dtype, torch.float32)).flatten(2).contiguous(), target.flatten(1)


def as_rows(nodes: torch.Tensor) -> torch.Tensor:
    """(N, V, H, W) -> (V, P) in float32 or more: bfloat16 can neither sum over pixels nor tell scores near 1 apart."""
    wide = nodes.to(torch.promote_types(nodes.dtype, torch.float32))
    return wide.transpose(0, 1).reshape(nodes.shape[1], -1)
