"""A network that scores every node of a tree: which channel is which node, and the tree as tables over channels.

The channels are in the order of `LabelTree.mask_values`: the leaves, then the inner nodes, both as listed. After them
comes the background, which has no channel, one node beside the roots, or a chain of one node for each level.
"""

from __future__ import annotations

import itertools
from functools import cache, cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from figureground.errors import LabelError, suggest
from figureground.labels.tree import LabelTree

__all__ = ["Background", "NodeLayout", "node_layout"]

Background = Literal["none", "node", "chain"]
Indices = NDArray[np.int64]

VALUES = 256
"""Target values there are: those of an 8-bit index map, 255 of which is not counted."""


class NodeLayout:
    """The channels of a network that scores every node. Make one with `node_layout`, which keeps them.

    Attributes:
        labels: the label tree.
        background: how the background is scored.
        parents: (V,) the channel above each channel, -1 for a root.
        background_path: the background's channels from its root down; empty where it has none.
    """

    def __init__(self, labels: LabelTree, background: Background) -> None:
        self.labels = labels
        self.background: Background = background
        values = labels.mask_values()
        by_name = {label.name: label for label in labels.labels}
        nodes = sorted(values, key=lambda name: values[name])
        above = [by_name[name].parent for name in nodes]
        parents = [-1 if parent is None else values[parent] - 1 for parent in above]
        extra = {"none": 0, "node": 1, "chain": labels.depth}[background]
        self.background_path = tuple(range(len(nodes), len(nodes) + extra))
        parents += [-1, *self.background_path[:-1]] if extra else []
        self.parents: Indices = np.array(parents, np.int64)

    def __len__(self) -> int:
        return len(self.parents)

    @cached_property
    def depths(self) -> Indices:
        """(V,) the number of channels above each channel."""
        depths = np.zeros(len(self), np.int64)
        node, above = np.arange(len(self)), self.parents
        while node.size:
            node, above = node[above >= 0], above[above >= 0]
            depths[node] += 1
            above = self.parents[above]
        return depths

    @cached_property
    def ancestors(self) -> NDArray[np.bool_]:
        """(V, V) True where the second channel is the first or lies above it."""
        table = np.eye(len(self), dtype=np.bool_)
        for depth in range(1, int(self.depths.max()) + 1):
            node = np.flatnonzero(self.depths == depth)
            table[node] |= table[self.parents[node]]
        return table

    @cached_property
    def inside(self) -> NDArray[np.bool_]:
        """(256, V) True where a pixel of that target value is in that node, as far as the value tells."""
        return self._decided[0]

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """(256, V) True where a target value tells whether the pixel is in the node. Values without a node: never."""
        return self._decided[1]

    @cached_property
    def _decided(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        # A node is decided where it has all of the leaves that the pixel may be, or none of them.
        inside = np.zeros((VALUES, len(self)), np.bool_)
        known = np.zeros((VALUES, len(self)), np.bool_)
        leaves, nodes = len(self.labels.leaves), len(self.labels)
        members = self.ancestors[:leaves, :nodes].T.astype(np.int64)
        shared = members @ members.T
        size = members.sum(1)
        inside[1 : 1 + nodes, :nodes] = shared == size[:, None]
        known[1 : 1 + nodes, :nodes] = inside[1 : 1 + nodes, :nodes] | (shared == 0)
        known[1 : 1 + nodes, nodes:] = True
        inside[0, nodes:] = known[0] = True
        return inside, known

    @cached_property
    def by_depth(self) -> list[Indices]:
        """The channels at each depth, from the roots down."""
        return [np.flatnonzero(self.depths == depth) for depth in range(int(self.depths.max()) + 1)]

    @cached_property
    def parent_places(self) -> list[Indices]:
        """For each depth below the roots: where in `by_depth` of the depth above the parent of each channel stands."""
        return [np.searchsorted(above, self.parents[below]) for above, below in itertools.pairwise(self.by_depth)]

    @cached_property
    def child_places(self) -> list[tuple[Indices, Indices]]:
        """For each depth but the last: where its inner nodes stand (n,), and their children in the next (n, most).

        Shorter rows are filled up with their first child, so that a minimum over a row is right.
        """
        return [_grouped(np.arange(len(parents)), parents) for parents in self.parent_places]

    @cached_property
    def siblings(self) -> Indices:
        """(V,) the number of the group each channel is in: children of one node, or the roots with the background."""
        return np.unique(self.parents, return_inverse=True)[1].astype(np.int64)

    @cached_property
    def groups(self) -> Indices:
        """(groups, most) the channels of each sibling group; the roots are the first. Filled up as `child_places`."""
        return _grouped(np.arange(len(self)), self.siblings)[1]

    @cached_property
    def paths(self) -> Indices:
        """(leaves, levels) the channels from each leaf's root down to it; a leaf that ends higher is carried down."""
        levels, leaves = self.labels.depth, len(self.labels.leaves)
        table = np.empty((leaves, levels), np.int64)
        node = np.arange(leaves)
        for level in range(levels - 1, -1, -1):
            table[:, level] = node
            node = np.where(self.depths[node] == level, self.parents[node], node)
        return table

    def level(self, level: int) -> tuple[Indices, Indices]:
        """The channels of `LabelTree.level` with the background's channel of that level, if there is one, at the end.

        With them (256,): the place of each target value among them, -1 where the value does not tell. A background
        without a channel has the place after the last.
        """
        values = self.labels.mask_values()
        channels = [values[label.name] - 1 for label in self.labels.level(level)]
        if self.background_path:
            channels.append(self.background_path[min(level, len(self.background_path) - 1)])
        inside = self.inside[:, channels]
        place = np.where(inside.any(1), inside.argmax(1), -1)
        place[0] = len(self.labels.level(level))
        return np.array(channels, np.int64), place.astype(np.int64)

    @cached_property
    def distances(self) -> Indices:
        """(1 + nodes, 1 + nodes) edges between two target values, 0 being background.

        All roots hang below one more node, and the background does too, as far down as the deepest leaf.
        """
        nodes = len(self.labels)
        depths = np.concatenate(([self.labels.depth], 1 + self.depths[:nodes]))
        shared = self.ancestors[:nodes, :nodes].astype(np.int64)
        common = np.zeros((1 + nodes, 1 + nodes), np.int64)
        common[1:, 1:] = shared @ shared.T
        common[0, 0] = self.labels.depth
        return np.asarray(depths[:, None] + depths[None] - 2 * common, np.int64)


def _grouped(members: Indices, keys: Indices) -> tuple[Indices, Indices]:
    """The different keys in order (n,), and the members of each (n, most), filled up with the row's first."""
    found, row = np.unique(keys, return_inverse=True)
    order = np.argsort(row, kind="stable")
    counts = np.bincount(row)
    first = np.cumsum(counts) - counts
    column = np.arange(len(members)) - np.repeat(first, counts)
    table = np.repeat(members[order][first][:, None], counts.max(), axis=1)
    table[row[order], column] = members[order]
    return found, table


@cache
def node_layout(labels: LabelTree, background: Background = "none") -> NodeLayout:
    """The layout of a tree's node channels, made once.

    Raises:
        LabelError: a background that is none of "none", "node" and "chain", or a tree of more than 254 nodes.
    """
    if background not in get_args(Background):
        raise LabelError(f"no background is called {background!r}", remedy=suggest(background, get_args(Background)))
    if len(labels) > VALUES - 2:
        raise LabelError(f"a tree of {len(labels)} nodes does not fit in an index map", remedy=f"at most {VALUES - 2}")
    return NodeLayout(labels, background)
