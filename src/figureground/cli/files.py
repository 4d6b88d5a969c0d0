"""Writing what is not a picture: folders and text, whole or not at all."""

from __future__ import annotations

import os
import tempfile
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


def write_text(path: Path, text: str) -> None:
    """Write `text` in UTF-8 to `path`, whose folder is made: a new file in its place, or none at all.

    Raises:
        OutputError: no permission or no space.
    """
    make_folder(path.parent)
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)  # mkstemp makes files that only their owner may read
        os.replace(temporary, path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise OutputError(
            f"cannot write {path}: {error.strerror}", remedy="check the folder and the free space"
        ) from error
