"""How a benchmark tells its numbers: an aligned table for people, or JSON with the machine's description."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def machine() -> dict[str, Any]:
    """What a reader must know to compare numbers: processor architecture, cores, system, Python."""
    return {
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def show(title: str, rows: Sequence[Row], *, as_json: bool) -> None:
    """Print `rows`, which all have the keys of the first, under `title`; floats with three digits."""
    if as_json:
        print(json.dumps({"benchmark": title, "machine": machine(), "rows": list(rows)}, indent=2))
        return
    heads = list(rows[0]) if rows else []
    cells = [heads, *([_cell(row[head]) for head in heads] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]
    print(title)
    for number, line in enumerate(cells):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
