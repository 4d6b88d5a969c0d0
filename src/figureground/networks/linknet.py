"""LinkNet (Chaurasia, Culurciello, arXiv:1707.03718): a ResNet encoder, a thin decoder, skips by addition.

``linknet`` is the paper's network over ResNet-18, with three links as in its figure; the authors' code adds a fourth,
from the pooled stem. Sums get a ReLU of their own, as in that code (e-lab/LinkNet models/model.lua); batch
normalisation has eps 1e-5, not its 1e-3.

``linknet_timm`` is the form that segmentation-models-pytorch made common, over any timm encoder with five strides: one
decoder block per stride, 4x4 transposed convolutions, and no ReLU after a sum.

``linknet_humanseg`` is the network of that name in bumchik2/HumanSegmentation: full resolution, an encoder of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from figureground.networks.blocks.convolution import ConvNormReLU, he_normal
from figureground.networks.blocks.switches import OFF, EncoderDecoder, Switches
from figureground.networks.encoders import TimmEncoder
from figureground.networks.encoders.timm_encoder import halving_encoder
from figureground.networks.published.smp_names import LINKNET
from figureground.networks.registry import register
from figureground.networks.transfer import TransferReport, transfer


class DecoderBlock(nn.Sequential):
    """Narrow to a quarter of the inputs, upsample there, widen: (N, inputs, h, w) -> (N, outputs, s * h, s * w).

    kernel: 3, or 4, of the transposed convolution in the middle.
    stride: s, 1 or 2; 2 for kernel 4.
    bias, up_bias: of the 1x1 convolutions and of the transposed one.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, stride: int = 2, *, bias: bool = False, up_bias: bool = False
    ) -> None:
        thin = inputs // 4
        # Padding 1 loses 2 - kernel + stride pixels against stride times the size; the output padding returns them.
        up = nn.ConvTranspose2d(thin, thin, kernel, stride, padding=1, output_padding=2 - kernel + stride, bias=up_bias)
        super().__init__(
            ConvNormReLU(inputs, thin, 1, bias=bias),
            nn.Sequential(up, nn.BatchNorm2d(thin), nn.ReLU(inplace=True)),
            ConvNormReLU(thin, outputs, 1, bias=bias),
        )


