"""The label tree itself: who is above, below and beside whom, as names and as matrices."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.errors import LabelError, suggest
from figureground.labels.label import Label, check_labels, parent_indices
from figureground.labels.parsing import entries_of, entry_of, load_file, parse_labels
from figureground.labels.shipped import shipped_tree

__all__ = ["LabelTree"]


class LabelTree:
    """An immutable tree (or forest) of labels in a fixed order.

    Nodes keep the order in which they were listed, a parent may come after its children. Two trees are equal when their
    labels and the order are.

    Raises:
        LabelError: the list is empty, a name or colour comes twice, a parent or mirror partner is unknown, the
            parents run in a circle, or the mirror partners do not mirror the tree. The message names the entry.
    """

    def __init__(self, labels: Sequence[Label]) -> None:
        self._labels = tuple(labels)
        check_labels(self._labels, [f"label {i + 1} ('{label.name}')" for i, label in enumerate(self._labels)])
        self._index = {label.name: i for i, label in enumerate(self._labels)}
        self._parents = parent_indices(self._labels, self._index)
        self._depths = _depths(self._parents)
        inner = set(self._parents)
        self._leaf_indices = [i for i in range(len(self._labels)) if i not in inner]

    @classmethod
    def person(cls) -> LabelTree:
        """Return the tree of one label, `person`, that the person networks predict."""
        return cls.named("person")

    @classmethod
    def named(cls, name: str) -> LabelTree:
        """Return a tree that comes with the package, such as "pascal-person-part"; `shipped_trees` lists them.

        Raises:
            LabelError: no shipped tree has that name.
        """
        return cls.from_dict(shipped_tree(name))

    @classmethod
    def find(cls, name_or_file: str) -> LabelTree:
        """Return what a user means by it: a tree that comes with the package, or else a file for `from_yaml`.

        Raises:
            LabelError: no shipped tree of that name and no such file, or what `from_yaml` raises.
            MissingExtraError: as `from_yaml`.
        """
        looks_like_file = Path(name_or_file).suffix in (".yaml", ".yml", ".json") or os.sep in name_or_file
        return cls.from_yaml(name_or_file) if looks_like_file else cls.named(name_or_file)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LabelTree:
        """Build a tree from what `to_dict` gives: {"labels": [{"name": ..., "color": [r, g, b], ...}, ...]}."""
        entries = entries_of(data, "the label tree")
        places = [f"label {i + 1}" for i in range(len(entries))]
        return cls(parse_labels(entries, places))

    @classmethod
    def from_yaml(cls, path: str | PathLike[str]) -> LabelTree:
        """Read a tree from a YAML (or JSON) file laid out as in `from_dict`; errors name the file and the line.

        Raises:
            LabelError: the file cannot be read, is not YAML, or does not hold a sound tree.
            MissingExtraError: PyYAML is not installed and the file is not JSON.
        """
        entries, places = load_file(path)
        labels = parse_labels(entries, places)
        check_labels(labels, [f"{place} ('{label.name}')" for place, label in zip(places, labels, strict=True)])
        return cls(labels)

    def to_dict(self) -> dict[str, Any]:
        """Return the tree as plain lists, strings and integers, ready for JSON or YAML."""
        return {"labels": [entry_of(label) for label in self._labels]}

    @property
    def labels(self) -> tuple[Label, ...]:
        """All nodes in listed order."""
        return self._labels

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all nodes in listed order."""
        return tuple(self._index)

    @property
    def roots(self) -> tuple[Label, ...]:
        """The nodes without a parent, in listed order."""
        return tuple(label for label in self._labels if label.parent is None)

    @property
    def leaves(self) -> tuple[Label, ...]:
        """The nodes without children, in listed order; a network has one logit map for each."""
        return tuple(self._labels[i] for i in self._leaf_indices)

    @property
    def depth(self) -> int:
        """The number of levels: 1 when every node is a root."""
        return max(self._depths) + 1

    def index(self, name: str) -> int:
        """Return the position of a node in `labels`; raises LabelError for an unknown name."""
        try:
            return self._index[name]
        except KeyError:
            raise LabelError(f"no label '{name}' in the tree", remedy=suggest(name, self._index)) from None

    def children(self, name: str) -> tuple[Label, ...]:
        """Return the nodes directly below `name`, in listed order."""
        node = self.index(name)
        return tuple(label for label, parent in zip(self._labels, self._parents, strict=True) if parent == node)

    def ancestors(self, name: str) -> tuple[Label, ...]:
        """Return the nodes above `name`, from its parent to its root."""
        found = []
        node = self._parents[self.index(name)]
        while node >= 0:
            found.append(self._labels[node])
            node = self._parents[node]
        return tuple(found)

    def leaves_under(self, name: str) -> tuple[Label, ...]:
        """Return the leaves that make up `name`, in listed order; a leaf is made up of itself."""
        row = self.node_leaf_matrix()[self.index(name)]
        return tuple(leaf for leaf, below in zip(self.leaves, row, strict=True) if below)

    def level(self, i: int) -> tuple[Label, ...]:
        """Return the nodes at depth `i` (0 holds the roots), in listed order.

        A leaf that ends higher is carried down, so every level covers the whole figure and the last one is `leaves`.
        """
        if not 0 <= i < self.depth:
            raise LabelError(f"the label tree has no level {i}", remedy=f"levels run from 0 to {self.depth - 1}")
        leaves = set(self._leaf_indices)
        return tuple(
            label
            for node, (label, depth) in enumerate(zip(self._labels, self._depths, strict=True))
            if depth == i or (depth < i and node in leaves)
        )

    def node_leaf_matrix(self) -> NDArray[np.float32]:
        """Return the (nodes, leaves) matrix that is 1 where the leaf is the node or lies below it, else 0."""
        matrix = np.zeros((len(self._labels), len(self._leaf_indices)), dtype=np.float32)
        parents = np.array(self._parents)
        node, leaf = np.array(self._leaf_indices), np.arange(len(self._leaf_indices))
        while node.size:
            matrix[node, leaf] = 1
            node = parents[node]
            node, leaf = node[node >= 0], leaf[node >= 0]
        return matrix

    def mask_values(self) -> dict[str, int]:
        """Return the number that stands for each node in an index map: k + 1 for leaf k, inner nodes after the leaves.

        0 is background. An inner node's number says that somebody is there and not which part: a photo in which only
        people are marked teaches a network of parts too.
        """
        leaves = set(self._leaf_indices)
        inner = [i for i in range(len(self._labels)) if i not in leaves]
        return {self._labels[node].name: 1 + i for i, node in enumerate([*self._leaf_indices, *inner])}

    def level_lookup(self, i: int) -> NDArray[np.int64]:
        """Return what each number of `mask_values` is at depth `i`: (1 + nodes,), so that `lookup[index_map]` says it.

        k + 1 stands for `level(i)[k]` and 0 for background. -1 stands for not known: the number is that of an inner
        node above the level.
        """
        position = {node.name: k + 1 for k, node in enumerate(self.level(i))}
        lookup = np.zeros(1 + len(self), np.int64)
        for name, value in self.mask_values().items():
            path = [name, *(above.name for above in self.ancestors(name))][::-1]
            lookup[value] = position.get(path[min(i, len(path) - 1)], -1)
        return lookup

    def merge(self, masks: Mapping[str, NDArray[np.bool_]]) -> NDArray[np.int64]:
        """Lay masks of labels, bool (H, W) each, over one another: one index map (H, W) of `mask_values`.

        The merge order is the order of the list: where masks overlap, the label that is listed later covers the earlier
        one, as eyes cover the face. An inner node covers nothing: it says that somebody is there where no leaf does.

        Raises:
            LabelError: an unknown name, no masks, or masks that are not of one size.
        """
        sizes = {mask.shape for mask in masks.values()}
        if len(sizes) != 1:
            raise LabelError(f"masks of one size are needed to merge them, got {sorted(sizes)}")
        merged = np.zeros(sizes.pop(), np.int64)
        nodes = {self.index(name) for name in masks}
        inner = sorted(nodes - set(self._leaf_indices), key=lambda node: (self._depths[node], node))
        values = self.mask_values()
        for node in [*inner, *sorted(nodes & set(self._leaf_indices))]:
            name = self._labels[node].name
            merged[masks[name]] = values[name]
        return merged

    def nodes_from_leaves(self, p: NDArray[Any]) -> NDArray[Any]:
        """Sum leaf probabilities (leaves, H, W) into node probabilities (nodes, H, W), in `labels` order.

        A sum of leaves can pass 1 by rounding. Floating types keep their precision.
        """
        if p.ndim < 1 or p.shape[0] != len(self._leaf_indices):
            raise LabelError(f"expected {len(self._leaf_indices)} leaf maps, got an array of shape {p.shape}")
        matrix = self.node_leaf_matrix().astype(p.dtype if p.dtype.kind == "f" else np.float32)
        return np.tensordot(matrix, p, axes=1)

    def flip_permutation(self) -> list[int]:
        """Return, for each leaf, the position of the leaf that it becomes when the photo is mirrored.

        With `m` the leaf maps of a mirrored photo, `m[permutation][..., ::-1]` are those of the photo itself.
        """
        position = {leaf.name: i for i, leaf in enumerate(self.leaves)}
        return [position[leaf.flip or leaf.name] for leaf in self.leaves]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LabelTree) and self._labels == other._labels

    def __hash__(self) -> int:
        return hash(self._labels)

    def __len__(self) -> int:
        return len(self._labels)

    def __repr__(self) -> str:
        return f"LabelTree({', '.join(self._index)})"


def _depths(parents: Sequence[int]) -> list[int]:
    depths = [-1] * len(parents)
    for start in range(len(parents)):
        # Climb to the first node whose depth is known, then number the way back: linear, without recursion.
        path = []
        node = start
        while node >= 0 and depths[node] < 0:
            path.append(node)
            node = parents[node]
        above = depths[node] if node >= 0 else -1
        for step, below in enumerate(reversed(path), start=1):
            depths[below] = above + step
    return depths
