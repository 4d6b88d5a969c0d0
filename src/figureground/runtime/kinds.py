"""The kinds of segmenter that a predictor file can hold: what each is called there, what it takes, how it is built."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from figureground.checks import ArgumentError
from figureground.errors import suggest
from figureground.runtime.ensemble import Ensemble
from figureground.runtime.people_first import PeopleFirst
from figureground.runtime.refined import Refined
from figureground.runtime.segmenter import Segmenter
from figureground.runtime.tiled import Tiled
from figureground.runtime.views import View, augmented


@dataclass(frozen=True)
class Setting:
    """One value of a kind: what JSON may hold there, in words and as a check."""

    wanted: str
    fits: Callable[[Any], bool]

    def read(self, key: str, value: Any) -> Any:
        """`value`, with lists as tuples. Raises ArgumentError where it does not fit."""
        if not self.fits(value):
            raise ArgumentError(f"{key} is {_short(value)}", remedy=f"it must be {self.wanted}")
        return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True)
class Kind:
    """A kind of segmenter.

    Attributes:
        made: the class of what `build` gives; None for a short form that is written as another kind.
        settings: what it takes, by name; the segmenter has attributes of the same names.
        build: (the segmenters inside, the settings given) -> the segmenter.
        of_many: whether it holds a list of segmenters ("members") or one ("of").
    """

    made: type[Segmenter] | None
    settings: Mapping[str, Setting]
    build: Callable[[Sequence[Segmenter], dict[str, Any]], Segmenter]
    of_many: bool = False

    def inside(self, segmenter: Any) -> Sequence[Segmenter]:
        """The segmenters that `segmenter`, of this kind, holds."""
        return list(segmenter.members) if self.of_many else [segmenter.inner]


def settings_of(segmenter: Segmenter, kind: Kind) -> dict[str, Any]:
    """The settings of `segmenter` as JSON holds them."""
    values = {key: getattr(segmenter, key) for key in kind.settings}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def read_settings(kind: Kind, values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that JSON holds, as `build` takes them.

    Raises:
        ArgumentError: an unknown setting, or one of another type.
    """
    for key in values:
        if key not in kind.settings:
            raise ArgumentError(f"unknown key '{key}'", remedy=suggest(key, kind.settings))
    return {key: kind.settings[key].read(key, value) for key, value in values.items()}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _is_number(value: Any) -> bool:
    """Whether a float can hold it; a whole number in JSON may be too large."""
    return isinstance(value, float) or (_is_whole(value) and abs(value) <= sys.float_info.max)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_number, value))


_NUMBER = Setting("a number", _is_number)
_WHOLE = Setting("a whole number", _is_whole)
_WHOLE_OR_NONE = Setting("a whole number or null", lambda value: value is None or _is_whole(value))
_FLAG = Setting("true or false", lambda value: isinstance(value, bool))
_TEXT = Setting("a text", lambda value: isinstance(value, str))
_NUMBERS = Setting("a list of numbers", _numbers)
_STEPS = Setting(
    "a list of refinements", lambda value: isinstance(value, list) and all(isinstance(v, dict) for v in value)
)
_RANGE = Setting("a list of two numbers", lambda value: _numbers(value) and len(value) == 2)


def _refined(inner: Segmenter, given: dict[str, Any]) -> Segmenter:
    made = Refined(inner, given.get("steps", ()))
    # Steps ask where the figure is, and what they were chosen with need not be the inner segmenter's threshold.
    return made.renamed(made.name, given.get("threshold", made.threshold))


KINDS: dict[str, Kind] = {
    "view": Kind(View, {"scale": _NUMBER, "mirrored": _FLAG}, lambda inner, given: View(inner[0], **given)),
    "ensemble": Kind(
        Ensemble, {"mean": _TEXT, "weights": _NUMBERS}, lambda inner, given: Ensemble(inner, **given), of_many=True
    ),
    "augmented": Kind(
        None, {"flip": _FLAG, "scales": _NUMBERS, "mean": _TEXT}, lambda inner, given: augmented(inner[0], **given)
    ),
    "tiled": Kind(
        Tiled,
        {"zoom": _NUMBER, "tile": _WHOLE_OR_NONE, "overlap": _NUMBER, "trust": _TEXT},
        lambda inner, given: Tiled(inner[0], **given),
    ),
    "people_first": Kind(
        PeopleFirst,
        {"find": _NUMBER, "margin": _NUMBER, "zoom": _RANGE, "crops": _WHOLE},
        lambda inner, given: PeopleFirst(inner[0], **given),
    ),
    "refined": Kind(Refined, {"steps": _STEPS, "threshold": _NUMBER}, lambda inner, given: _refined(inner[0], given)),
}
"""By the name that stands under "kind". A bundle, "network", is not among them: it is opened, not built."""
