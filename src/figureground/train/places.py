"""Which parameters belong to the encoder, and to which of its stages: what learning rates and freezing go by."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

# What timm, torchvision, transformers, segmentation-models-pytorch and our own encoders call their stages.
_STAGE = re.compile(
    r"(?:^|[._])(?:layers?|stages?|blocks?|transition|denseblock|features|patch_embed|patch_embeddings|norms|layer_norm|s)"
    r"[._]?(\d+)"
)


@dataclass(frozen=True)
class Place:
    """Where a parameter is.

    Attributes:
        in_encoder: whether it is the encoder's.
        stage: the encoder's stage, counted from 0, the nearest to the image; 0 outside of the encoder.
    """

    in_encoder: bool
    stage: int = 0


def encoder_marks(model: nn.Module) -> list[str]:
    """What the names of an encoder's parameters hold: `.encoder.`, or what networks of other libraries call theirs."""
    marks = [".encoder."]
    for module in model.modules():
        marks += getattr(module, "encoders", ())
    return marks


def places(model: nn.Module) -> dict[str, Place]:
    """The place of every parameter, by name, in the order of `named_parameters`.

    Stages are told by the numbers that the encoder's own modules bear: `layer1`, `stages.0`, `blocks.3`. What stands
    before the first of them, a stem, is a stage of its own; what bears no number after it belongs to the stage before.
    """
    marks = encoder_marks(model)
    numbers = dict(_numbers(model, marks))
    order = {number: stage for stage, number in enumerate(sorted(set(numbers.values())))}
    return {
        name: Place(True, order[numbers[name]]) if name in numbers else Place(False)
        for name, _ in model.named_parameters()
    }


def _numbers(model: nn.Module, marks: list[str]) -> Iterator[tuple[str, int]]:
    """Each parameter of the encoder with the number of its stage; -1 before the first number."""
    last = -1
    for name, _ in model.named_parameters():
        found = [mark for mark in marks if mark in name]
        if found:
            own = _STAGE.search(name.partition(found[0])[2])
            last = int(own.group(1)) if own else last
            yield name, last


def stage_count(model: nn.Module) -> int:
    """How many stages the encoder has, its stem included; 0 where there is no encoder."""
    return max((place.stage + 1 for place in places(model).values() if place.in_encoder), default=0)
