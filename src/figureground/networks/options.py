"""The values that a builder's options may have, read from its annotations, so that no network checks them itself.

Counts are whole numbers from 1, switches are true or false, lists are not empty, and kernels are odd so that a
convolution keeps the size. What is further said about an option stands in the network's own file.
"""

from __future__ import annotations

import math
import os
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from figureground.errors import NetworkError

_OFF = (False, "off")


def checked(network: str, build: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with their values as the builder wants them; where text may be None, false and "off" are None.

    network: its name, for errors.

    Raises NetworkError for a value of another type than the builder's annotation, or out of range.
    """
    hints = typing.get_type_hints(build)
    values = {}
    for option, value in options.items():
        kind, optional = _kind(hints.get(option))
        off = optional and (value is None or (kind is str and value in _OFF))
        wanted = None if off else _unlike(option, value, kind)
        if wanted:
            raise NetworkError(
                f"network '{network}' cannot be built with {described(options)}",
                remedy=f"give {wanted} as {option}{', or leave it away' if optional else ''}",
            )
        values[option] = None if off else value
    return values


def refuse_idle(given: Mapping[str, bool], *switches: str) -> None:
    """Raise NetworkError for the first option that is given though none of the switches that it works with is on.

    given: option -> whether it has another value than its default.
    switches: options that are all off.
    """
    option = next((option for option, is_given in given.items() if is_given), None)
    if option is not None:
        names = " or ".join(f"'{switch}'" for switch in switches)
        raise NetworkError(
            f"'{option}' does nothing without {names}",
            remedy=f"set {' or '.join(switches)} to true, or leave {option} away",
        )


def described(options: Mapping[str, Any]) -> str:
    """The options as they are written in Python, for errors."""
    return ", ".join(f"{option}={value!r}" for option, value in options.items())


def _kind(hint: Any) -> tuple[Any, bool]:
    """What an option is when it is not None, and whether it may be None."""
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return next((one for one in kinds if one is not types.NoneType), None), types.NoneType in kinds


def _unlike(option: str, value: Any, kind: Any) -> str | None:
    """What the value of an option should be; None when it is."""
    if kind is bool:
        return None if isinstance(value, bool) else "true or false"
    if kind is int:
        return _unlike_count(option, value)
    if kind is float:
        return _unlike_number(option, value)
    if kind is str:
        if option.endswith("gates"):  # the gate names its forms
            return None
        return None if isinstance(value, str | os.PathLike) and str(value) else "text"
    if typing.get_origin(kind) is Sequence:
        listed = isinstance(value, Sequence) and not isinstance(value, str | bytes) and len(value)
        fits = listed and all(_unlike(option, one, *typing.get_args(kind)) is None for one in value)
        return None if fits else "a list of whole numbers of at least 1, such as [12, 24, 36]"
    return None


def _unlike_count(option: str, value: Any) -> str | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if option.endswith("kernel"):
        return None if whole and value >= 1 and value % 2 else "an odd whole number, such as 3"
    return None if whole and value >= 1 else "a whole number of at least 1"


def _unlike_number(option: str, value: Any) -> str | None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if option == "drop_path":
        return None if number and 0 <= value < 1 else "a number of at least 0 and under 1"
    if option.endswith("_scale"):  # what is scaled by 0 is not read
        return None if number and value > 0 else "a number above 0"
    return None if number else "a number"
