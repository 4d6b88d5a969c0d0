"""Folders for what is written."""

from __future__ import annotations

from pathlib import Path

from figureground.errors import OutputError


def make_folder(folder: Path) -> None:
    """Make `folder` and those above it.

    Raises:
        OutputError: no permission, no space, or a file stands in the way.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}", remedy="give another place") from error
