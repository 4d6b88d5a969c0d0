"""Labels to and from plain dictionaries and YAML files, with errors that name the place."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

from figureground.errors import LabelError, MissingExtraError, suggest
from figureground.labels.label import Label

__all__ = ["entries_of", "entry_of", "load_file", "parse_labels"]

KEYS = ("name", "color", "parent", "flip")


def entries_of(data: object, where: str) -> list[object]:
    """Return the list under `labels`; `where` names the source in the error."""
    entries = data.get("labels") if isinstance(data, Mapping) else None
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        example = "labels: [{name: person, color: [255, 0, 0]}]"
        raise LabelError(f"{where} has no list under 'labels'", remedy=f"write {example}")
    return list(entries)


def parse_labels(entries: Sequence[object], places: Sequence[str]) -> list[Label]:
    """Turn dictionaries into labels; `places` says where each was written, for the errors."""
    return [_label(entry, place) for entry, place in zip(entries, places, strict=True)]


def _label(entry: object, place: str) -> Label:
    if not isinstance(entry, Mapping):
        raise LabelError(f"{place}: expected a name and a color, got {entry!r}")
    for key in entry:
        if key not in KEYS:
            raise LabelError(f"{place}: unknown key '{key}'", remedy=suggest(str(key), KEYS))
    for key in ("name", "color"):
        if key not in entry:
            raise LabelError(f"{place}: '{key}' is missing")
    for key in ("parent", "flip"):
        if not isinstance(entry.get(key), str | None):
            raise LabelError(f"{place}: '{key}' must be the name of a label, got {entry[key]!r}")
    color = tuple(entry["color"]) if isinstance(entry["color"], list) else entry["color"]
    return Label(entry["name"], color, entry.get("parent"), entry.get("flip"))


def entry_of(label: Label) -> dict[str, Any]:
    """Return a label as a dictionary, leaving out what it does not have."""
    entry: dict[str, Any] = {"name": label.name, "color": list(label.color)}
    if label.parent is not None:
        entry["parent"] = label.parent
    if label.flip is not None:
        entry["flip"] = label.flip
    return entry


def load_file(path: str | PathLike[str]) -> tuple[list[object], list[str]]:
    """Read a YAML or JSON file; return the entries under `labels` and, for the errors, the file and line of each.

    Raises:
        LabelError: the file cannot be read or parsed, has no list of labels, or gives a label a key twice.
        MissingExtraError: YAML without PyYAML. For JSON Python's own reader stands in, which knows no lines.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, ValueError) as error:
        raise LabelError(f"cannot read the label tree '{path}': {error}") from error
    try:
        import yaml
    except ImportError:
        if not str(path).lower().endswith(".json"):
            raise MissingExtraError(f"reading '{path}' needs PyYAML", remedy="pip install pyyaml") from None
        entries = entries_of(_load_json(text, path), f"'{path}'")
        return entries, _by_number(path, entries)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise LabelError(f"cannot read the label tree '{path}': {error}") from error
    entries = entries_of(data, f"'{path}'")
    pairs: list[tuple[Any, Any]] = root.value if isinstance(root, yaml.MappingNode) else []
    # A merge key (<<) can bring the list in from elsewhere in the file; then there are no lines to name.
    nodes: list[Any] = next((value.value for key, value in reversed(pairs) if key.value == "labels"), [])
    places = [f"'{path}' line {node.start_mark.line + 1}" for node in nodes] or _by_number(path, entries)
    for node, place in zip(nodes, places, strict=False):
        if isinstance(node, yaml.MappingNode):
            _check_keys([key.value for key, _ in node.value], place)
    return entries, places


def _by_number(path: str | PathLike[str], entries: Sequence[object]) -> list[str]:
    return [f"'{path}' label {i + 1}" for i in range(len(entries))]


def _load_json(text: str, path: str | PathLike[str]) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise LabelError(f"cannot read the label tree '{path}': {error}") from error


def _check_keys(keys: Sequence[str], place: str) -> None:
    # YAML keeps the last of two equal keys without a word: a label with two parents would have one.
    for key in keys:
        if keys.count(key) > 1:
            more = "two parents" if key == "parent" else f"'{key}' twice"
            raise LabelError(f"{place}: the label has {more}", remedy="give it one")
