"""Any timm backbone as an encoder that gives one feature map per stride.

timm supplies the architecture and, through its hub, the ImageNet weights; a local safetensors file of the same key
names takes their place where the hub cannot be reached.
"""

from __future__ import annotations

from pathlib import Path

import timm
import torch
from safetensors.torch import load_file
from torch import nn

from figureground.errors import NetworkError, suggest

IMAGENET = "imagenet"


class TimmEncoder(nn.Module):
    """Feature maps of a timm backbone, finest first.

    Args:
        name: a timm model name with `features_only` support.
        in_channels: channels of the image; timm adapts the stem's pretrained weights.
        weights: `"imagenet"` fetches timm's pretrained weights, a path reads a safetensors file with timm's key
            names, `None` starts from random values.
        levels: how many strides are used, counted from the finest one.

    Raises:
        NetworkError: for an unknown name or for weights that do not fit.
    """

    def __init__(self, name: str, *, in_channels: int = 3, weights: str | None = None, levels: int = 5) -> None:
        super().__init__()
        if not timm.is_model(name):
            raise NetworkError(f"timm has no encoder {name!r}", remedy=suggest(name, timm.list_models()))
        self.body = timm.create_model(
            name,
            features_only=True,
            pretrained=weights == IMAGENET,
            in_chans=in_channels,
            out_indices=tuple(range(levels)),
        )
        self.channels: list[int] = list(self.body.feature_info.channels())
        self.strides: list[int] = list(self.body.feature_info.reduction())
        if weights not in (None, IMAGENET):
            _load_local(self.body, Path(str(weights)))

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        """(N, C, H, W) -> maps of shape (N, channels[i], H / strides[i], W / strides[i])."""
        features: list[torch.Tensor] = self.body(image)
        return features


def _load_local(body: nn.Module, path: Path) -> None:
    if not path.is_file():
        raise NetworkError(f"no encoder weights at {path}", remedy="run scripts/encoder_weights.py, or use 'imagenet'")
    state = load_file(path)
    missing = [key for key in body.state_dict() if key not in state and not key.endswith("num_batches_tracked")]
    if missing:
        raise NetworkError(
            f"{path} does not fit the encoder: {len(missing)} tensors are missing, first {missing[0]!r}",
            remedy="use the weights of the same timm model",
        )
    wanted = body.state_dict()
    body.load_state_dict({key: value for key, value in state.items() if key in wanted}, strict=False)
