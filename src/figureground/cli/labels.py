"""`figureground labels`: the label trees in the package, and any tree drawn."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from figureground.cli.options import complete_tree, debug_option, echo_json, json_option

if TYPE_CHECKING:
    from figureground.labels import Label, LabelTree

_EXAMPLE = """\b
Example
  figureground labels list
  figureground labels show pascal-person-part
  figureground labels show lip --json > mine.json      (a start for a tree of your own)
"""
_LINES, _PLAIN_LINES = ("├─ ", "└─ ", "│  "), ("|- ", "`- ", "|  ")


@click.group(invoke_without_command=True, epilog=_EXAMPLE)
@json_option
@debug_option
@click.pass_context
def labels(context: click.Context, as_json: bool) -> None:
    """List the label trees in the package, or draw one."""
    if context.invoked_subcommand is None:
        context.invoke(list_, as_json=as_json)


@labels.command("list", epilog=_EXAMPLE)
@json_option
@debug_option
def list_(as_json: bool) -> None:
    """List the label trees in the package (the same as 'labels' alone)."""
    from figureground.cli.tables import table
    from figureground.labels import LabelTree, shipped_trees
    from figureground.labels.shipped import shipped_tree

    rows = []
    for name in shipped_trees():
        tree = LabelTree.named(name)
        counts = {"labels": len(tree), "leaves": len(tree.leaves), "levels": tree.depth}
        rows.append({"name": name, **counts, "description": shipped_tree(name)["description"]})
    if as_json:
        echo_json({"trees": rows})
    else:
        click.echo(table([list(rows[0]), *[[str(cell) for cell in row.values()] for row in rows]]))


@labels.command(epilog=_EXAMPLE)
@click.argument("tree", metavar="TREE|FILE", shell_complete=complete_tree)
@click.option("-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="Draw it as a picture instead.")
@json_option
@debug_option
def show(tree: str, output: Path | None, as_json: bool) -> None:
    """Draw a tree: its labels, their numbers in a mask, their colours, and what they turn into in a mirror.

    TREE is a name that 'labels list' shows, a YAML or JSON file, or a bundle, which carries its tree. What --json
    prints is such a file.
    """
    found = _find(tree)
    if output is not None:
        from figureground import draw, images

        images.make_folder(output.parent)
        images.write(draw.legend([label for _, label in _walk(found, _PLAIN_LINES)]), output)
    if as_json:
        click.echo(_as_file(found))
    elif output is not None:
        click.echo(output)
    else:
        _draw(found)


def _find(tree: str) -> LabelTree:
    if tree.lower().endswith(".onnx"):
        from figureground.runtime.bundle import Bundle

        return Bundle.read(tree).labels
    from figureground.labels import LabelTree

    return LabelTree.find(tree)


def _as_file(tree: LabelTree) -> str:
    """The tree as JSON that people can edit: one label a line."""
    entries = ",\n".join(f"  {json.dumps(entry)}" for entry in tree.to_dict()["labels"])
    return f'{{"labels": [\n{entries}\n]}}'


def _draw(tree: LabelTree) -> None:
    from figureground.cli.tables import table

    values = tree.mask_values()
    walk = list(_walk(tree, _lines()))
    rows = [["label", "in a mask", "color", "mirrored"]]
    for branch, label in walk:
        code = "#{:02x}{:02x}{:02x}".format(*label.color)
        rows.append([branch + label.name, str(values[label.name]), code, label.flip or ""])
    heading, *lines = table(rows).splitlines()
    click.echo(f"   {heading}")
    for (_, label), line in zip(walk, lines, strict=True):
        click.echo(f"{click.style('  ', bg=label.color)} {line}")
    click.echo(f"{len(tree)} labels, {len(tree.leaves)} of them leaves, on {tree.depth} levels")


def _lines() -> tuple[str, str, str]:
    """The lines of the drawing, as far as the terminal has the characters for them."""
    try:
        "".join(_LINES).encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return _PLAIN_LINES
    return _LINES


def _walk(tree: LabelTree, lines: tuple[str, str, str]) -> Iterator[tuple[str, Label]]:
    """Every label after its parent, with the branches that lead to it; not recursive, a tree may be a long chain."""
    fork, last, through = lines
    waiting = [("", "", label) for label in reversed(tree.roots)]
    while waiting:
        branch, above, label = waiting.pop()
        yield branch, label
        below = tree.children(label.name)
        for child in reversed(below):
            is_last = child is below[-1]
            waiting.append((above + (last if is_last else fork), above + ("   " if is_last else through), child))
