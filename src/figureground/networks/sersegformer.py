"""SERSegFormer (HolyBayes/FastSeg): SegFormer and every module that project tries on it, each a switch, all off.

With everything off this is `segformer`, tensor by tensor. docs/sersegformer.md has the table of the switches, with what
each adds. A map passes the modules in this order:

    encoder (gates, depth_everywhere) -> dilation -> dual_attention -> fusion -> depth_everywhere -> linear projections
    -> cross_gates -> concatenation, 1x1 -> decoder_fusion -> conv_decoder or nothing -> classifier

New channels come after the old ones, where FastSeg puts them before: only the order differs, and a checkpoint of
SegFormer fits. Three switches are named by that project without code and are defined here: gates of whole channels,
cross_gates and decoder_fusion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from figureground.errors import NetworkError, within
from figureground.networks.blocks.attention_fusion import CONTEXT, SPATIAL, AttentionFusion
from figureground.networks.blocks.conv_decoder import ConvDecoder, UpsampleBlock
from figureground.networks.blocks.cross_gates import cross_gate
from figureground.networks.blocks.dilation_based import RATES, CompressedDilation, DilationBasedNetwork
from figureground.networks.blocks.frame import resize_logits
from figureground.networks.blocks.switches import Switches
from figureground.networks.encoders.mit import REDUCTIONS, MiT, beside
from figureground.networks.options import refuse_idle
from figureground.networks.registry import register
from figureground.networks.segformer import LinearDecoder, SegFormer, decoder_width_of, mit_encoder

_COLOURS = 3
_WITH_DILATION = 2
_WITH_DEPTH = 3


@dataclass(frozen=True)
class Modules:
    """Which modules are on; the names are those of the options of `sersegformer`."""

    gates: str | None = None
    dilation: bool = False
    dilation_reduction: int = 1
    dilation_rates: Sequence[int] = RATES
    dilation_attention: bool = False
    dual_attention: bool = False
    fusion: bool = False
    decoder_fusion: bool = False
    cross_gates: str | None = None
    conv_decoder: bool = False
    depth_everywhere: bool = False
    auxiliary: bool = False

    def check(self, in_channels: int) -> None:
        """Raise NetworkError for an option that would do nothing, and depth that is not the fourth of four."""
        needs_dilation = {
            "dilation_reduction": self.dilation_reduction != 1,
            "dilation_rates": tuple(self.dilation_rates) != RATES,
            "dilation_attention": self.dilation_attention,
        }
        if not self.dilation:
            refuse_idle(needs_dilation, "dilation")
        if self.depth_everywhere and in_channels != _COLOURS + 1:
            raise NetworkError(
                "'depth_everywhere' needs depth beside the colours, and nothing else", remedy="set in_channels to 4"
            )


class Dilation(nn.Module):
    """A dilation-based network beside the two finest maps, whose channels double.

    Maps (N, channels[i], h_i, w_i) -> the same sizes, with `channels` of this module.
    """

    def __init__(self, channels: Sequence[int], modules: Modules) -> None:
        super().__init__()
        on = channels[:_WITH_DILATION] if modules.dilation else ()
        self.networks = nn.ModuleList(_dilation(width, modules) for width in on)
        self.channels = [2 * width for width in on] + list(channels[len(on) :])

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps, finest first."""
        count = len(self.networks)
        doubled = [torch.cat([x, network(x)], dim=1) for network, x in zip(self.networks, maps, strict=False)]
        return doubled + list(maps[count:])


def _dilation(channels: int, modules: Modules) -> nn.Module:
    if modules.dilation_reduction == 1 and not modules.dilation_attention:
        return DilationBasedNetwork(channels, modules.dilation_rates)
    with within("dilation_reduction"):
        return CompressedDilation(
            channels, modules.dilation_reduction, modules.dilation_rates, dual_attention=modules.dilation_attention
        )


