"""U-Net (arXiv:1505.04597) whose contracting path is any timm encoder, as segmentation-models-pytorch builds it.

Differences from the paper, all of them that library's: upsampling by repetition instead of a transposed convolution,
the skip after the upsampled map, no skip at full resolution, narrow last levels, a 3x3 classifier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from figureground.errors import NetworkError
from figureground.networks.blocks.convolution import ConvNormReLU, he_normal
from figureground.networks.blocks.switches import OFF, EncoderDecoder, Switches
from figureground.networks.encoders import TimmEncoder
from figureground.networks.encoders.timm_encoder import halving_encoder
from figureground.networks.published.smp_names import UNET
from figureground.networks.registry import register
from figureground.networks.transfer import TransferReport, transfer


class EncoderUNet(EncoderDecoder):
    """Encoder of five strides and five double convolutions on the way up; the image is padded to a multiple of 32.

    widths: channels of the way up at strides 16, 8, 4, 2 and 1.
    """

    def __init__(self, leaves: int, encoder: TimmEncoder, widths: Sequence[int], switches: Switches = OFF) -> None:
        if len(widths) != len(encoder.channels):
            raise NetworkError(
                f"{len(widths)} widths do not fit an encoder with {len(encoder.channels)} strides",
                remedy="give one width for each of the strides 16, 8, 4, 2 and 1",
            )
        super().__init__(multiple=encoder.strides[-1], least=encoder.strides[-1])
        self.encoder = encoder
        *shallow, deepest = encoder.channels
        skips = [*reversed(shallow), 0]
        self.blocks = nn.ModuleList(
            nn.Sequential(ConvNormReLU(deep + skip, width), ConvNormReLU(width, width))
            for deep, skip, width in zip((deepest, *widths[:-1]), skips, widths, strict=True)
        )
        self.classify = nn.Conv2d(widths[-1], leaves, 3, padding=1)
        he_normal([*self.blocks.modules(), self.classify])
        self.switch_on(switches, leaves, reads=encoder.channels)

    def decode(self, maps: Sequence[Tensor], x: Tensor) -> Tensor:
        """Maps at strides 2 to 32 -> logits (N, leaves, H, W)."""
        *skips, y = self.attend(maps)
        for block in self.blocks:
            y = F.interpolate(y, scale_factor=2.0, mode="nearest")
            y = block(torch.cat([y, skips.pop()], dim=1) if skips else y)
        logits: Tensor = self.classify(y)
        return logits

    def load_published(self, state: Mapping[str, Tensor]) -> TransferReport:
        """Take over what fits of a checkpoint of segmentation-models-pytorch, in place; other classes stay new.

        Raises NetworkError when nothing fits.
        """
        return transfer(self, UNET.apply(state))


@register(
    "unet_timm",
    parameters=24_436_369,
    source="segmentation-models-pytorch 0.6.0, Unet over resnet34",
    stride=32,
    min_size=32,
    depth=True,
    reduced={"encoder": "mobilenetv2_035", "widths": (32, 16, 16, 8, 8)},
    counts={
        "ResNet-50": ({"encoder": "resnet50"}, 32_521_105),
        "ResNet-101": ({"encoder": "resnet101"}, 51_513_233),
    },
)
def unet_timm(
    *,
    leaves: int = 1,
    in_channels: int = 3,
    encoder: str = "resnet34",
    encoder_weights: str | None = None,
    widths: Sequence[int] = (256, 128, 64, 32, 16),
    gates: str | None = None,
    dual_attention: bool = False,
    auxiliary: bool = False,
) -> EncoderUNet:
    """U-Net over any timm encoder, as segmentation-models-pytorch builds it.

    encoder: name of a timm model with strides 2 to 32.
    encoder_weights: None, "imagenet" (timm's hub), or a safetensors file, a folder or "hub:owner/name".
    widths: channels of the way up at strides 16, 8, 4, 2 and 1.
    gates, dual_attention, auxiliary: see `blocks.switches`.
    """
    body = halving_encoder(encoder, in_channels=in_channels, weights=encoder_weights)
    return EncoderUNet(leaves, body, widths, Switches(gates, dual_attention, auxiliary))
