"""SERNet-Former (Erisen, arXiv:2401.15741): boosted stages, a dilated bridge, two attention-fusion branches.

The author's repository holds results and no network, so both networks here are readings. ``sernet_former`` is the
paper's design as far as text and figures tell: a ResNet whose stem and four stages each end in an attention-boosting
module, a dilation-based network, fusion of a shallow and a deep branch, and a decoder to full resolution. What is not
told is chosen here: 1x1 convolutions in the modules (``kernel=3`` doubles the network), dilations 12, 16 and 18, and
the decoder of the compact network. At output stride 8 the last two modules share a size, as the paper says; 16 takes
half of the multiply-adds. The switches of its ablation are options, and on unless switched off.

``sernet_former_compact`` is the network of this name in HolyBayes/FastSeg, layer by layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from timm.models import FeatureDictNet
from torch import Tensor, nn

from figureground.errors import NetworkError
from figureground.networks.blocks.attention_boosting import BoostedConv
from figureground.networks.blocks.attention_fusion import CONTEXT, SPATIAL, FusionBranch
from figureground.networks.blocks.conv_decoder import UpsampleBlock
from figureground.networks.blocks.convolution import ConvNormReLU
from figureground.networks.blocks.dilation_based import RATES, DilationBasedNetwork
from figureground.networks.blocks.switches import EncoderDecoder, Switches
from figureground.networks.encoders import TimmEncoder
from figureground.networks.encoders.dilated import dilated_encoder
from figureground.networks.options import refuse_idle
from figureground.networks.registry import register

_MULTIPLE = 16
_LEAST = 32


class FusingDecoder(nn.Module):
    """Fuses a shallow map at stride 4 and a deep one, joins the stem at stride 2, classifies at full resolution.

    stem, width, deep: channels of the three maps.
    deep_stride: 8 or 16, of the deep map.
    gate: form of the gates, None for none.
    spatial, context: whether the shallow and the deep branch have their fusion network.
    cross: None, or the form of the cross gates, which the shallow map opens.
    """

    def __init__(
        self,
        leaves: int,
        *,
        stem: int,
        width: int,
        deep: int,
        deep_stride: int,
        gate: str | None = "pixel",
        spatial: bool = True,
        context: bool = True,
        cross: str | None = None,
    ) -> None:
        super().__init__()
        self.spatial = FusionBranch(
            width, width, factor=1, strides=SPATIAL if spatial else None, gate=gate, cross=cross, encoded=width
        )
        self.context = FusionBranch(
            deep,
            width // 2,
            factor=deep_stride // 4,
            strides=CONTEXT if context else None,
            gate=gate,
            cross=cross,
            encoded=width,
        )
        self.join = nn.Sequential(
            nn.Conv2d(2 * width + width // 2, width, 1, bias=False), nn.BatchNorm2d(width), nn.PReLU()
        )
        self.up1 = UpsampleBlock(width, width)
        self.up2 = UpsampleBlock(stem + width, stem + width)
        self.classify = nn.Conv2d(stem + width, leaves, 1)

    def forward(self, stem: Tensor, shallow: Tensor, deep: Tensor) -> Tensor:
        """Maps of an image (N, C, H, W), sides multiples of 16 -> logits (N, leaves, H, W)."""
        joined = torch.cat([shallow, self.spatial(shallow, shallow), self.context(deep, shallow)], dim=1)
        half = torch.cat([stem, self.up1(self.join(joined))], dim=1)
        logits: Tensor = self.classify(self.up2(half))
        return logits


class CompactEncoder(nn.Module):
    """Five boosted convolutions: maps with w, w, 2w, 4w and 8w channels at strides 2, 4, 8, 16 and 16.

    gate: form of the gates, None for none.
    """

    def __init__(self, in_channels: int, width: int, gate: str | None) -> None:
        super().__init__()
        w = width
        self.channels = [w, w, 2 * w, 4 * w, 8 * w]
        self.strides = [2, 4, 8, 16, 16]
        self.stem = BoostedConv(in_channels, w, stride=2, gate=gate)
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.stages = nn.ModuleList(
            BoostedConv(inputs, outputs, stride=stride, gate=gate)
            for inputs, outputs, stride in ((w, w, 1), (w, 2 * w, 2), (2 * w, 4 * w, 2), (4 * w, 8 * w, 1))
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, in_channels, H, W), sides multiples of 16 -> maps (N, channels[i], H / strides[i], W / strides[i])."""
        maps = [self.stem(x)]
        x = self.pool(maps[0])
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class SERNetFormer(EncoderDecoder):
    """An encoder, a bridge and a `FusingDecoder`; the image is padded to a multiple of 16.

    boosts: name of a layer of a timm encoder -> what follows it, before the next layer reads it; may be empty.
    shallow: from the encoder's second map to what the decoder reads at stride 4, ``width`` channels.
    bridge: from the encoder's last map to what the decoder reads as the deep one.
    """

    def __init__(
        self,
        leaves: int,
        encoder: CompactEncoder | TimmEncoder,
        decoder: FusingDecoder,
        *,
        boosts: Mapping[str, nn.Module],
        shallow: nn.Module,
        bridge: nn.Module,
        width: int,
        switches: Switches,
    ) -> None:
        super().__init__(multiple=_MULTIPLE, least=_LEAST)
        self.encoder = encoder
        self.boosts = nn.ModuleDict(boosts)
        self.shallow = shallow
        self.bridge = bridge
        self.decoder = decoder
        for part in (self.boosts, shallow, bridge, decoder):
            _xavier_pointwise(part)
        self.switch_on(switches, leaves, reads=(width,))

    def encode(self, x: Tensor) -> Sequence[Tensor]:
        """(N, C, H, W), sides multiples of 16 -> the encoder's maps, finest first, each boosted."""
        if not self.boosts:
            return super().encode(x)
        maps = []
        for name, layer in cast("nn.ModuleDict", self.encoder.body).items():
            x = layer(x)
            if name in self.boosts:
                x = self.boosts[name](x)
                maps.append(x)
        return maps

    def decode(self, maps: Sequence[Tensor], x: Tensor) -> Tensor:
        """The encoder's maps -> logits (N, leaves, H, W)."""
        (shallow,) = self.attend((self.shallow(maps[1]),))
        logits: Tensor = self.decoder(maps[0], shallow, self.bridge(maps[-1]))
        return logits


