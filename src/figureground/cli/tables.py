"""Plain text tables for the listing verbs."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def table(rows: Sequence[Sequence[str]], *, right: Collection[str] = ()) -> str:
    """Rows of equal length as lines with aligned columns, two spaces apart; the first row is the heading.

    right: headings of the columns that are aligned to the right.

    >>> print(table([["name", "MB"], ["person", "9.1"]]))
    name    MB
    person  9.1
    """
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    sides = [str.rjust if heading in right else str.ljust for heading in rows[0]]
    return "\n".join(
        "  ".join(side(cell, width) for side, cell, width in zip(sides, row, widths, strict=True)).rstrip()
        for row in rows
    )
