"""What the verbs share: the session of one call, and the options that several verbs have."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from figureground.cli.outputs import FORMATS

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass
class Session:
    """State of one call of the command line, kept by click as `context.obj`."""

    debug: bool = False


def _set_debug(context: click.Context, _option: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Session).debug = True


debug_option = click.option(
    "--debug",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_set_debug,
    help="Show the full traceback of a failure.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


def _check_overrides(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if "=" not in value.strip("="):
            raise click.BadParameter(f"'{value}' is not KEY=VALUE")
    return values


def number_list(_context: click.Context, _option: click.Parameter, text: str | None) -> tuple[float, ...] | None:
    """A callback of options that take numbers with commas between."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"'{text}' is no list of numbers such as 1,1.25") from None


def overrides_option(help_text: str) -> Callable[[_Command], _Command]:
    """`--set KEY=VALUE`, any number of times: the changes to a recipe, as `overrides`."""
    return click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE", callback=_check_overrides, help=help_text
    )


def _show_version(context: click.Context, _option: click.Parameter, value: bool) -> None:
    if not value or context.resilient_parsing:
        return
    import figureground

    click.echo(f"figureground {figureground.__version__}")
    context.exit()


version_option = click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)


def complete_network(_context: click.Context, _option: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For shell completion: the shipped networks that start so, else a file name."""
    from figureground.runtime.catalogue import shipped

    names = [CompletionItem(name) for name in shipped() if name.startswith(incomplete)]
    return names or [CompletionItem(incomplete, type="file")]


def _network_option(default: str) -> Callable[[_Command], _Command]:
    return click.option(
        "--network",
        default=default,
        show_default=True,
        metavar="NAME|FILE",
        shell_complete=complete_network,
        help="A shipped network (see: figureground networks), a bundle or a predictor file.",
    )


network_option = _network_option("person")
parts_network_option = _network_option("parts")

threshold_option = click.option(
    "--threshold",
    type=click.FloatRange(0.0, 1.0, min_open=True, max_open=True),
    default=None,
    help="A pixel is person from this probability on.  [default: the network's own]",
)


sources_argument = click.argument("sources", nargs=-1, required=True, metavar="SOURCE...", type=click.Path())

output_option = click.option(
    "-o", "--output", metavar="FILE|FOLDER|-", type=click.Path(), help="Where to write; - is stdout."
)

format_option = click.option(
    "--format", "chosen_format", type=click.Choice(FORMATS), help="Format of the pictures.  [default: png]"
)

resume_option = click.option("--resume", is_flag=True, help="Skip images whose file is there already.")

json_lines_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object per image, one a line.")


refine_option = click.option(
    "--refine",
    metavar="STEP[,STEP...]",
    help="Improve the mask: crf, coarse, smooth, guided, erode, sure, specks, holes, largest, touching; "
    "with settings: specks:min_area=0.01,crf:width=40.",
)


depth_option = click.option(
    "--depth",
    metavar="FILE|FOLDER",
    type=click.Path(path_type=Path, exists=True),
    help="Depth map of the photo, or a folder of maps named as the photos; for networks that look at depth maps.",
)


def complete_tree(_context: click.Context, _option: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For shell completion: the trees in the package that start so, else a file name."""
    from figureground.labels import shipped_trees

    names = [CompletionItem(name) for name in shipped_trees() if name.startswith(incomplete)]
    return names or [CompletionItem(incomplete, type="file")]


tree_option = click.option(
    "--tree",
    metavar="TREE|FILE",
    shell_complete=complete_tree,
    help="Compare parts too: the tree in whose numbers the masks, or else parts/, are written.",
)

depth_folder_option = click.option(
    "--depth",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Folder of the photos' depth maps, named as the photos; for networks that look at depth maps.",
)


def echo_json(value: Any) -> None:
    """Print `value` as indented JSON on stdout."""
    click.echo(json.dumps(value, indent=2))
