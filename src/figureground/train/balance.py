"""Class weights that a recipe leaves to be measured on the training masks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from figureground.data import PairSource, Source
from figureground.data.depth import unwrapped
from figureground.data.sources import read_index_map
from figureground.datasets.balance import inverse_frequency, median_frequency
from figureground.errors import DataError, RecipeError
from figureground.train.recipe import Recipe
from figureground.train.specs import Loss

_RULES: dict[str, Callable[[NDArray[np.int64]], list[float | None]]] = {
    "measured": median_frequency,
    "measured_inverse": inverse_frequency,
}
_WEIGHED = ("cross_entropy", "soft_dice", "tversky", "lovasz", "boundary", "active_boundary")
_OPTIONS = {**dict.fromkeys(_WEIGHED, "class_weights"), "focal": "alpha"}
"""Losses that have class weights, and what they call them."""


def measured(recipe: Recipe, sources: Sequence[Source]) -> Recipe:
    """The recipe with numbers where it says `measured` or `measured_inverse`, which standard error is told.

    Args:
        recipe: any.
        sources: its training parts. Only masks of leaves are counted: neither empty photos nor composites, nor masks
            that know no more than a label above the leaves, nor what has the weight 0.

    Raises:
        RecipeError: measured weights for an option that takes none.
        DataError: a class that is in no mask.
    """
    asked = [loss for loss in recipe.losses if _rule(loss)]
    if not asked:
        return recipe
    weighing = {spec.name for spec in recipe.data.sources if spec.weight}
    pixels = _counts([source for source in sources if source.name in weighing], len(recipe.tree.leaves))
    weights = {rule: _checked(recipe, _RULES[rule](pixels)) for rule in {str(_rule(loss)) for loss in asked}}
    for rule, values in weights.items():
        sys.stderr.write(json.dumps({rule: dict(zip(_classes(recipe), values, strict=True))}) + "\n")
    return _with(recipe, [weights.get(str(_rule(loss))) for loss in recipe.losses])


def as_measured_before(recipe: Recipe, earlier: Recipe) -> Recipe:
    """The recipe with the numbers that an earlier run of it measured, where it asks for measured ones."""
    if len(recipe.losses) != len(earlier.losses):
        return recipe
    kept = [
        theirs.options.get(_OPTIONS[ours.name]) if _rule(ours) and ours.name == theirs.name else None
        for ours, theirs in zip(recipe.losses, earlier.losses, strict=True)
    ]
    return _with(recipe, kept)


def _rule(loss: Loss) -> str | None:
    for option, value in loss.options.items():
        if isinstance(value, str) and value in _RULES:
            if _OPTIONS.get(loss.name) != option:
                known = f"alpha of focal, and class_weights of {', '.join(_WEIGHED)}"
                raise RecipeError(f"'{option}' of the loss {loss.name!r} cannot be measured", remedy=f"known: {known}")
            return value
    return None


def _with(recipe: Recipe, weights: Sequence[list[float] | None]) -> Recipe:
    losses = [
        loss if found is None else loss.model_copy(update={"options": {**loss.options, _OPTIONS[loss.name]: found}})
        for loss, found in zip(recipe.losses, weights, strict=True)
    ]
    return recipe.model_copy(update={"losses": tuple(losses)})


def _counts(sources: Sequence[Source], leaves: int) -> NDArray[np.int64]:
    """(masks, 1 + leaves): counted pixels of background and leaves."""
    found = []
    for source in sources:
        plain = unwrapped(source)
        if not isinstance(plain, PairSource) or (plain.value or 0) > leaves:
            continue
        for _, mask in plain.pairs:
            values = read_index_map(mask)
            numbers = values if plain.value is None else np.where(values > 0, plain.value, 0)
            found.append(np.bincount(numbers.ravel(), minlength=256)[: leaves + 1])
    return np.array(found, np.int64).reshape(-1, leaves + 1)


def _checked(recipe: Recipe, weights: list[float | None]) -> list[float]:
    absent = [name for name, weight in zip(_classes(recipe), weights, strict=True) if weight is None]
    if absent:
        raise DataError(
            f"no training mask shows {', '.join(absent)}, so that its weight cannot be measured",
            remedy="give the weights as numbers",
        )
    return [round(float(weight), 6) for weight in weights if weight is not None]


def _classes(recipe: Recipe) -> list[str]:
    return ["background", *[leaf.name for leaf in recipe.tree.leaves]]
