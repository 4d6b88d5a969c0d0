"""Any timm backbone as an encoder that gives one feature map per stride.

timm supplies the architecture and, through its hub, the ImageNet weights; a local safetensors file of the same key
names takes their place where the hub cannot be reached. An encoder is tried on the meta device when it is built, so
that one whose maps have other sizes than its strides say is refused before it is trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.func import functional_call

from figureground.errors import NetworkError, suggest
from figureground.networks.encoders.weights import IMAGENET, fill, imagenet_weights, local_weights

_TRIED = (256, 384)
"""Height and width of the image on which an encoder is tried: whole multiples of all strides, but of no square."""
_REMEDY = "use an encoder for images of any size that pads its convolutions, such as resnet34"
_MEASURED: dict[str, list[tuple[int, int]] | str] = {}
"""Encoders that have been tried -> the sizes of their maps, or the error."""


class TimmEncoder(nn.Module):
    """Feature maps of a timm backbone, finest first.

    Args:
        name: a timm model name with `features_only` support.
        in_channels: channels of the image; pretrained weights of 3 start with zeros for those after them, so that
            depth beside the colours changes nothing at first, and do not fit fewer.
        weights: `"imagenet"` fetches timm's pretrained weights; a safetensors file, a folder with `model.safetensors`
            or `"hub:owner/name"` is read under timm's key names; `None` starts from random values.
        levels: how many strides are used, each twice the last, counted from the finest one; `None` for all the
            encoder has, whatever they are.
        options: further arguments of `timm.create_model`, such as `output_stride=16`.

    Raises:
        NetworkError: for an unknown name, an encoder without these strides or for images of one size only, and for
            weights that cannot be fetched or do not fit.
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
        _check_maps(self, name, in_channels, options)
        if weights == IMAGENET:
            fill(self.body, imagenet_weights(name, features_only=True, **options), source=weights, name=name)
        elif weights is not None:
            instead = "run scripts/encoder_weights.py, or use 'imagenet'"
            tensors = _under_names_of(self.body, local_weights(weights, instead=instead))
            fill(self.body, tensors, source=weights, name=name)

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


def _under_names_of(body: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the whole timm model, whose stages some of timm's encoders call stages_0 and not stages.0."""
    tensors = dict(state)
    for child, _ in body.named_children():
        theirs = f"{child.replace('_', '.')}."
        for key in [key for key in state if "_" in child and key.startswith(theirs)]:
            tensors[f"{child}.{key.removeprefix(theirs)}"] = tensors.pop(key)
    return tensors


def _check_maps(encoder: TimmEncoder, name: str, in_channels: int, options: Mapping[str, Any]) -> None:
    """Raise NetworkError when the maps of an image do not have the sizes that the strides promise."""
    key = f"{name} {in_channels} {sorted(options.items())}"
    if key not in _MEASURED:
        _MEASURED[key] = _sizes(encoder.body, in_channels)
    found = _MEASURED[key]
    if isinstance(found, str):
        raise NetworkError(
            f"encoder '{name}' does not take an image of {_TRIED[0]}x{_TRIED[1]} pixels: {found}", remedy=_REMEDY
        )
    expected = [(_TRIED[0] // stride, _TRIED[1] // stride) for stride in encoder.strides]
    if found != expected:
        raise NetworkError(
            f"the strides of encoder '{name}' should be {encoder.strides}, but its maps of an image of "
            f"{_TRIED[0]}x{_TRIED[1]} pixels are " + ", ".join(f"{height}x{width}" for height, width in found),
            remedy=_REMEDY,
        )


def _sizes(body: nn.Module, in_channels: int) -> list[tuple[int, int]] | str:
    """Heights and widths of the maps of one image, on the meta device, or why there are none."""
    weightless = {key: tensor.to("meta") for key, tensor in (*body.named_parameters(), *body.named_buffers())}
    training = body.training
    try:
        with torch.no_grad():
            maps = functional_call(body.eval(), weightless, torch.empty(1, in_channels, *_TRIED, device="meta"))
    except (AssertionError, RuntimeError, ValueError) as error:
        return str(error).rstrip(".") or type(error).__name__
    finally:
        body.train(training)
    return [(int(x.shape[-2]), int(x.shape[-1])) for x in maps]
