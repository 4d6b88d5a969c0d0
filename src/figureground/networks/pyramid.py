"""Pyramid: a light feature-pyramid decoder over any timm encoder; the network behind the shipped person bundles.

The decoder walks from the coarsest map to the finest as in a feature pyramid network (Lin et al., arXiv:1612.03144):
upsample, add a 1x1 projection of the encoder's map, refine with one 3x3 convolution that also narrows the channels as
in U-Net (arXiv:1505.04597). Where it differs: dense 3x3 convolutions on few channels instead of wide or depthwise
ones, because those are what a CPU runs fastest; and the coarsest level adds the image-wide mean of its features (the
image-level branch of ASPP, arXiv:1706.05587), so that an empty scene can be told from a full one at every pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from figureground.errors import NetworkError
from figureground.networks.blocks.switches import OFF, EncoderDecoder, Switches
from figureground.networks.encoders import TimmEncoder
from figureground.networks.registry import register


def _conv_bn_relu(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Context(nn.Module):
    """Project the coarsest map and add what the whole image looks like to every pixel of it.

    A 1x1 projection, a 3x3 convolution dilated twice for a wider view, and the projected image-wide mean.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.project = _conv_bn_relu(inputs, outputs, 1)
        self.wide = nn.Sequential(
            nn.Conv2d(outputs, outputs, 3, padding=2, dilation=2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )
        # No batch norm here: one value per image and channel has no variance when the batch holds one image.
        self.image = nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.ReLU(inplace=True))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, h, w) -> (N, outputs, h, w)."""
        y = self.project(x)
        mean: torch.Tensor = self.image(x.mean((2, 3), keepdim=True))
        return torch.as_tensor(y + self.wide(y) + mean)


class Pyramid(EncoderDecoder):
    """Encoder, context, and one refinement per stride; logits at the finest stride are upsampled to the image."""

    encoder: TimmEncoder

    def __init__(self, encoder: TimmEncoder, *, leaves: int, widths: Sequence[int], switches: Switches = OFF) -> None:
        if len(widths) < 2:
            raise NetworkError("one width makes no pyramid", remedy="give a width for each of two strides or more")
        super().__init__(multiple=encoder.strides[-1], least=1)
        self.encoder = encoder
        channels = encoder.channels
        self.context = Context(channels[-1], widths[0])
        self.laterals = nn.ModuleList()
        self.refine = nn.ModuleList()
        width = widths[0]
        for skip, narrower in zip(channels[-2::-1], widths[1:], strict=True):
            self.laterals.append(nn.Conv2d(skip, width, 1))
            self.refine.append(_conv_bn_relu(width, narrower, 3))
            width = narrower
        self.head = nn.Conv2d(width, leaves, 3, padding=1)
        self.switch_on(switches, leaves, reads=channels)

    def decode(self, maps: Sequence[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        """Maps at all strides, finest first -> (N, leaves, H, W)."""
        *skips, coarsest = self.attend(maps)
        y = self.context(coarsest)
        for lateral, refine, skip in zip(self.laterals, self.refine, reversed(skips), strict=True):
            y = refine(_upsampled(y, 2) + lateral(skip))
        return _upsampled(self.head(y), self.encoder.strides[0])


def _upsampled(x: torch.Tensor, factor: int) -> torch.Tensor:
    return F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)


@register(
    "pyramid",
    parameters=2_264_313,
    source="our own design: counted on the networks that were trained, so that it cannot change unnoticed",
    stride=32,
    min_size=1,
    depth=True,
    reduced={"encoder": "mobilenetv2_035", "widths": [16, 16, 16, 8, 8]},
    counts={
        "person": ({"encoder": "efficientnet_lite2", "widths": (128, 96, 64, 48, 24)}, 4_823_353),
        "person-fast": ({"encoder": "mobilenetv2_100", "widths": (64, 48, 32, 24, 16)}, 1_951_081),
    },
)
def pyramid(
    *,
    leaves: int = 1,
    in_channels: int = 3,
    encoder: str = "mobilenetv2_100",
    encoder_weights: str | None = None,
    widths: Sequence[int] = (128, 96, 64, 48, 24),
    gates: str | None = None,
    dual_attention: bool = False,
    auxiliary: bool = False,
) -> nn.Module:
    """Light feature pyramid over a timm encoder.

    Args:
        leaves: leaves of the label tree, one logit map each.
        in_channels: 3 for colour, 4 with depth.
        encoder: a timm model name.
        encoder_weights: None, "imagenet" (timm's hub), or a safetensors file, a folder or "hub:owner/name".
        widths: channels at strides 32, 16, 8, 4 and 2; one for each stride of the encoder.
        gates: None, or a form of attention-boosting gates; see `blocks.switches`, also for the next two.
        dual_attention: HSNet's dual attention on the finest map.
        auxiliary: a second output for training, "aux_encoder".

    Raises:
        NetworkError: an unknown encoder, one whose strides are not each twice the last, or weights that do not fit.
    """
    body = TimmEncoder(encoder, in_channels=in_channels, weights=encoder_weights, levels=len(widths))
    return Pyramid(body, leaves=leaves, widths=widths, switches=Switches(gates, dual_attention, auxiliary))
