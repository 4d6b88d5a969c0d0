"""What a recipe says about data, as types: sources, augmentation, crop sizes. Unknown keys are errors."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    """A frozen model that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceSpec(Strict):
    """One source of pictures; paths are relative to `data.root`.

    kind `pairs` needs `images` and `masks`, `empty` needs `images`, `composite` needs `people` and `backgrounds`.
    """

    name: str
    kind: Literal["pairs", "empty", "composite"] = "pairs"
    images: str | None = None
    masks: str | None = None
    people: str | None = None
    backgrounds: tuple[str, ...] = ()
    any_value_is_leaf: bool = True
    weight: float = Field(default=1.0, ge=0)
    """Share of the samples of an epoch, relative to the other sources' weights."""
    hold_out: Share = 0.0
    """Share of the files kept away from training, to choose the best epoch by."""

    @model_validator(mode="after")
    def _complete(self) -> SourceSpec:
        needed = {"pairs": ("images", "masks"), "empty": ("images",), "composite": ("people", "backgrounds")}[self.kind]
        for field in needed:
            if not getattr(self, field):
                raise ValueError(f"a source of kind '{self.kind}' needs '{field}'")
        return self


class Augment(Strict):
    """Augmentation; probabilities are 0 (off) unless set."""

    crop_scale: tuple[float, float] = (1.0, 1.0)
    crop_ratio: tuple[float, float] = (1.0, 1.0)
    flip: Share = 0.0
    rotate: float = Field(default=0.0, ge=0, le=180)
    rotate_probability: Share = 0.0
    color: float = Field(default=0.0, ge=0, le=1)
    hue: float = Field(default=0.0, ge=0, le=0.5)
    color_probability: Share = 0.8
    gray: Share = 0.0
    blur: Share = 0.0
    jpeg: Share = 0.0


class Stage(Strict):
    """From `start` (a share of the training) on, each batch draws its crop size from `sizes`."""

    start: Share = 0.0
    sizes: tuple[int, ...] = Field(min_length=1)
