"""DeepLabV3+ (Chen et al., arXiv:1802.02611): a dilated encoder, ASPP, and one step of decoding with a shallow map.

``deeplabv3plus`` covers the forms that are in use over any timm encoder: the defaults are those of
VainF/DeepLabV3Plus-Pytorch; ``separable_convolutions=True, convolutions=2`` is the paper's decoder; with
``channels=512, project_kernel=3, output_stride=8`` besides it is the head that HSSN takes from mmsegmentation.
Upsampling uses half-pixel centres, where the paper's code aligns corners.

``deeplabv3plus_smp`` is the form of segmentation-models-pytorch: one more convolution after the ASPP, one in the
decoder, separable ones without normalisation between, aligned corners.

Both differ from their originals in one case: a training batch of one image normalises the image's mean by the running
statistics, where the originals stop with an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from figureground.networks.blocks.aspp import ASPP, dense, separable, separable_linear
from figureground.networks.blocks.convolution import ConvNormReLU, he_normal
from figureground.networks.blocks.switches import OFF, EncoderDecoder, Switches
from figureground.networks.encoders import TimmEncoder
from figureground.networks.encoders.dilated import dilate_evenly, dilated_encoder
from figureground.networks.published.smp_names import DEEPLABV3PLUS
from figureground.networks.registry import register
from figureground.networks.transfer import TransferReport, transfer

_LOW_STRIDE = 4
_LOW_CHANNELS = 48


def _rates(output_stride: int) -> tuple[int, ...]:
    """The paper's dilations, which reach as far in the image at either stride."""
    return tuple(rate * 16 // output_stride for rate in (6, 12, 18))


class DeepLabV3Plus(EncoderDecoder):
    """ASPP on the coarsest map, upsampled to stride 4 and refined with the encoder's map there.

    encoder: ends at stride 8 or 16; the image is padded to a multiple of it.
    channels: of the ASPP and the decoder.
    rates: dilations of the ASPP.
    separable_convolutions: depthwise separable ones in the ASPP and the decoder.
    convolutions: how many 3x3 convolutions refine.
    project_kernel: of the convolution that ends the ASPP.
    """

    def __init__(
        self,
        leaves: int,
        encoder: TimmEncoder,
        *,
        channels: int,
        rates: Sequence[int],
        separable_convolutions: bool,
        convolutions: int,
        project_kernel: int,
        switches: Switches = OFF,
    ) -> None:
        super().__init__(multiple=encoder.strides[-1], least=16)
        layer = separable if separable_convolutions else dense
        self.encoder = encoder
        self.low_level = encoder.strides.index(_LOW_STRIDE)
        self.aspp = ASPP(encoder.channels[-1], channels, rates, layer, project_kernel=project_kernel)
        self.low = ConvNormReLU(encoder.channels[self.low_level], _LOW_CHANNELS, kernel=1)
        widths = (_LOW_CHANNELS + channels, *(channels for _ in range(convolutions - 1)))
        self.refine = nn.Sequential(*(layer(width, channels) for width in widths))
        self.classify = nn.Conv2d(channels, leaves, 1)
        for part in (self.aspp, self.low, self.refine, self.classify):
            he_normal(part.modules())
        self.switch_on(switches, leaves, reads=(encoder.channels[self.low_level], encoder.channels[-1]))

    def decode(self, maps: Sequence[Tensor], x: Tensor) -> Tensor:
        """The encoder's maps -> logits (N, leaves, H, W)."""
        shallow, deepest = self.attend((maps[self.low_level], maps[-1]))
        low = self.low(shallow)
        deep = _upsampled(self.aspp(deepest), self.multiple // _LOW_STRIDE)
        return _upsampled(self.classify(self.refine(torch.cat([low, deep], dim=1))), _LOW_STRIDE)


def _upsampled(x: Tensor, factor: int, *, align_corners: bool = False) -> Tensor:
    return F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=align_corners)


class AlignedDeepLabV3Plus(EncoderDecoder):
    """The form of segmentation-models-pytorch; options as of `DeepLabV3Plus`."""

    def __init__(
        self,
        leaves: int,
        encoder: TimmEncoder,
        *,
        channels: int,
        rates: Sequence[int],
        switches: Switches = OFF,
    ) -> None:
        super().__init__(multiple=encoder.strides[-1], least=16)
        self.encoder = encoder
        self.low_level = encoder.strides.index(_LOW_STRIDE)
        self.aspp = ASPP(encoder.channels[-1], channels, rates, separable_linear, dropout=0.5)
        self.settle = separable_linear(channels, channels)
        self.low = ConvNormReLU(encoder.channels[self.low_level], _LOW_CHANNELS, kernel=1)
        self.refine = separable_linear(channels + _LOW_CHANNELS, channels)
        self.classify = nn.Conv2d(channels, leaves, 1)
        for part in (self.aspp, self.settle, self.low, self.refine, self.classify):
            he_normal(part.modules())
        self.switch_on(switches, leaves, reads=(encoder.channels[self.low_level], encoder.channels[-1]))

    def decode(self, maps: Sequence[Tensor], x: Tensor) -> Tensor:
        """The encoder's maps -> logits (N, leaves, H, W)."""
        shallow, deepest = self.attend((maps[self.low_level], maps[-1]))
        deep = self.settle(self.aspp(deepest))
        deep = _upsampled(deep, self.multiple // _LOW_STRIDE, align_corners=True)
        refined = self.refine(torch.cat([deep, self.low(shallow)], dim=1))
        return _upsampled(self.classify(refined), _LOW_STRIDE, align_corners=True)

    def load_published(self, state: Mapping[str, Tensor]) -> TransferReport:
        """Take over what fits of a checkpoint of segmentation-models-pytorch, in place; other classes stay new.

        Raises NetworkError when nothing fits.
        """
        return transfer(self, DEEPLABV3PLUS.apply(state))


_MMSEGMENTATION = {
    "leaves": 19,
    "output_stride": 8,
    "channels": 512,
    "separable_convolutions": True,
    "convolutions": 2,
    "project_kernel": 3,
}


@register(
    "deeplabv3plus",
    parameters=39_756_705,
    source="counted from network/_deeplab.py of VainF/DeepLabV3Plus-Pytorch over ResNet-50, one class",
    stride=16,
    min_size=16,
    depth=True,
    reduced={"encoder": "mobilenetv2_035", "channels": 16},
    counts={
        "PASCAL VOC": ({"leaves": 21}, 39_761_845),
        "ResNet-101": ({"leaves": 21, "encoder": "resnet101"}, 58_753_973),
        "stride 8": ({"leaves": 21, "output_stride": 8}, 39_761_845),
        "the paper's decoder": ({"leaves": 21, "separable_convolutions": True, "convolutions": 2}, 26_696_133),
        "the paper's decoder, ResNet-101": (
            {"leaves": 21, "encoder": "resnet101", "separable_convolutions": True, "convolutions": 2},
            45_688_261,
        ),
        "HSSN": (_MMSEGMENTATION, 41_205_955),
        "HSSN, ResNet-101": ({**_MMSEGMENTATION, "encoder": "resnet101"}, 60_198_083),
    },
)
def deeplabv3plus(
    *,
    leaves: int = 1,
    in_channels: int = 3,
    encoder: str = "resnet50",
    encoder_weights: str | None = None,
    output_stride: int = 16,
    channels: int = 256,
    rates: Sequence[int] | None = None,
    separable_convolutions: bool = False,
    convolutions: int = 1,
    project_kernel: int = 1,
    gates: str | None = None,
    dual_attention: bool = False,
    auxiliary: bool = False,
) -> DeepLabV3Plus:
    """DeepLabV3+: a dilated encoder, spatial pyramid pooling, and a light decoder at stride 4.

    encoder: name of a timm model that can be dilated.
    encoder_weights: None, "imagenet" (timm's hub), or a safetensors file, a folder or "hub:owner/name".
    output_stride: 16, or 8 for maps twice as fine.
    rates: dilations of the ASPP; None for 6, 12 and 18 at stride 16 and twice these at stride 8.
    gates, dual_attention, auxiliary: see `blocks.switches`.

    The others are those of `DeepLabV3Plus`.
    """
    body = dilated_encoder(encoder, in_channels=in_channels, weights=encoder_weights, output_stride=output_stride)
    return DeepLabV3Plus(
        leaves,
        body,
        channels=channels,
        rates=_rates(output_stride) if rates is None else rates,
        separable_convolutions=separable_convolutions,
        convolutions=convolutions,
        project_kernel=project_kernel,
        switches=Switches(gates, dual_attention, auxiliary),
    )


@register(
    "deeplabv3plus_smp",
    parameters=26_677_585,
    source="segmentation-models-pytorch 0.6.0, DeepLabV3Plus over resnet50",
    stride=16,
    min_size=16,
    depth=True,
    reduced={"encoder": "mobilenetv2_035", "channels": 16},
    counts={
        "PASCAL VOC": ({"leaves": 21}, 26_682_725),
        "ResNet-101": ({"encoder": "resnet101"}, 45_669_713),
        "ResNet-101, PASCAL VOC": ({"encoder": "resnet101", "leaves": 21}, 45_674_853),
    },
)
def deeplabv3plus_smp(
    *,
    leaves: int = 1,
    in_channels: int = 3,
    encoder: str = "resnet50",
    encoder_weights: str | None = None,
    output_stride: int = 16,
    channels: int = 256,
    rates: Sequence[int] = (12, 24, 36),
    gates: str | None = None,
    dual_attention: bool = False,
    auxiliary: bool = False,
) -> AlignedDeepLabV3Plus:
    """DeepLabV3+ as segmentation-models-pytorch builds it.

    encoder: name of a timm model that can be dilated.
    encoder_weights: None, "imagenet" (timm's hub), or a safetensors file, a folder or "hub:owner/name".
    output_stride: 16, or 8 for maps twice as fine.
    channels: of the ASPP and the decoder.
    rates: dilations of the ASPP; that library takes the same ones at both strides.
    gates, dual_attention, auxiliary: see `blocks.switches`.
    """
    body = dilated_encoder(encoder, in_channels=in_channels, weights=encoder_weights, output_stride=output_stride)
    dilate_evenly(body)
    switches = Switches(gates, dual_attention, auxiliary)
    return AlignedDeepLabV3Plus(leaves, body, channels=channels, rates=rates, switches=switches)
