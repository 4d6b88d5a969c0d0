"""Which part each pixel of the figure is, decided down the label tree, and what can be said about each part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.labels import Label, LabelTree

Score = Callable[[str], NDArray[np.float32]]
"""The probability of the node of that name, float32 (H, W)."""


@dataclass(frozen=True)
class Part:
    """One label that is in a photo.

    Attributes:
        name: of the label.
        parent: the label it is part of; None for a root.
        level: its depth in the tree; 0 is a root.
        area: pixels.
        share: of the photo's pixels, 0 to 1.
        box: (left, top, right, bottom) in pixels around all of it; right and bottom are the first pixels outside.
        confidence: mean probability of the label over its pixels, 0 to 1.
    """

    name: str
    parent: str | None
    level: int
    area: int
    share: float
    box: tuple[int, int, int, int]
    confidence: float

    def to_dict(self) -> dict[str, Any]:
        """The attributes as plain values, ready for JSON."""
        return {**asdict(self), "box": list(self.box)}


def choose_leaves(labels: LabelTree, figure: NDArray[np.bool_], score: Score) -> NDArray[np.unsignedinteger[Any]]:
    """The leaf of each pixel of `figure`: an index map (H, W), 0 for background and k + 1 for leaf k.

    The way goes down from the roots, to the child of the highest score each time; of equal scores the first listed
    wins. So what is chosen below a node is always inside it. The map is uint8, or uint16 for 255 leaves and more.
    """
    number = {leaf.name: k + 1 for k, leaf in enumerate(labels.leaves)}
    chosen = np.zeros(figure.shape, np.min_scalar_type(len(number)))
    waiting: list[tuple[tuple[Label, ...], NDArray[np.bool_]]] = [(labels.roots, figure)]
    while waiting:
        siblings, where = waiting.pop()
        for node, inside in zip(siblings, _shared_out(siblings, where, score), strict=True):
            if node.name in number:
                np.copyto(chosen, number[node.name], where=inside)
            elif inside.any():
                waiting.append((labels.children(node.name), inside))
    return chosen


def _shared_out(siblings: tuple[Label, ...], where: NDArray[np.bool_], score: Score) -> list[NDArray[np.bool_]]:
    """`where`, shared out among `siblings`: to each the pixels on which it scores highest."""
    if len(siblings) == 1:
        return [where]
    # One map at a time: the maps of a large photo and many leaves would not fit in memory together.
    best = np.full(where.shape, -np.inf, np.float32)
    winner = np.zeros(where.shape, np.uint16)
    for k, node in enumerate(siblings):
        scores = score(node.name)
        np.copyto(winner, k, where=scores > best)
        np.maximum(best, scores, out=best)
    return [where & (winner == k) for k in range(len(siblings))]


def measure(labels: LabelTree, label: Label, mask: NDArray[np.bool_], score: Score) -> Part | None:
    """What can be said about `label`, which is where `mask`, bool (H, W), says; None when that is nowhere."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return None
    area = int(mask.sum())
    return Part(
        name=label.name,
        parent=label.parent,
        level=len(labels.ancestors(label.name)),
        area=area,
        share=area / mask.size,
        box=(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1),
        # A sum of probabilities can pass 1 by rounding.
        confidence=min(1.0, float(score(label.name)[mask].mean(dtype=np.float64))),
    )