class LinkNet(EncoderDecoder):
    """The paper's network; the image is padded to a multiple of 32.

    encoder: five strides, 2 to 32.
    link_stem: also add the pooled stem to what the last decoder block gives, as the authors' code does; for encoders
        that pool their stem, the ResNets.
    switches: the stem is among the maps that are read only where it is linked.
    """

    def __init__(self, leaves: int, encoder: TimmEncoder, link_stem: bool, switches: Switches = OFF) -> None:
        super().__init__(multiple=32, least=32)
        self.encoder = encoder
        stem, *widths = encoder.channels
        self.blocks = nn.ModuleList(DecoderBlock(deep, shallow) for shallow, deep in reversed(list(pairwise(widths))))
        self.last = DecoderBlock(widths[0], stem, stride=1)
        self.link_stem = link_stem
        self.final = nn.Sequential(
            nn.ConvTranspose2d(stem, 32, 3, stride=2, padding=1, output_padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(inplace=True),
            ConvNormReLU(32, 32),
            nn.ConvTranspose2d(32, leaves, 2, stride=2),
        )
        for part in (self.blocks, self.last, self.final):
            he_normal(part.modules())
        self.switch_on(switches, leaves, reads=encoder.channels if link_stem else widths)

    def decode(self, maps: Sequence[Tensor], x: Tensor) -> Tensor:
        """Maps at strides 2 to 32 -> logits (N, leaves, H, W)."""
        *skips, y = self.attend(maps if self.link_stem else maps[1:])
        for block in self.blocks:
            y = F.relu(block(y) + skips.pop(), inplace=True)
        y = self.last(y)
        if self.link_stem:
            y = F.relu(y + F.max_pool2d(skips.pop(), 3, 2, padding=1), inplace=True)
        logits: Tensor = self.final(y)
        return logits


class FiveBlockLinkNet(EncoderDecoder):
    """LinkNet with one decoder block for each of the encoder's five strides; padded to a multiple of 32."""

    def __init__(self, leaves: int, encoder: TimmEncoder, switches: Switches = OFF) -> None:
        super().__init__(multiple=32, least=32)
        self.encoder = encoder
        self.blocks = nn.ModuleList(
            DecoderBlock(deep, shallow, kernel=4, up_bias=True)
            for shallow, deep in reversed(list(pairwise((32, *encoder.channels))))
        )
        self.classify = nn.Conv2d(32, leaves, 1)
        he_normal([*self.blocks.modules(), self.classify])
        self.switch_on(switches, leaves, reads=encoder.channels)

    def decode(self, maps: Sequence[Tensor], x: Tensor) -> Tensor:
        """Maps at strides 2 to 32 -> logits (N, leaves, H, W)."""
        *skips, y = self.attend(maps)
        for block in self.blocks[:-1]:
            y = block(y) + skips.pop()
        logits: Tensor = self.classify(self.blocks[-1](y))
        return logits

    def load_published(self, state: Mapping[str, Tensor]) -> TransferReport:
        """Take over what fits of a checkpoint of segmentation-models-pytorch, in place; other classes stay new.

        Raises NetworkError when nothing fits.
        """
        return transfer(self, LINKNET.apply(state))


class _ResidualDown(nn.Module):
    """Two convolutions around which the input is added, then one of stride 2 that widens."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(ConvNormReLU(inputs, inputs, bias=True), ConvNormReLU(inputs, inputs, bias=True))
        self.down = ConvNormReLU(inputs, outputs, stride=2, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down(x + self.residual(x))
        return out


class FullResolutionLinkNet(EncoderDecoder):
    """HumanSegmentation's LinkNet: a stem at full resolution, four strides, three links; padded to a multiple of 16.

    width: channels of the stem (64 in the original), a multiple of 4.
    """

    def __init__(self, leaves: int, in_channels: int, width: int, switches: Switches = OFF) -> None:
        super().__init__(multiple=16, least=16)
        widths = [width * factor for factor in (1, 1, 2, 4, 8)]
        self.stem = ConvNormReLU(in_channels, width, bias=True)
        self.downs = nn.ModuleList(_ResidualDown(shallow, deep) for shallow, deep in pairwise(widths))
        self.ups = nn.ModuleList(
            DecoderBlock(deep, shallow, bias=True, up_bias=True) for shallow, deep in reversed(list(pairwise(widths)))
        )
        self.finish = nn.Sequential(ConvNormReLU(width, width // 2, bias=True), nn.Conv2d(width // 2, leaves, 1))
        he_normal(self.modules())
        self.switch_on(switches, leaves, reads=widths[1:], encoded=widths[1:])

    def encode(self, x: Tensor) -> list[Tensor]:
        """(N, C, H, W), sides multiples of 16 -> the maps of the four strides, finest first."""
        x = self.stem(x)
        maps = []
        for down in self.downs:
            x = down(x)
            maps.append(x)
        return maps

    def decode(self, maps: Sequence[Tensor], x: Tensor) -> Tensor:
        """The maps of the four strides -> logits (N, leaves, H, W)."""
        *skips, x = self.attend(maps)
        x = self.ups[0](x)
        for up, skip in zip(self.ups[1:], reversed(skips), strict=True):
            x = up(x + skip)
        logits: Tensor = self.finish(x)
        return logits


@register(
    "linknet",
    parameters=11_533_345,
    source="counted from the layer table of arXiv:1707.03718 (ResNet-18, a bias in the first upsampling), one class",
    stride=32,
    min_size=32,
    depth=True,
    reduced={"encoder": "mobilenetv2_035"},
    counts={
        "PASCAL VOC": ({"leaves": 21}, 11_535_925),
        "Cityscapes": ({"leaves": 19}, 11_535_667),
        "the authors' four links": ({"leaves": 21, "link_stem": True}, 11_535_925),
    },
)
def linknet(
    *,
    leaves: int = 1,
    in_channels: int = 3,
    encoder: str = "resnet18",
    encoder_weights: str | None = None,
    link_stem: bool = False,
    gates: str | None = None,
    dual_attention: bool = False,
    auxiliary: bool = False,
) -> LinkNet:
    """LinkNet: ResNet-18 and a thin decoder, skips added.

    encoder: name of a timm model with strides 2 to 32.
    encoder_weights: None, "imagenet" (timm's hub), or a safetensors file, a folder or "hub:owner/name".
    link_stem: add the pooled stem too, as the authors' code does.
    gates, dual_attention, auxiliary: see `blocks.switches`.
    """
    body = halving_encoder(encoder, in_channels=in_channels, weights=encoder_weights)
    return LinkNet(leaves, body, link_stem, Switches(gates, dual_attention, auxiliary))


@register(
    "linknet_timm",
    parameters=21_771_937,
    source="segmentation-models-pytorch 0.6.0, Linknet over resnet34",
    stride=32,
    min_size=32,
    depth=True,
    reduced={"encoder": "mobilenetv2_035"},
)
def linknet_timm(
    *,
    leaves: int = 1,
    in_channels: int = 3,
    encoder: str = "resnet34",
    encoder_weights: str | None = None,
    gates: str | None = None,
    dual_attention: bool = False,
    auxiliary: bool = False,
) -> FiveBlockLinkNet:
    """LinkNet over any timm encoder, as segmentation-models-pytorch builds it.

    encoder: name of a timm model with strides 2 to 32.
    encoder_weights: None, "imagenet" (timm's hub), or a safetensors file, a folder or "hub:owner/name".
    gates, dual_attention, auxiliary: see `blocks.switches`.
    """
    body = halving_encoder(encoder, in_channels=in_channels, weights=encoder_weights)
    return FiveBlockLinkNet(leaves, body, Switches(gates, dual_attention, auxiliary))


@register(
    "linknet_humanseg",
    parameters=3_563_489,
    source="bumchik2/HumanSegmentation models/linknet.py",
    stride=16,
    min_size=16,
    depth=True,
    reduced={"width": 8},
)
def linknet_humanseg(
    *,
    leaves: int = 1,
    in_channels: int = 3,
    width: int = 64,
    gates: str | None = None,
    dual_attention: bool = False,
    auxiliary: bool = False,
) -> FullResolutionLinkNet:
    """HumanSegmentation's LinkNet, which starts at full resolution.

    width: as of `FullResolutionLinkNet`.
    gates, dual_attention, auxiliary: see `blocks.switches`; the maps are those of the four strides.
    """
    return FullResolutionLinkNet(leaves, in_channels, width, Switches(gates, dual_attention, auxiliary))
