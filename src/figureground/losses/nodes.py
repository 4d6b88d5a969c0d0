"""What the losses on node logits share: the tables of the tree on the right device, pixels as columns, minima along it.

Node logits are (N, V, H, W) in the channel order of `figureground.labels.nodes`: leaves, inner nodes, background. Their
number tells how the background is scored. Inside the losses they are (V, P), one row for each node and one column for
each pixel, because then all that is done along the tree is done to whole rows.
"""

from __future__ import annotations

from functools import lru_cache

import torch

from figureground.errors import RecipeError
from figureground.labels import LabelTree
from figureground.labels.nodes import Background, NodeLayout, node_layout

_FREE = 1e4
"""A score whose loss is exactly zero."""


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
        sign: (V, 256) float32, 1 inside, -1 outside, 0 where the value does not tell.
        free: (V, 256) float32, 0 where it tells, else a score so high that it costs nothing and is no minimum.
        counted: (256,) float32 of 0 and 1, whether a target value tells anything.
        depths: `NodeLayout.depths`.
        by_depth: `NodeLayout.by_depth`.
        parent_places: `NodeLayout.parent_places`.
        child_places: `NodeLayout.child_places`.
        siblings: `NodeLayout.siblings`.
        groups: `NodeLayout.groups`.
    """

    def __init__(self, layout: NodeLayout, device: torch.device) -> None:
        def moved(array: object) -> torch.Tensor:
            return torch.as_tensor(array, device=device)

        self.layout = layout
        self.inside, known = moved(layout.inside.T.copy()), moved(layout.known.T.copy())
        self.sign = torch.where(self.inside, 1.0, -1.0) * known
        self.free = torch.where(known, 0.0, _FREE)
        self.counted = known.any(0).float()
        self.depths = moved(layout.depths)
        self.by_depth = [moved(channels) for channels in layout.by_depth]
        self.parent_places = [moved(places) for places in layout.parent_places]
        self.child_places = [(moved(nodes), moved(children)) for nodes, children in layout.child_places]
        self.siblings, self.groups = moved(layout.siblings), moved(layout.groups)


@lru_cache(maxsize=64)
def tables_of(layout: NodeLayout, device: torch.device) -> NodeTables:
    """The tables of `layout` on `device`, made once."""
    return NodeTables(layout, device)


def as_rows(nodes: torch.Tensor) -> torch.Tensor:
    """(N, V, H, W) -> (V, P) in float32 or more: bfloat16 can neither sum over pixels nor tell scores near 1 apart."""
    wide = nodes.to(torch.promote_types(nodes.dtype, torch.float32))
    return wide.transpose(0, 1).reshape(nodes.shape[1], -1)


def least_above(levels: list[torch.Tensor], tables: NodeTables) -> list[torch.Tensor]:
    """Rows of each depth -> the least value on the way from each node up to its root, the node included."""
    found = levels[:1]
    for rows, parents in zip(levels[1:], tables.parent_places, strict=True):
        found.append(torch.minimum(rows, found[-1].index_select(0, parents)))
    return found


def least_below(levels: list[torch.Tensor], tables: NodeTables) -> list[torch.Tensor]:
    """Rows of each depth -> the least value in the subtree of each node, the node included."""
    found = levels[-1:]
    for rows, (nodes, children) in zip(levels[-2::-1], tables.child_places[::-1], strict=True):
        lowest = found[-1].index_select(0, children.flatten()).view(*children.shape, -1).amin(1)
        lowest = torch.minimum(rows.index_select(0, nodes), lowest)
        found.append(lowest if len(nodes) == len(rows) else rows.index_copy(0, nodes, lowest))
    return found[::-1]