class Fusion(nn.Module):
    """Attention-fusion networks beside four maps.

    The spatial network of every map is put beside it; the two coarser maps also get the context network of the map two
    levels finer, as it has become. Maps (N, channels[i], h_i, w_i) -> the same sizes, with `channels` of this module.

    gate: form of the gates.
    """

    def __init__(self, channels: Sequence[int], gate: str) -> None:
        super().__init__()
        first, second = (2 * width for width in channels[:2])
        self.spatial = nn.ModuleList(AttentionFusion(width, SPATIAL, gate) for width in channels)
        self.context = nn.ModuleList(AttentionFusion(width, CONTEXT, gate) for width in (first, second))
        self.channels = [first, second, 2 * channels[2] + first, 2 * channels[3] + second]

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Four maps, finest first, each half the size of the last, rounded up."""
        fused = [torch.cat([x, spatial(x)], dim=1) for spatial, x in zip(self.spatial, maps, strict=True)]
        deep = [torch.cat([x, fuse(y)], dim=1) for fuse, x, y in zip(self.context, fused[2:], fused[:2], strict=True)]
        return [*fused[:2], *deep]


class DecoderFusion(nn.Module):
    """A decoder's map plus the spatial fusion of it with a map of the encoder of the same size.

    (N, channels, h, w), (N, encoded, h, w) -> (N, channels, h, w).
    """

    def __init__(self, channels: int, encoded: int, gate: str) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(channels + encoded, channels, 1)
        self.afn = AttentionFusion(channels, SPATIAL, gate)

    def forward(self, x: Tensor, encoded: Tensor) -> Tensor:
        """(N, channels, h, w), (N, encoded, h, w) -> (N, channels, h, w)."""
        fused: Tensor = self.afn(self.narrow(torch.cat([x, encoded], dim=1)))
        return x + fused


class SERSegFormer(SegFormer):
    """SegFormer with the `Modules` that are on.

    encoder: with the gates and, for depth everywhere, the extra channels that the modules ask for.
    width: of the decoder; a multiple of 4 for the convolutional one.
    """

    def __init__(self, leaves: int, encoder: MiT, width: int, modules: Modules) -> None:
        gate = modules.gates or "pixel"
        dilation = Dilation(encoder.channels, modules)
        fusion = Fusion(dilation.channels, gate) if modules.fusion else None
        channels = dilation.channels if fusion is None else fusion.channels
        if modules.depth_everywhere:
            channels = [wide + (index < _WITH_DEPTH) for index, wide in enumerate(channels)]
        head = LinearDecoder(channels, leaves, width, classified=width // 4 if modules.conv_decoder else None)
        switches = Switches(dual_attention=modules.dual_attention, auxiliary=modules.auxiliary)
        super().__init__(leaves, encoder, head, switches, finest=dilation.channels[0])
        self.dilation = dilation
        self.fusion = fusion
        self.depth_everywhere = modules.depth_everywhere
        self.cross = nn.ModuleList(
            cross_gate(modules.cross_gates, width, wide, reduction=reduction)
            for wide, reduction in zip(encoder.channels, REDUCTIONS, strict=True)
            if modules.cross_gates is not None
        )
        self.decoder_fusion = DecoderFusion(width, encoder.channels[0], gate) if modules.decoder_fusion else None
        self.upsample = _conv_decoder(width, gate, fuses=modules.fusion) if modules.conv_decoder else None

    def encode(self, x: Tensor) -> list[Tensor]:
        """(N, C, H, W) -> maps at strides 4, 8, 16 and 32."""
        maps: list[Tensor] = self.encoder(x, x[:, _COLOURS:] if self.depth_everywhere else None)
        return maps

    def decode(self, maps: Sequence[Tensor], x: Tensor) -> Tensor:
        """Maps at strides 4 to 32 of the image ``x`` (N, C, H, W) -> logits (N, leaves, H, W)."""
        projected = self.head.projected(self._prepared(maps, x))
        if self.cross:
            projected = [gate(y, encoded) for gate, y, encoded in zip(self.cross, projected, maps, strict=True)]
        mixed = self.head.mix(projected)
        if self.decoder_fusion is not None:
            mixed = self.decoder_fusion(mixed, maps[0])
        if self.upsample is not None:
            mixed = self.upsample(mixed)
        return resize_logits(self.head.classify(mixed), x.shape[-2:])

    def _prepared(self, maps: Sequence[Tensor], x: Tensor) -> list[Tensor]:
        """The maps that the decoder projects."""
        prepared: list[Tensor] = self.attend(self.dilation(maps))
        if self.fusion is not None:
            prepared = self.fusion(prepared)
        if not self.depth_everywhere:
            return prepared
        depth = x[:, _COLOURS:]
        return [beside(y, depth) if index < _WITH_DEPTH else y for index, y in enumerate(prepared)]


def _conv_decoder(width: int, gate: str, *, fuses: bool) -> ConvDecoder:
    """Two learned doublings; with fusion, a context network and its upsampling between them."""
    if width % 4:
        raise NetworkError(f"a decoder of {width} channels has no quarter", remedy="use a multiple of 4")
    inner = width // 4
    between = nn.Sequential(AttentionFusion(inner, CONTEXT, gate), UpsampleBlock(inner, inner, 4)) if fuses else None
    return ConvDecoder(width, between)


@register(
    "sersegformer",
    parameters=3_714_401,
    source="HolyBayes/FastSeg src/models/SERSegFormer; with all switches off SegFormer-B0 of transformers 5.23",
    stride=32,
    min_size=32,
    depth=True,
    reduced={"decoder_width": 32},
    counts={
        "conv_decoder": ({"conv_decoder": True}, 3_898_787),
        "conv_decoder, two classes": ({"leaves": 2, "conv_decoder": True}, 3_898_852),
        "conv_decoder of 128": ({"conv_decoder": True, "decoder_width": 128}, 3_497_475),
        "conv_decoder, dual_attention": ({"conv_decoder": True, "dual_attention": True}, 3_918_543),
        "conv_decoder, dilation": ({"conv_decoder": True, "dilation": True}, 4_062_185),
        "conv_decoder, dilation, dual_attention": (
            {"conv_decoder": True, "dilation": True, "dual_attention": True},
            4_140_405,
        ),
        "gates": ({"gates": "pixel"}, 3_714_401),
        "depth": ({"in_channels": 4}, 3_714_401 + 1_568),
        "depth_everywhere": ({"in_channels": 4, "depth_everywhere": True}, 3_714_401 + 5_888 + 768),
    },
)
def sersegformer(
    *,
    leaves: int = 1,
    in_channels: int = 3,
    encoder: str = "mit_b0",
    encoder_weights: str | None = None,
    decoder_width: int | None = None,
    drop_path: float = 0.1,
    gates: str | None = None,
    dilation: bool = False,
    dilation_reduction: int = 1,
    dilation_rates: Sequence[int] = RATES,
    dilation_attention: bool = False,
    dual_attention: bool = False,
    fusion: bool = False,
    decoder_fusion: bool = False,
    cross_gates: str | None = None,
    conv_decoder: bool = False,
    depth_everywhere: bool = False,
    auxiliary: bool = False,
) -> SERSegFormer:
    """SERSegFormer: SegFormer with gates, dilation, dual attention, fusion, a conv decoder and depth, each a switch.

    gates: None, "pixel", "normalised", "channel" or "squeeze": attention-boosting gates in the encoder, where `MiT`
        says, and in the fusion networks, which have "pixel" without this switch.
    dilation: a dilation-based network beside each of the two finest maps.
    dilation_reduction: divide its channels by this, with 1x1 convolutions around it.
    dilation_rates: its dilations.
    dilation_attention: dual attention inside of it, before it is widened.
    dual_attention: HSNet's dual attention on the finest map.
    fusion: attention-fusion networks beside all maps, and in the convolutional decoder.
    decoder_fusion: one more between the decoder's mixed map and the encoder's finest.
    cross_gates: None, or "sigmoid" or "attention": let each map of the encoder gate its projection in the decoder.
    conv_decoder: two learned doublings before the classifier, which then sees full resolution.
    depth_everywhere: show the fourth channel, depth, to every stage and to three of the projections again.
    auxiliary: a segmentation of the encoder's third map, for training.

    The others are those of `segformer`.
    """
    modules = Modules(
        gates=gates,
        dilation=dilation,
        dilation_reduction=dilation_reduction,
        dilation_rates=dilation_rates,
        dilation_attention=dilation_attention,
        dual_attention=dual_attention,
        fusion=fusion,
        decoder_fusion=decoder_fusion,
        cross_gates=cross_gates,
        conv_decoder=conv_decoder,
        depth_everywhere=depth_everywhere,
        auxiliary=auxiliary,
    )
    modules.check(in_channels)
    body = mit_encoder(
        encoder,
        weights=encoder_weights,
        in_channels=in_channels,
        drop_path=drop_path,
        gate=gates,
        extra_channels=in_channels - _COLOURS if depth_everywhere else 0,
    )
    return SERSegFormer(leaves, body, decoder_width or decoder_width_of(encoder), modules)