def _xavier_pointwise(part: nn.Module) -> None:
    """Draw the weights of 1x1 convolutions as FastSeg does; its other layers start as torch starts them."""
    for module in part.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1):
            nn.init.xavier_uniform_(module.weight)


def _layers(encoder: TimmEncoder) -> list[str]:
    """Names of the layers of a timm encoder that give its maps; NetworkError when they cannot be told apart."""
    remedy = "use a ResNet, such as resnet50"
    if not isinstance(encoder.body, FeatureDictNet):
        raise NetworkError("the stages of this encoder cannot be boosted one by one", remedy=remedy)
    if encoder.strides[:2] != [2, 4]:
        raise NetworkError(f"the strides of the encoder are {encoder.strides}", remedy=remedy)
    return list(encoder.body.return_layers)


@register(
    "sernet_former",
    parameters=37_802_386,
    source="our reading of arXiv:2401.15741, whose network is not published; the sum of the layers of torchvision's "
    "ResNet-50 and of the modules' definitions",
    stride=16,
    min_size=_LEAST,
    depth=True,
    reduced={"encoder": "resnet10t", "channels": 16, "width": 8},
    counts={
        "ResNet-50, Cityscapes": ({"leaves": 19}, 37_804_708),
        "ResNet-101, Cityscapes": ({"leaves": 19, "encoder": "resnet101"}, 56_796_836),
        "ResNet-50, 3x3 modules": ({"leaves": 19, "kernel": 3}, 82_401_956),
        "ResNet-101, 3x3 modules": ({"leaves": 19, "encoder": "resnet101", "kernel": 3}, 101_394_084),
        "output stride 16": ({"leaves": 19, "output_stride": 16}, 37_804_708),
    },
)
def sernet_former(
    *,
    leaves: int = 1,
    in_channels: int = 3,
    encoder: str = "resnet50",
    encoder_weights: str | None = None,
    output_stride: int = 8,
    channels: int = 512,
    width: int = 64,
    kernel: int = 1,
    rates: Sequence[int] = RATES,
    gates: str | None = "pixel",
    boosts: bool = True,
    dilation: bool = True,
    spatial_fusion: bool = True,
    context_fusion: bool = True,
    cross_gates: str | None = None,
    dual_attention: bool = False,
    auxiliary: bool = False,
) -> SERNetFormer:
    """SERNet-Former: a ResNet with boosted stages, a dilated bridge and attention-fusion branches.

    encoder: name of a timm ResNet.
    encoder_weights: None, "imagenet" (timm's hub), or a safetensors file, a folder or "hub:owner/name".
    output_stride: 8 as in the paper, or 16 for half of the multiply-adds.
    channels: of the bridge.
    width: channels of the shallow branch; the deep one has half.
    kernel: of the convolutions in the attention-boosting modules.
    rates: dilations of the bridge.
    gates: form of the attention-boosting gates; None for plain activations.
    boosts: the attention-boosting modules after the stem and the stages.
    dilation: the dilation-based network; without it the bridge is its 1x1 convolution.
    spatial_fusion, context_fusion: the fusion networks of the shallow and the deep branch.
    cross_gates: None, or "sigmoid" or "attention": let the shallow map gate both branches before they are fused.
    dual_attention, auxiliary: see `blocks.switches`; dual attention stands on the shallow map.
    """
    fuses = spatial_fusion or context_fusion
    if not boosts:
        refuse_idle({"kernel": kernel != 1}, "boosts")
    if not dilation:
        refuse_idle({"rates": tuple(rates) != RATES}, "dilation")
    if not fuses:
        refuse_idle({"cross_gates": cross_gates is not None}, "spatial_fusion", "context_fusion")
    if not (boosts or fuses):
        refuse_idle({"gates": gates not in (None, "pixel")}, "boosts", "spatial_fusion", "context_fusion")
    body = dilated_encoder(encoder, in_channels=in_channels, weights=encoder_weights, output_stride=output_stride)
    names = _layers(body)
    modules = {
        name: BoostedConv(wide, wide, kernel, activation=nn.ReLU(), gate=gates)
        for name, wide in zip(names, body.channels, strict=True)
    }
    reduce = ConvNormReLU(body.channels[-1], channels, kernel=1)
    decoder = FusingDecoder(
        leaves,
        stem=body.channels[0],
        width=width,
        deep=channels,
        deep_stride=output_stride,
        gate=gates,
        spatial=spatial_fusion,
        context=context_fusion,
        cross=cross_gates,
    )
    shallow = nn.Sequential(nn.Conv2d(body.channels[1], width, 1, bias=False), nn.BatchNorm2d(width), nn.PReLU())
    return SERNetFormer(
        leaves,
        body,
        decoder,
        boosts=modules if boosts else {},
        shallow=shallow,
        bridge=nn.Sequential(reduce, *([DilationBasedNetwork(channels, rates)] if dilation else [])),
        width=width,
        switches=Switches(dual_attention=dual_attention, auxiliary=auxiliary),
    )


