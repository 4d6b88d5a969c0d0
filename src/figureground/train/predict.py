"""What a recipe says about the use of its network: views, an ensemble, closer looks, refinement, threshold.

No training sees it.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator
from pydantic_core.core_schema import ValidationInfo

from figureground.data.specs import Strict
from figureground.runtime.inference import Inference

Settings = dict[str, Any]


class Predict(Strict):
    """What stands around the network when it predicts; the settings are those of predictor files."""

    views: Settings | None = None
    """Test-time augmentation: `flip`, `scales` and `mean`; `{}` is the photo and its mirror image."""
    ensemble: Settings | None = None
    """Other networks beside this one: `with`, shipped names and files; `weights`, this network's first; `mean`."""
    people_first: Settings | None = None
    """A closer look at each person: `find`, `margin`, `zoom` and `crops`; `{}` for the defaults."""
    tiles: Settings | None = None
    """A closer look tile by tile: `zoom`, `tile`, `overlap` and `trust`; `{}` for the defaults."""
    refine: str | tuple[Settings, ...] = ()
    """Steps after the network, as `--refine` takes them, or as names and settings."""
    threshold: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Probability from which a pixel is figure; when None 0.5, with an ensemble the mean of the networks' own."""

    @field_validator("views", "ensemble", "people_first", "tiles", "refine")
    @classmethod
    def _possible(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None:
            Inference(**{str(info.field_name): value})  # each by itself, so that the message names its place
        return value

    @model_validator(mode="after")
    def _together(self) -> Predict:
        _ = self.inference
        return self

    @property
    def inference(self) -> Inference:
        """The same as the runtime builds it."""
        return Inference(
            views=self.views,
            ensemble=self.ensemble,
            people_first=self.people_first,
            tiles=self.tiles,
            refine=self.refine,
            threshold=self.threshold,
        )

    @property
    def hides_depth(self) -> bool:
        """Whether what stands around the network hands no depth maps on to it."""
        return any(one is not None for one in (self.views, self.ensemble, self.people_first, self.tiles))
