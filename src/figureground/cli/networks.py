"""`figureground networks`: what is shipped, and the card of each network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from figureground.cli.options import complete_network, debug_option, echo_json, json_option

if TYPE_CHECKING:
    from figureground.runtime.bundle import Bundle

all_option = click.option(
    "--all", "architectures", is_flag=True, help="Also list the architectures to train (needs figureground[train])."
)
_EXAMPLE = """\b
Example
  figureground networks
  figureground networks show person-fast
"""


@click.group(invoke_without_command=True, epilog=_EXAMPLE)
@all_option
@json_option
@debug_option
@click.pass_context
def networks(context: click.Context, architectures: bool, as_json: bool) -> None:
    """List the networks in the package, or show the card of one."""
    if context.invoked_subcommand is None:
        context.invoke(list_, architectures=architectures, as_json=as_json)


@networks.command("list", epilog=_EXAMPLE)
@all_option
@json_option
@debug_option
def list_(architectures: bool, as_json: bool) -> None:
    """List the networks in the package (the same as 'networks' alone)."""
    from figureground.runtime.bundle import Bundle
    from figureground.runtime.catalogue import DEFAULT, shipped

    rows = []
    for name, path in shipped().items():
        bundle = Bundle.read(path)
        rows.append({**_summary(bundle), "name": name, "default": name == DEFAULT})
    trainable = _architectures() if architectures else None
    if as_json:
        echo_json({"networks": rows} if trainable is None else {"networks": rows, "architectures": trainable})
        return
    if rows:
        click.echo(_text(rows, {"name": _marked, "MB": _megabytes, "labels": _count, "description": _described}))
    else:
        click.echo("no networks in this installation")
    if trainable:
        click.echo("\nArchitectures to train")
        click.echo(_text(trainable, {"name": _name, "parameters": _millions, "description": _described}))


@networks.command(
    epilog="""\b
Example
  figureground networks show person --json
"""
)
@click.argument("name", metavar="NAME|FILE", shell_complete=complete_network)
@json_option
@debug_option
def show(name: str, as_json: bool) -> None:
    """Show the card of a network: labels, sizes, licences, what it was trained on and what it reached."""
    from figureground.runtime.bundle import Bundle
    from figureground.runtime.catalogue import find

    bundle = Bundle.read(find(name))
    facts = {
        **_summary(bundle),
        "labels": bundle.labels.to_dict(),
        "sizing": bundle.sizing.to_dict(),
        "format_version": bundle.format_version,
        "created": bundle.created,
        "sha256": bundle.sha256,
        "card": bundle.card,
    }
    if as_json:
        echo_json(facts)
        return
    shown = {**facts, "labels": ", ".join(bundle.labels.names), **bundle.card}
    del shown["card"]
    click.echo("\n".join(_outline(shown)))


def _summary(bundle: Bundle) -> dict[str, Any]:
    return {
        "name": bundle.name,
        "description": str(bundle.card.get("description", "")),
        "bytes": len(bundle.model_bytes),
        "labels": list(bundle.labels.names),
        "threshold": bundle.threshold,
    }


def _architectures() -> list[dict[str, Any]]:
    from figureground.cli.extras import extra

    with extra("train", "The list of architectures"):
        from figureground.networks import list_networks, spec

        specs = [spec(name) for name in list_networks()]
    return [{"name": one.name, "parameters": one.parameters, "description": one.summary} for one in specs]


def _text(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, Callable[[Mapping[str, Any]], str]]) -> str:
    from figureground.cli.tables import table

    return table([list(columns), *[[cell(row) for cell in columns.values()] for row in rows]])


def _name(row: Mapping[str, Any]) -> str:
    return str(row["name"])


def _marked(row: Mapping[str, Any]) -> str:
    return f"{row['name']} (default)" if row["default"] else str(row["name"])


def _megabytes(row: Mapping[str, Any]) -> str:
    return f"{row['bytes'] / 1e6:.1f}"


def _count(row: Mapping[str, Any]) -> str:
    return str(len(row["labels"]))


def _millions(row: Mapping[str, Any]) -> str:
    return f"{row['parameters'] / 1e6:.2f} M"


def _described(row: Mapping[str, Any]) -> str:
    return str(row["description"])


def _outline(value: Mapping[str, Any], depth: int = 0) -> Iterator[str]:
    """A nested mapping as lines, two spaces deeper at each level."""
    indent = "  " * depth
    for key, item in value.items():
        label = f"{indent}{str(key).replace('_', ' ')}:"
        if isinstance(item, Mapping):
            yield label
            yield from _outline(item, depth + 1)
        elif isinstance(item, (list, tuple)):
            yield label
            yield from (f"{indent}  - {part}" for part in item)
        else:
            yield f"{label} {item:.4g}" if isinstance(item, float) else f"{label} {item}"
