"""Tables that turn the tensor names of other libraries into ours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Rule = tuple[str, str]
"""A regular expression for the beginning of their name, and what stands there in ours (``\\1`` for a group)."""


class Renaming:
    """Rules, of which the first that fits applies; what fits none keeps its name.

    A rule matches whole parts of a name: up to a dot or to the end.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = [(re.compile(rf"{theirs}(?=\.|$)"), ours) for theirs, ours in rules]

    def __call__(self, name: str) -> str:
        """Our name of their tensor."""
        for pattern, ours in self._rules:
            match = pattern.match(name)
            if match:
                return match.expand(ours) + name[match.end() :]
        return name

    def apply(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Their tensors under our names."""
        return {self(name): tensor for name, tensor in state.items()}


def joined(state: Mapping[str, Tensor], parts: Sequence[str], whole: str) -> dict[str, Tensor]:
    """Tensors "...PART.weight" of all ``parts`` become one "...WHOLE.weight", row below row; the others stay.

    A part that lacks one of the others stays as it is.
    """
    first = f".{parts[0]}."
    result = dict(state)
    for name in state:
        if first in name:
            names = [name.replace(first, f".{part}.") for part in parts]
            if all(other in state for other in names):
                result[name.replace(first, f".{whole}.")] = torch.cat([result.pop(other) for other in names])
    return result
