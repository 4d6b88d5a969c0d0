"""What a recipe says about depth, as types: whether, from files or from which estimator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from figureground.data.specs import Share, Strict
from figureground.images import DepthValues

Triple = tuple[float, float, float]
_Side = Annotated[int, Field(gt=0, le=8192)]
_Spread = Annotated[float, Field(gt=0)]


class EstimatorSpec(Strict):
    """A network that estimates depth from the picture: one of `onnx` and `transformers`."""

    onnx: Path | None = None
    """An ONNX file: float (N, 3, h, w) in, (N, h, w) or (N, 1, h, w) out."""
    transformers: str | None = None
    """A depth-estimation model of transformers: a folder of `save_pretrained`, or a name on the hub."""
    size: tuple[_Side, _Side] | None = None
    """Height and width that it is shown; its own, or for an ONNX file of any size the picture's, when not given."""
    mean: Triple | None = None
    std: tuple[_Spread, _Spread, _Spread] | None = None
    """Subtracted from, and dividing, red, green and blue between 0 and 1; ImageNet's, or what the model's files say."""
    values: DepthValues | None = None
    """What its answer grows with: `inverse` (nearness) unless the model's files say that it gives metres."""

    @model_validator(mode="after")
    def _one(self) -> EstimatorSpec:
        if (self.onnx is None) == (self.transformers is None):
            raise ValueError("an estimator is either 'onnx' or 'transformers'")
        if (self.mean is None) != (self.std is None):
            raise ValueError("give both 'mean' and 'std', or neither")
        return self


class DepthSpec(Strict):
    """Depth as a fourth channel, from files beside the photos unless there is an estimator."""

    estimator: EstimatorSpec | None = None
    values: DepthValues = "distance"
    """What the numbers of the files grow with."""
    drop: Share = 0.0
    """Share of the training samples whose depth is hidden, so that the network learns to do without."""
    cache: Path = Path("depth-cache")
    """Where estimated maps are kept; relative to where the command is run."""
