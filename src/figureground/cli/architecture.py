"""Drawings of architectures: the table of stages, and two of them side by side."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from figureground.cli.tables import table

if TYPE_CHECKING:
    from figureground.networks.stages import Outline, Stage

_HEADING = ["stage", "output", "stride", "parameters", "multiply-adds"]
_BAR = " | "


def drawing(outline: Outline) -> str:
    """The stages of one network under a title."""
    return "\n".join([_title(outline), "", *_table(outline)])


def comparison(left: Outline, right: Outline) -> str:
    """The stages of two networks side by side, totals on one line, and the ratios of the second to the first."""
    tables = []
    longest = max(len(left.stages), len(right.stages))
    for outline in (left, right):
        *stages, total = _table(outline)
        filled = [*stages, *[""] * (longest - len(outline.stages)), total]
        tables.append([_title(outline), "", *filled])
    width = max(len(line) for line in tables[0])
    lines = [f"{one.ljust(width)}{_BAR}{other}".rstrip() for one, other in zip_longest(*tables, fillvalue="")]
    ratios = [
        f"{getattr(right, what) / getattr(left, what):.3g} times the {name}"
        for what, name in (("parameters", "parameters"), ("multiply_adds", "multiply-adds"))
    ]
    return "\n".join([*lines, "", f"{right.name} has {' and '.join(ratios)} of {left.name}"])


def facts(outline: Outline) -> dict[str, Any]:
    """The same for JSON; shapes are those of one image, without the batch."""
    return {
        "name": outline.name,
        "options": dict(outline.options),
        "size": list(outline.size),
        "parameters": outline.parameters,
        "multiply_adds": outline.multiply_adds,
        "stages": [
            {
                "name": stage.name,
                "kind": stage.kind,
                "shapes": [list(shape) for shape in stage.shapes],
                "stride": stage.stride,
                "parameters": stage.parameters,
                "multiply_adds": stage.multiply_adds,
            }
            for stage in outline.stages
        ],
    }


def _title(outline: Outline) -> str:
    options = "".join(f", {name} {value}" for name, value in outline.options.items())
    height, width = outline.size
    return f"{outline.name}{options}, for an image of {height}x{width}"


def _table(outline: Outline) -> list[str]:
    rows = [
        [stage.name, _output(stage), str(stage.stride or "-"), _short(stage.parameters), _short(stage.multiply_adds)]
        for stage in outline.stages
    ]
    total = ["in all", "", "", _short(outline.parameters), _short(outline.multiply_adds)]
    return table([_HEADING, *rows, total], right=_HEADING[2:]).splitlines()


def _output(stage: Stage) -> str:
    """Channels, height and width; of several outputs the first and the last."""
    if not stage.shapes:
        return "-"
    ends: Sequence[tuple[int, ...]] = stage.shapes if len(stage.shapes) < 2 else (stage.shapes[0], stage.shapes[-1])
    return " .. ".join("x".join(str(side) for side in shape) for shape in ends)


def _short(number: int) -> str:
    """Three digits or more and a unit: 1.02 G, 164 k, 513."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= unit:
            whole_digits = len(str(int(number / unit)))
            return f"{number / unit:.{max(0, 3 - whole_digits)}f} {name}"
    return str(number)
