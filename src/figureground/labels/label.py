"""One label, and the rules that a list of labels has to meet to be a tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from figureground.errors import LabelError, suggest

__all__ = ["Color", "Label", "check_labels", "parent_indices"]

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Label:
    """One node of a label tree.

    `color` is (red, green, blue), each 0 to 255. `parent` names the node that this one is part of, None for a
    root. `flip` names the partner that this one turns into when a photo is mirrored, such as left arm and right arm.
    """

    name: str
    color: Color
    parent: str | None = None
    flip: str | None = None


def parent_indices(labels: Sequence[Label], index: Mapping[str, int]) -> list[int]:
    """Return the position of each label's parent, -1 for a root."""
    return [-1 if label.parent is None else index[label.parent] for label in labels]


def check_labels(labels: Sequence[Label], places: Sequence[str]) -> None:
    """Raise LabelError for the first thing wrong with the tree; `places` says where each label was written."""
    if not labels:
        raise LabelError("a label tree needs at least one label")
    for label, place in zip(labels, places, strict=True):
        _check_one(label, place)
    _check_unique(labels, places)
    index = {label.name: i for i, label in enumerate(labels)}
    for label, place in zip(labels, places, strict=True):
        for role, name in (("parent", label.parent), ("flip partner", label.flip)):
            if name is not None and name not in index:
                raise LabelError(f"{place}: no label is named '{name}', its {role}", remedy=suggest(name, index))
    _check_no_cycle(labels, places, index)
    for label, place in zip(labels, places, strict=True):
        _check_flip(label, place, lambda name: labels[index[name]])


def _check_one(label: Label, place: str) -> None:
    if not isinstance(label.name, str) or not label.name.strip() or label.name != label.name.strip():
        raise LabelError(f"{place}: a label needs a name without spaces around it, got {label.name!r}")
    color = label.color
    whole = isinstance(color, tuple) and len(color) == 3 and all(type(part) is int for part in color)
    if not whole or not all(0 <= part <= 255 for part in color):
        raise LabelError(f"{place}: a colour is three whole numbers from 0 to 255, got {color!r}")


def _check_unique(labels: Sequence[Label], places: Sequence[str]) -> None:
    names: dict[str, int] = {}
    colors: dict[Color, int] = {}
    for i, (label, place) in enumerate(zip(labels, places, strict=True)):
        first = names.setdefault(label.name, i)
        if first != i and labels[first].parent != label.parent:
            parents = f"'{labels[first].parent}' and '{label.parent}'"
            raise LabelError(f"{place}: '{label.name}' has two parents, {parents}", remedy="give it one")
        if first != i:
            raise LabelError(f"{place}: the name '{label.name}' is taken by {places[first]}")
        same = colors.setdefault(label.color, i)
        if same != i:
            raise LabelError(f"{place}: the colour {label.color} is taken by {places[same]}")


def _check_no_cycle(labels: Sequence[Label], places: Sequence[str], index: Mapping[str, int]) -> None:
    parents = parent_indices(labels, index)
    sound: set[int] = set()
    for start in range(len(labels)):
        path: list[int] = []
        node = start
        while node >= 0 and node not in sound and node not in path:
            path.append(node)
            node = parents[node]
        if node in path:
            circle = [*path[path.index(node) :], node]
            way = " -> ".join(labels[i].name for i in circle)
            raise LabelError(f"{places[node]}: the parents run in a circle: {way}")
        sound.update(path)


def _check_flip(label: Label, place: str, find: Callable[[str], Label]) -> None:
    # Mirroring must map the tree onto itself, or the leaves below a node would not be those of the mirrored node.
    partner = label if label.flip is None else find(label.flip)
    if label.flip == label.name:
        raise LabelError(f"{place}: flips to itself", remedy="leave 'flip' out for a label without a partner")
    if (partner.flip or partner.name) != label.name:
        raise LabelError(f"{place}: '{partner.name}' does not flip back", remedy=f"give it flip: {label.name}")
    above = None if label.parent is None else find(label.parent)
    mirrored = None if above is None else above.flip or above.name
    if partner.parent != mirrored:
        parents = f"'{label.parent}' and '{partner.parent}'"
        raise LabelError(
            f"{place}: '{label.name}' flips to '{partner.name}', but their parents {parents} do not mirror each other",
            remedy="a pair needs the same parent, or parents that flip to one another",
        )
