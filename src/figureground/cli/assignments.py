"""Options of architectures and sizes of images as they are typed: `encoder=mit_b2`, `A.encoder=mit_b2`, `480x640`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import click

_SIDES = "AB"


def parse_size(_context: click.Context, _option: click.Parameter, text: str | None) -> tuple[int, int] | None:
    """(height, width) of `HxW`, for a click option; a BadParameter for anything else."""
    if text is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,4})[xX]([1-9]\d{0,4})", text.strip())
    if found is None:
        raise click.BadParameter(f"'{text}' is not HxW, height and width in pixels, as in 480x640")
    return int(found[1]), int(found[2])


def assignments(settings: Sequence[str], networks: int) -> list[dict[str, Any]]:
    """The options for each of one or two networks; one without `A.` or `B.` is for both. Values are YAML.

    Raises:
        click.BadParameter: no `OPTION=VALUE`, or not YAML.
    """
    import yaml

    options: list[dict[str, Any]] = [{} for _ in range(networks)]
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"'{setting}' is not OPTION=VALUE", param_hint="--set")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise click.BadParameter(f"'{text}' of '{key}' is not YAML", param_hint="--set") from error
        side, dot, name = key.partition(".")
        if dot and (side not in _SIDES[:networks] or networks == 1):
            raise click.BadParameter(
                f"'{key}' names no option; write {'A.' + name + ' or B.' + name if networks > 1 else name}",
                param_hint="--set",
            )
        for target in [options[_SIDES.index(side)]] if dot else options:
            target[name if dot else key] = value
    return options
