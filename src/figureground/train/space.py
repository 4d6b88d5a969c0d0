"""What a search may change: for each key of a recipe the values to try, typed and checked before anything runs."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import optuna
import yaml
from pydantic import ConfigDict, Field, ValidationError, model_validator

from figureground.data.specs import Strict
from figureground.errors import RecipeError, suggest
from figureground.train.recipe import Recipe, read_yaml

__all__ = ["Choice", "LogRange", "Range", "Space", "read_space"]

Number = int | float


class Choice(Strict):
    """One of some values, which may be lists or whole sections."""

    choice: tuple[Any, ...] = Field(min_length=1)

    def draw(self, trial: optuna.Trial, key: str) -> str:
        """The value to try, as YAML."""
        return str(trial.suggest_categorical(key, self.ends()))

    def ends(self) -> list[str]:
        """All values, as YAML."""
        return [as_yaml(value) for value in self.choice]

    def text(self, drawn: Any) -> str:
        """A drawn value as YAML."""
        return str(drawn)


class _Between(Strict):
    """Numbers from one to another; whole ones where both ends are."""

    # `_finite` refuses infinite ends, and in better words: pydantic's name the types of a number that it tried.
    model_config = ConfigDict(allow_inf_nan=True)

    @model_validator(mode="after")
    def _finite(self) -> _Between:
        if not _is_finite(*self.limits):
            raise ValueError("the ends of a range, and the distance between them, must be finite")
        return self

    @property
    @abstractmethod
    def limits(self) -> tuple[Number, Number]:
        """The lowest and the highest."""

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return all(isinstance(end, int) for end in self.limits)

    def ends(self) -> list[str]:
        """The lowest and the highest, as YAML."""
        return [as_yaml(end) for end in self.limits]

    def text(self, drawn: Any) -> str:
        """A drawn value as YAML."""
        return as_yaml(drawn)


class Range(_Between):
    """All numbers between two are as likely; with a `step` only those at multiples of it from the lowest."""

    range: tuple[Number, Number]
    step: Number | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _ascending(self) -> Range:
        if self.range[0] >= self.range[1]:
            raise ValueError("the first end of the range must be below the second")
        if self.whole and isinstance(self.step, float):
            raise ValueError("a range of whole numbers has a whole step")
        if self.step is not None and self._steps(self.step) < 1:
            raise ValueError(f"the step must be at most as large as the range, not {self.step}")
        return self

    @property
    def limits(self) -> tuple[Number, Number]:
        """The lowest and the highest."""
        return self.range

    def draw(self, trial: optuna.Trial, key: str) -> str:
        """The value to try, as YAML."""
        low, high = self.range
        top: Number | Decimal = high
        if self.step is not None:
            # Optuna would do the same, with a warning.
            top = Decimal(str(low)) + self._steps(self.step) * Decimal(str(self.step))
        if self.whole:
            return as_yaml(trial.suggest_int(key, int(low), int(top), step=int(self.step or 1)))
        return as_yaml(trial.suggest_float(key, low, float(top), step=self.step))

    def _steps(self, step: Number) -> int:
        """How many whole steps lie between the ends, as they are written: 0.3 is three times 0.1."""
        low, high = (Decimal(str(end)) for end in self.range)
        return int((high - low) / Decimal(str(step)))


class LogRange(_Between):
    """Numbers between two whose logarithms are all as likely: for learning rates and other factors."""

    log: tuple[Number, Number]

    @model_validator(mode="after")
    def _ascending(self) -> LogRange:
        if not 0 < self.log[0] < self.log[1]:
            raise ValueError("the ends of a log range must be above 0, the first below the second")
        return self

    @property
    def limits(self) -> tuple[Number, Number]:
        """The lowest and the highest."""
        return self.log

    def draw(self, trial: optuna.Trial, key: str) -> str:
        """The value to try, as YAML."""
        low, high = self.log
        if self.whole:
            return as_yaml(trial.suggest_int(key, int(low), int(high), log=True))
        return as_yaml(trial.suggest_float(key, low, high, log=True))


Dimension = Choice | Range | LogRange
Space = Mapping[str, Dimension]
_KINDS: dict[str, type[Choice | Range | LogRange]] = {"choice": Choice, "range": Range, "log": LogRange}


def read_space(path: Path, recipe_path: Path, overrides: Sequence[str] = ()) -> dict[str, Dimension]:
    """The space in a YAML file: `key.of.the.recipe: {choice: [...]}`, or `{range: [low, high]}`, or `{log: [...]}`.

    Every key must be one of the recipe's, and every choice and end of a range a value that it takes there.

    Raises:
        RecipeError: naming the file, the key and what to write instead.
    """
    recipe = Recipe.read(recipe_path, list(overrides))
    known = _known(recipe)
    space = {}
    for key, entry in _entries(path).items():
        if key not in known:
            raise RecipeError(f"{path}: the recipe has no key '{key}'", remedy=suggest(str(key), known))
        dimension = _dimension(path, key, entry)
        for value in dimension.ends():
            try:
                Recipe.read(recipe_path, [*overrides, f"{key}={value}"])
            except RecipeError as error:
                raise RecipeError(
                    f"{path}: {key}: {value} does not fit: {error.message}", remedy=error.remedy
                ) from error
        space[key] = dimension
    return space


def _is_finite(low: Number, high: Number) -> bool:
    """Whether two numbers and their distance are finite as floats, which all draws go through."""
    try:
        return math.isfinite(float(high) - float(low))
    except OverflowError:
        return False


def as_yaml(value: Any) -> str:
    """A value in one line, as an override of a recipe takes it."""
    # Not as JSON: YAML takes 1e-05 for a word.
    return str(yaml.safe_dump(value, default_flow_style=True, width=10**6)).strip().removesuffix("...").strip()


def _known(recipe: Recipe) -> list[str]:
    """All keys of a recipe: of values, and of the sections and lists around them."""
    known: dict[str, None] = {}
    for key in recipe.flat():
        parts = key.split(".")
        known.update(dict.fromkeys(".".join(parts[: end + 1]) for end in range(len(parts))))
    return list(known)


def _entries(path: Path) -> dict[str, Any]:
    entries = read_yaml(path, "space")
    if not isinstance(entries, dict) or not entries:
        raise RecipeError(f"{path} names no key", remedy="write 'optimize.learning_rate: {log: [0.0001, 0.01]}', say")
    return entries


def _dimension(path: Path, key: str, entry: Any) -> Dimension:
    found = [kind for kind in _KINDS if isinstance(entry, dict) and kind in entry]
    if len(found) != 1:
        raise RecipeError(
            f"{path}: {key} is {entry!r}", remedy="write {choice: [a, b]}, {range: [low, high]} or {log: [low, high]}"
        )
    try:
        return _KINDS[found[0]].model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join([key, *(str(part) for part in first["loc"])])
        what = first["ctx"]["error"] if first["type"] == "value_error" else first["msg"]
        raise RecipeError(f"{path}: {place}: {what}") from error
