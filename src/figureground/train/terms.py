"""The terms of the sum that a training minimises: which loss looks at which output of the head, and what it counts."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError

from figureground.errors import FiguregroundError, RecipeError, suggest, within
from figureground.labels import LabelTree
from figureground.losses import LOSSES
from figureground.train.specs import Loss


@dataclass(frozen=True)
class Term:
    """One loss of a recipe, ready to be called.

    Attributes:
        name: of the loss.
        output: the head's output that it looks at: `logits`, `nodes` or `embedding`, or a network's `queries`.
        spec: what the recipe says of it; its weight in the sum is `spec.weight_at`.
        function: the loss.
        options: its keyword arguments.
        sees_image: whether it is given the picture too, as `image`.
    """

    name: str
    output: str
    spec: Loss
    function: Callable[..., torch.Tensor]
    options: Mapping[str, Any]
    sees_image: bool = False

    def __call__(self, outputs: Mapping[str, Any], target: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """The loss of a batch, unweighted; `image` (N, 3, H, W) is red, green and blue of 0 to 255."""
        seen = {"image": image} if self.sees_image else {}
        return self.function(outputs[self.output], target, **seen, **self.options)


def build_terms(specs: tuple[Loss, ...], labels: LabelTree, gives: Collection[str]) -> list[Term]:
    """The terms of a recipe. A loss that has a `labels` argument is given the label tree, one with `image` the picture.

    Args:
        specs: the recipe's losses.
        labels: its label tree.
        gives: the outputs that its head gives.

    Raises:
        RecipeError: no such loss or option, or a loss that looks at what the head does not give.
    """
    terms = []
    for number, spec in enumerate(specs):
        with within(f"losses.{number}"):
            terms.append(_term(spec, labels, gives))
    return terms


def _term(spec: Loss, labels: LabelTree, gives: Collection[str]) -> Term:
    if spec.name not in LOSSES:
        raise RecipeError(f"no loss is called {spec.name!r}", remedy=suggest(spec.name, LOSSES))
    function = LOSSES[spec.name]
    output, _, *arguments = inspect.signature(function).parameters
    known = [argument for argument in arguments if argument not in ("labels", "image")]
    for option in spec.options:
        if option not in known:
            raise RecipeError(f"loss {spec.name!r} has no option {option!r}", remedy=suggest(option, known))
    typed = _typed(spec, function)
    if output not in gives:
        raise RecipeError(f"loss {spec.name!r} looks at the head's {output}", remedy=_REMEDIES[output])
    given = {"labels": labels} if "labels" in arguments else {}
    options, sees_image = {**typed, **given}, "image" in arguments
    return Term(spec.name, output, spec, function, options, sees_image)


def _typed(spec: Loss, function: Callable[..., torch.Tensor]) -> dict[str, Any]:
    """The options as the loss declares them: YAML's lists as tuples, a number where one is declared."""
    hints, typed = get_type_hints(function), {}
    for name, value in spec.options.items():
        try:
            typed[name] = TypeAdapter(hints[name], config=ConfigDict(allow_inf_nan=False)).validate_python(value)
        except ValidationError as error:
            raise RecipeError(
                f"loss {spec.name!r}: {name} is {value!r}", remedy=f"it takes {_in_words(hints[name], error)}"
            ) from error
    return typed


def _in_words(hint: Any, error: ValidationError) -> str:
    return {bool: "true or false", int: "a whole number", float: "a finite number"}.get(hint) or (
        error.errors()[0]["msg"].replace("Input should be ", "")
    )


def check_terms(terms: Sequence[Term], labels: LabelTree) -> None:
    """Call each loss once on next to nothing, so that options which it does not take are told before a training.

    Losses of queries, which no tensor of one shape stands for, are left out.

    Raises:
        RecipeError: a loss refuses its options.
    """
    target = torch.zeros(1, _PROBE, _PROBE, dtype=torch.int64)
    target[:, : _PROBE // 2] = 1
    image = torch.zeros(1, 3, _PROBE, _PROBE)
    channels = {"logits": len(labels.leaves), "nodes": len(labels), "embedding": 2}
    outputs = {name: torch.zeros(1, count, _PROBE, _PROBE) for name, count in channels.items()}
    for term in terms:
        if term.output not in outputs:
            continue
        try:
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                value = float(term(outputs, target, image))
            if not math.isfinite(value):
                raise ValueError(f"it gives {value}")
        except FiguregroundError as error:
            raise RecipeError(f"loss {term.name!r}: {error.message}", remedy=error.remedy) from error
        except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
            options = {name: value for name, value in term.options.items() if name != "labels"}
            raise RecipeError(f"loss {term.name!r} cannot be computed with {options}: {error}") from error


_PROBE = 16
_REMEDIES = {
    "logits": "every head gives them",
    "nodes": "set head.name to nodes, or to hyperbolic with the option tree",
    "embedding": "add 'embedding: {}' to the head",
    "queries": "use the network maskformer under the head leaves",
}
