"""What a recipe says about data, as types: sources, augmentation, crop sizes. Unknown keys are errors."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("the first number must not be larger than the second")
    return pair


_AboveZero = Annotated[float, Field(gt=0, le=1)]
_Ratio = Annotated[float, Field(ge=0.02, le=50)]
ShareRange = Annotated[tuple[_AboveZero, _AboveZero], AfterValidator(_ascending)]
"""From the first share to the second, both above 0 and at most 1."""
RatioRange = Annotated[tuple[_Ratio, _Ratio], AfterValidator(_ascending)]
"""From the first ratio to the second, of 0.02 to 50."""


class Strict(BaseModel):
    """A frozen model that refuses keys it does not know, infinity, and what is no number."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


_FOLDERS = {"pairs": ("images", "masks"), "empty": ("images",), "composite": ("people", "backgrounds")}
"""The folders that a source of each kind has."""
_TAKEN = frozenset({"", "score"})


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
    depth: str | Literal[False] | None = None
    """Folder of depth maps, where the recipe takes depth from files; false where this source's depth is unknown."""
    any_value_is_leaf: bool = True
    any_value_is: str | None = None
    """The label, a leaf or what lies above leaves, that every non-zero mask value or pasted person stands for."""
    weight: float = Field(default=1.0, ge=0)
    """Share of the samples of an epoch, relative to the other sources' weights."""
    hold_out: Share = 0.0
    """Share of the files kept away from training, to choose the best epoch by."""

    @model_validator(mode="after")
    def _complete(self) -> SourceSpec:
        needed = _FOLDERS[self.kind]
        for field in needed:
            if not getattr(self, field):
                raise ValueError(f"a source of kind '{self.kind}' needs '{field}'")
        for field in {name for names in _FOLDERS.values() for name in names} - set(needed):
            if getattr(self, field):
                raise ValueError(f"a source of kind '{self.kind}' has no '{field}': leave it away")
        if self.kind == "pairs" and self.images == self.masks:
            raise ValueError(f"the masks are the photos themselves: '{self.images}'")
        if self.name in _TAKEN:
            raise ValueError(f"no source can be called '{self.name}', under which the run notes other numbers")
        if self.kind == "composite" and self.hold_out > 0:
            raise ValueError("a composite holds nothing out: leave 'hold_out' away")
        return self


class Folds(Strict):
    """One fold of a cross-validation, held out by every source that holds something out."""

    count: int = Field(ge=2)
    fold: int = Field(default=0, ge=0)
    """From 0 to `count` - 1."""

    @model_validator(mode="after")
    def _there(self) -> Folds:
        if self.fold >= self.count:
            raise ValueError(f"of {self.count} folds the last is number {self.count - 1}")
        return self


class Augment(Strict):
    """Augmentation; probabilities are 0 (off) unless set."""

    crop_scale: ShareRange = (1.0, 1.0)
    """Area of the crop, as a share of the photo's."""
    crop_ratio: RatioRange = (1.0, 1.0)
    """Width divided by height of the crop."""
    flip: Share = 0.0
    """Probability of mirroring left and right; partner labels (`flip` in the label tree) change places."""
    rotate: float = Field(default=0.0, ge=0, le=180)
    """Largest angle in degrees, either way; the corners that come in are not counted."""
    rotate_probability: Share = 0.0
    color: float = Field(default=0.0, ge=0, le=1)
    """Largest change of brightness, contrast and saturation, as a share."""
    hue: float = Field(default=0.0, ge=0, le=0.5)
    """Largest turn of the hue, as a share of the circle."""
    color_probability: Share = 0.8
    gray: Share = 0.0
    blur: Share = 0.0
    motion_blur: Share = 0.0
    noise: Share = 0.0
    jpeg: Share = 0.0
    perspective: Share = 0.0
    """How far the corners may move inwards, as a share of half the side; what comes in is not counted."""
    perspective_probability: Share = 0.0
    erase: Share = 0.0
    """Probability of a rectangle of noise, under which nothing is counted."""
    paste: Share = 0.0
    """Probability of the people of another training photo in front."""


class Stage(Strict):
    """From `start` (a share of the training) on, each batch draws its crop size from `sizes`."""

    start: Share = 0.0
    sizes: tuple[Annotated[int, Field(gt=0)], ...] = Field(min_length=1)
