"""Where a report goes: as text to the terminal, as JSON to a file or to stdout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click


def tell(document: dict[str, Any], text: str, json_file: str | None) -> None:
    """Print `text`, and write `document` to the JSON file; for "-" the document is printed in place of the text.

    Raises:
        OutputError: the file cannot be written.
    """
    written = json.dumps(document, indent=2)
    click.echo(written if json_file == "-" else text)
    if json_file in (None, "-"):
        return
    from figureground import images

    images.make_folder(Path(str(json_file)).parent)
    images.write_bytes(f"{written}\n".encode(), str(json_file))
