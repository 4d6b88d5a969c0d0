"""Any timm backbone as an encoder that gives one feature map per stride.

timm supplies the architecture and, through its hub, the ImageNet weights; a local safetensors file of the same key
names takes their place where the hub cannot be reached.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from figureground.errors import NetworkError, suggest
from figureground.networks.transfer import transfer

IMAGENET = "imagenet"


class TimmEncoder(nn.Module):
    """Feature maps of a timm backbone, finest first.

    Args:
        name: a timm model name with `features_only` support.
        in_channels: channels of the image; pretrained weights of 3 start with zeros for those after them, so that
            depth beside the colours changes nothing at first.
        weights: `"imagenet"` fetches timm's pretrained weights, a path reads a safetensors file with timm's key
            names, `None` starts from random values.
        levels: how many strides are used, each twice the last, counted from the finest one; `None` for all the
            encoder has, whatever they are.
        options: further arguments of `timm.create_model`, such as `output_stride=16`.

    Raises:
        NetworkError: for an unknown name, an encoder without these strides, or weights that do not fit.
    """

    def __init__(
        self,
        name: str,
        *,
        in_channels: int = 3,
        weights: str | None = None,
        levels: int | None = 5,
        **options: Any,
    ) -> None:
        super().__init__()
        if not timm.is_model(name):
            raise NetworkError(f"timm has no encoder {name!r}", remedy=suggest(name, timm.list_models()))
        if levels is not None:
            options["out_indices"] = tuple(range(levels))
        try:
            self.body = timm.create_model(name, features_only=True, in_chans=in_channels, **options)
        except (IndexError, AssertionError) as error:
            if levels is None:
                raise
            raise NetworkError(f"encoder '{name}' has fewer than {levels} strides", remedy="ask for fewer") from error
        info: Any = self.body.feature_info
        self.channels: list[int] = list(info.channels())
        self.strides: list[int] = list(info.reduction())
        if levels is not None and any(coarse != 2 * fine for fine, coarse in pairwise(self.strides)):
            raise NetworkError(
                f"the strides of encoder '{name}' are {self.strides}",
                remedy="use an encoder that halves the map at every level, such as resnet34",
            )
        if weights == IMAGENET:
            pretrained = timm.create_model(name, features_only=True, pretrained=True, **options)
            transfer(self.body, pretrained.state_dict())
        elif weights is not None:
            _load_local(self.body, Path(str(weights)))

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        """(N, C, H, W) -> maps of shape (N, channels[i], H / strides[i], W / strides[i])."""
        features: list[torch.Tensor] = self.body(image)
        return features


def halving_encoder(name: str, *, in_channels: int, weights: str | None) -> TimmEncoder:
    """The timm encoder ``name`` with maps at strides 2, 4, 8, 16 and 32, which U-Net and LinkNet need.

    in_channels, weights: as for `TimmEncoder`.

    Raises NetworkError for an encoder with other strides, such as VGG's, which starts at stride 1.
    """
    encoder = TimmEncoder(name, in_channels=in_channels, weights=weights)
    if encoder.strides[0] != 2:
        raise NetworkError(
            f"the strides of encoder '{name}' are {encoder.strides}",
            remedy="use an encoder with the strides 2, 4, 8, 16 and 32, such as resnet34",
        )
    return encoder


def _load_local(body: nn.Module, path: Path) -> None:
    if not path.is_file():
        raise NetworkError(f"no encoder weights at {path}", remedy="run scripts/encoder_weights.py, or use 'imagenet'")
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise NetworkError(
            f"{path} is no safetensors file: {error}", remedy="run scripts/encoder_weights.py"
        ) from error
    # The count of batches is no weight, and PyTorch's older files lack it.
    wanted = {key: value for key, value in body.state_dict().items() if not key.endswith("num_batches_tracked")}
    held = {key: state[key] for key in wanted if key in state}
    misfit = transfer(body, held).new if held else tuple(wanted)
    if misfit:
        key = misfit[0]
        found = tuple(state[key].shape) if key in state else "missing"
        raise NetworkError(
            f"{path} does not fit the encoder: {key!r} is {found}, not {tuple(wanted[key].shape)}",
            remedy="use the weights of the same timm model",
        )
