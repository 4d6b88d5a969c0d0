"""Plain text tables for the listing verbs."""

from __future__ import annotations

from collections.abc import Sequence


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of equal length as lines with aligned columns, two spaces apart; the first row is the heading.

    >>> print(table([["name", "MB"], ["person", "9.1"]]))
    name    MB
    person  9.1
    """
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
