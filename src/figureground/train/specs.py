"""The sections of a recipe below its first level, each typed; docs/training.md explains every key.

Nothing is on that the recipe does not turn on: the default of every method is not to be there.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from figureground.data.specs import Folds, SourceSpec, Stage, Strict
from figureground.errors import BundleError
from figureground.runtime.sizing import Sizing

Triple = tuple[float, float, float]
_Divisor = Annotated[float, Field(gt=0)]


class Data(Strict):
    """Where the pictures are and how they are mixed."""

    root: Path
    sources: tuple[SourceSpec, ...] = Field(min_length=1)
    samples_per_epoch: int = Field(default=4000, gt=0)
    workers: int = Field(default=1, ge=0)
    folds: Folds | None = None
    """A fold to hold out, of the sources that hold something out."""


class Network(Strict):
    """A registered network by name, with its options."""

    name: str
    options: dict[str, Any] = Field(default_factory=dict)
    weights: Path | None = None
    """Where to start: a safetensors file of an earlier run, or another library's (`hub:owner/name`)."""
    partial: bool = False
    """Copy from `weights` what fits and start the rest anew, where the earlier network had other parts or labels."""
    mean: Triple = (0.485, 0.456, 0.406)
    std: tuple[_Divisor, _Divisor, _Divisor] = (0.229, 0.224, 0.225)
    """Subtracted from, and dividing, the red, green and blue of a picture between 0 and 1."""

    @model_validator(mode="after")
    def _without_leaves(self) -> Network:
        if "leaves" in self.options:
            raise ValueError("the number of leaves comes from 'labels', leave 'options.leaves' away")
        return self


class Head(Strict):
    """What the network's last maps mean, by name, with its options; docs/hierarchical.md tells them."""

    name: str = "leaves"
    options: dict[str, Any] = Field(default_factory=dict)
    embedding: dict[str, Any] | None = None
    """Options of a pixel embedding beside the head, `{}` for the defaults."""


class Weighted(Strict):
    """A weight in the sum, and how it comes to it from another one in the course of the training."""

    weight: float = Field(default=1.0, ge=0)
    ramp: float = Field(default=0.0, ge=0, le=1)
    """Share of the training after which the weight stands."""
    ramp_start: float = Field(default=0.0, ge=0, lt=1)
    """Share of the training before which it is still `ramp_from`."""
    ramp_from: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _forward(self) -> Weighted:
        if (self.ramp_start or self.ramp_from) and self.ramp <= self.ramp_start:
            raise ValueError("a weight goes from 'ramp_from' at 'ramp_start' to 'weight' at 'ramp': set 'ramp' later")
        return self

    def weight_at(self, progress: float) -> float:
        """The weight after a share of the training, along half a cosine (arXiv:2203.14335 has it from 0 upwards)."""
        if progress >= self.ramp:
            return self.weight
        share = max(progress - self.ramp_start, 0) / (self.ramp - self.ramp_start)
        return self.ramp_from + (self.weight - self.ramp_from) * (1 - math.cos(math.pi * share)) / 2


AuxWeight = Annotated[float, Field(ge=0)] | tuple[Annotated[float, Field(ge=0)], ...]
"""One weight for all auxiliary outputs of a network, or one for each."""


class Loss(Weighted):
    """A loss by name, its weight in the sum and its options."""

    name: str
    options: dict[str, Any] = Field(default_factory=dict)


class Distill(Weighted):
    """A teacher's run folder, whose logits the network also learns from."""

    run: Path
    temperature: float = Field(default=1.0, gt=0)


class CriticSpec(Strict):
    """A critic that learns to tell predicted masks from true ones while the network learns to satisfy it."""

    mode: Literal["multiscale_l1", "hinge", "bce"] = "multiscale_l1"
    weight: float = Field(default=0.1, gt=0)
    start: float = Field(default=0.0, ge=0, lt=1)
    """Share of the training before the critic comes in."""
    widths: Annotated[tuple[Annotated[int, Field(gt=0)], ...] | None, Field(min_length=1, max_length=6)] = None
    """Channels of its levels; SegAN's own six unless given, which are heavy on a CPU."""
    classes: Literal["all", "leaves"] = "all"
    per_level: bool = True
    learning_rate: float = Field(default=2e-4, gt=0)
    clamp: Annotated[float, Field(gt=0)] | None = 0.05
    """Largest size of any of its weights; null for no limit."""


class Optimize(Strict):
    """The optimiser, its learning rate over the training, and which parameters it moves."""

    name: Literal["adamw", "sgd"] = "adamw"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Of SGD."""
    nesterov: bool = False
    """Of SGD."""
    learning_rate: float = Field(default=1e-3, gt=0)
    encoder_factor: float = Field(default=1.0, gt=0)
    """The encoder's learning rate, as a factor of the decoder's."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The learning rate of each of the encoder's stages, as a factor of the next deeper one's."""
    weight_decay: float = Field(default=0.01, ge=0)
    schedule: Literal["one_cycle", "poly", "cosine", "constant"] = "one_cycle"
    power: float = Field(default=0.9, gt=0)
    """Of the schedule poly."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the training after which the learning rate is highest."""
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    """Largest norm of a step's gradient; longer ones are shortened to it."""
    accumulate: int = Field(default=1, gt=0)
    """Batches whose gradients make up one step."""
    freeze: tuple[str, ...] = ()
    """Parts that do not learn: `encoder`, or the paths of modules of the network."""
    freeze_stages: int = Field(default=0, ge=0)
    """How many stages of the encoder, from its stem on, do not learn."""
    freeze_until: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the training, in whole epochs, after which they learn as well."""

    @model_validator(mode="after")
    def _possible(self) -> Optimize:
        if self.schedule == "one_cycle" and self.warmup == 0:
            raise ValueError("one_cycle needs a 'warmup' above 0; cosine does without")
        if self.nesterov and (self.name != "sgd" or self.momentum == 0):
            raise ValueError("'nesterov' needs the name sgd and a 'momentum' above 0")
        return self


class EarlyStop(Strict):
    """When to stop before the last epoch."""

    patience: int = Field(default=5, gt=0)
    """Validations in a row without a better score."""
    min_delta: float = Field(default=0.0, ge=0)
    """By how much a better score is better at least."""


class Schedule(Strict):
    """How long, in what batches, at what precision."""

    epochs: int = Field(default=10, gt=0)
    batch_size: int = Field(default=16, gt=0)
    stages: tuple[Stage, ...] = (Stage(sizes=(256,)),)
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    channels_last: bool = False
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay per step of the moving average of the weights; 0 is off."""
    validate_every: int = Field(default=1, gt=0)
    """Epochs between validations; the last epoch is always validated."""
    snapshots: int = Field(default=0, ge=0)
    """How many of the latest validated epochs' weights are kept besides, to be averaged into a soup."""
    early_stopping: EarlyStop | None = None
    compile: bool = False
    """Compile the network's pass with torch.compile."""

    @model_validator(mode="after")
    def _covered(self) -> Schedule:
        if min((stage.start for stage in self.stages), default=1) > 0:
            raise ValueError("one of the stages must start at 0")
        return self


class SizingSpec(Strict):
    """The size at which the network sees a whole photo: keep the aspect, about `area` pixels, sides in multiples."""

    area: int = Field(default=256 * 256, gt=0)
    multiple: int = Field(default=32, gt=0)

    @model_validator(mode="after")
    def _possible(self) -> SizingSpec:
        try:
            Sizing(area=self.area, multiple=self.multiple)
        except BundleError as error:
            raise ValueError(str(error)) from error
        return self