@register(
    "sernet_former_compact",
    parameters=9_234_710,
    source="HolyBayes/FastSeg src/models/SERNet_Former",
    stride=16,
    min_size=_LEAST,
    depth=True,
    reduced={"width": 8},
    counts={"two classes": ({"leaves": 2}, 9_234_839)},
)
def sernet_former_compact(
    *,
    leaves: int = 1,
    in_channels: int = 3,
    width: int = 64,
    rates: Sequence[int] = RATES,
    gates: str | None = "pixel",
    cross_gates: str | None = None,
    dual_attention: bool = False,
    auxiliary: bool = False,
) -> SERNetFormer:
    """HolyBayes/FastSeg's SERNet-Former: an encoder of five boosted convolutions, without pretraining.

    width: channels of the stem, an eighth of the bridge's.
    rates: dilations of the bridge.

    The others are those of `sernet_former`.
    """
    decoder = FusingDecoder(
        leaves, stem=width, width=width, deep=8 * width, deep_stride=16, gate=gates, cross=cross_gates
    )
    return SERNetFormer(
        leaves,
        CompactEncoder(in_channels, width, gates),
        decoder,
        boosts={},
        shallow=nn.Identity(),
        bridge=DilationBasedNetwork(8 * width, rates),
        width=width,
        switches=Switches(dual_attention=dual_attention, auxiliary=auxiliary),
    )
