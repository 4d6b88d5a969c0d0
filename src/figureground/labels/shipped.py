"""The label trees that come with the package: `trees/NAME.json`, each laid out as `LabelTree.to_dict` writes it.

They are JSON, which is YAML too, because an installation that only predicts has no YAML reader.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from figureground.errors import LabelError, suggest

__all__ = ["shipped_tree", "shipped_trees"]


def shipped_trees() -> dict[str, Path]:
    """The label trees inside the package: name -> file, sorted by name."""
    folder = Path(__file__).parent / "trees"
    return {path.stem: path for path in sorted(folder.glob("*.json"))}


def shipped_tree(name: str) -> dict[str, Any]:
    """The content of a shipped tree's file: `description`, and `labels` as `LabelTree.to_dict` writes them.

    Raises:
        LabelError: no shipped tree has that name.
    """
    files = shipped_trees()
    if name not in files:
        raise LabelError(f"no label tree is called '{name}'", remedy=suggest(name, files))
    content: dict[str, Any] = json.loads(files[name].read_text(encoding="utf-8"))
    return content
