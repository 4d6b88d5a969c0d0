"""`figureground networks`: what is shipped, and the card of each network."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from figureground.cli.assignments import assignments, parse_size
from figureground.cli.extras import extra
from figureground.cli.options import complete_network, debug_option, echo_json, json_option
from figureground.errors import BundleError, MissingExtraError, nearest

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
  figureground networks show person
  figureground networks show person --recipe > mine.yaml
  figureground networks show best.json
  figureground networks show segformer --set encoder=mit_b2 --size 512x512
  figureground networks show --compare segformer deeplabv3plus --set A.encoder=mit_b2
"""
)
@click.argument("names", metavar="NAME|FILE...", nargs=-1, required=True, shell_complete=complete_network)
@click.option("--recipe", "only_recipe", is_flag=True, help="Print the recipe that a bundle was trained with.")
@click.option("--compare", is_flag=True, help="Draw two architectures side by side.")
@click.option(
    "--size", callback=parse_size, metavar="HxW", help="Image that an architecture is drawn for.  [default: 512x512]"
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="OPTION=VALUE",
    help="An option of the architecture; A.OPTION and B.OPTION for one of two. May be repeated.",
)
@click.option("--depth", type=click.IntRange(0), default=None, help="Open so many more levels of an architecture.")
@json_option
@debug_option
def show(
    names: tuple[str, ...],
    only_recipe: bool,
    compare: bool,
    size: tuple[int, int] | None,
    settings: tuple[str, ...],
    depth: int | None,
    as_json: bool,
) -> None:
    """Show the card of a network in a file, what is in a predictor file, or the stages of an architecture to train.

    A card has labels, sizes, licences, what the network was trained on and what it reached. A predictor file has
    networks, what is done around them, and how it was chosen. The stages of an architecture come with their output,
    parameters and multiply-adds, and need figureground[train]. An architecture is a name that `figureground networks
    --all` lists, or import:PACKAGE.CLASS of another library.
    """
    if compare != (len(names) == 2) or not names:
        raise click.UsageError("give one name, or --compare and two")
    if not compare and _is_bundle(names[0]):
        if size or settings or depth is not None:
            raise click.UsageError(
                f"'{names[0]}' is a trained network: --size, --set and --depth are for architectures"
            )
        if names[0].lower().endswith(".json"):
            if only_recipe:
                raise click.UsageError(f"'{names[0]}' is a predictor file: --recipe is for bundles")
            _show_predictor(names[0], as_json)
        else:
            _show_bundle(names[0], only_recipe, as_json)
        return
    if only_recipe:
        raise click.UsageError(f"'{names[0]}' is an architecture: --recipe is for trained networks")
    _show_architectures(names, settings, size or (512, 512), depth or 0, as_json)


def _is_bundle(name: str) -> bool:
    from figureground.runtime.catalogue import shipped

    return name in shipped() or os.path.isfile(name) or name.lower().endswith((".onnx", ".json")) or os.sep in name


def _show_bundle(name: str, only_recipe: bool, as_json: bool) -> None:
    from figureground.cli.card import page
    from figureground.runtime.bundle import Bundle
    from figureground.runtime.catalogue import find

    bundle = Bundle.read(find(name))
    if only_recipe:
        if "recipe" not in bundle.card:
            raise BundleError(f"the card of '{name}' holds no recipe", remedy="ask whoever made the bundle")
        click.echo(bundle.card["recipe"].rstrip())
    elif as_json:
        facts = {
            **_summary(bundle),
            "labels": bundle.labels.to_dict(),
            "sizing": bundle.sizing.to_dict(),
            "format_version": bundle.format_version,
            "created": bundle.created,
            "sha256": bundle.sha256,
            "card": bundle.card,
        }
        echo_json(facts)
    else:
        click.echo(page(bundle))


def _show_predictor(name: str, as_json: bool) -> None:
    from figureground.cli.card import predictor_page
    from figureground.runtime.catalogue import load
    from figureground.runtime.predictor import describe, read_document

    segmenter = load(name)
    facts = {
        "name": segmenter.name,
        "labels": list(segmenter.labels.names),
        "threshold": segmenter.threshold,
        "predictor": describe(segmenter, Path(name).parent.resolve()),
        "chosen": read_document(name).get("chosen"),
    }
    if as_json:
        echo_json(facts)
    else:
        click.echo(predictor_page(facts))


def _show_architectures(
    names: Sequence[str], settings: Sequence[str], size: tuple[int, int], depth: int, as_json: bool
) -> None:
    from figureground.cli.architecture import comparison, drawing, facts

    for name in names:
        _check_architecture(name)
    from figureground.networks.stages import outline

    options = assignments(settings, len(names))
    outlines = [outline(name, size=size, depth=depth, **given) for name, given in zip(names, options, strict=True)]
    if as_json:
        drawn = [facts(one) for one in outlines]
        echo_json(drawn[0] if len(drawn) == 1 else {"compared": drawn})
    else:
        click.echo(drawing(*outlines) if len(outlines) == 1 else comparison(*outlines))


def _check_architecture(name: str) -> None:
    """Raise for a name that is neither an architecture nor a bundle, with the nearest of both."""
    from figureground.runtime.catalogue import find, shipped

    try:
        with extra("train", f"'{name}' is no network that is shipped, and drawing an architecture"):
            from figureground.networks import list_networks, spec
    except MissingExtraError:
        if nearest(name, shipped()):
            find(name)
        raise
    if name in list_networks() or ":" in name:
        return
    if nearest(name, shipped()) and not nearest(name, list_networks()):
        find(name)
    spec(name)


def _summary(bundle: Bundle) -> dict[str, Any]:
    return {
        "name": bundle.name,
        "description": str(bundle.card.get("description", "")),
        "bytes": len(bundle.model_bytes),
        "labels": list(bundle.labels.names),
        "threshold": bundle.threshold,
        "peak": bundle.peak,
    }


def _architectures() -> list[dict[str, Any]]:
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
