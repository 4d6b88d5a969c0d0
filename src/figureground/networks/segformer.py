"""SegFormer (Xie et al., arXiv:2105.15203): the MiT encoder and a decoder of linear layers, B0 to B5.

Published checkpoints load under the names of ``transformers``, the authors' release, segmentation-models-pytorch and
mmsegmentation, whose decoder normalises its projections (``normalised_projections=True``). The image is not padded:
like the originals, every stage rounds odd sizes up.

`sersegformer` adds to this network what HolyBayes/FastSeg adds to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from figureground.errors import NetworkError, suggest
from figureground.networks.blocks.convolution import ConvNormReLU, MixNormReLU, he_normal
from figureground.networks.blocks.frame import resize_logits
from figureground.networks.blocks.switches import OFF, EncoderDecoder, Switches
from figureground.networks.encoders.mit import VARIANTS, MiT, init_as_released, to_map, to_tokens
from figureground.networks.encoders.mit_keys import our_tensors
from figureground.networks.encoders.weights import IMAGENET, fill, local_weights
from figureground.networks.registry import register
from figureground.networks.transfer import TransferReport, transfer

_WIDTHS = {"mit_b0": 256, "mit_b1": 256}
_WIDTH = 768
_NORMALISED_WIDTH = 256


class LinearDecoder(nn.Module):
    """Project every map to one width, upsample all to the finest, concatenate coarsest first, mix, classify.

    channels: of the maps, finest first.
    width: of the projections.
    classified: channels of what is classified, when that is not what `mix` gives.
    """

    def __init__(self, channels: Sequence[int], leaves: int, width: int, classified: int | None = None) -> None:
        super().__init__()
        self.project = nn.ModuleList(self.projection(inputs, width) for inputs in channels)
        self.fuse = MixNormReLU([width] * len(channels), width, coarsest_first=True)
        self.dropout = nn.Dropout(0.1)
        self.classify = nn.Conv2d(classified or width, leaves, 1)
        self.project.apply(init_as_released)
        he_normal(self.fuse.modules())
        nn.init.normal_(self.classify.weight, std=0.01)

    def projection(self, inputs: int, width: int) -> nn.Module:
        """What projects one map."""
        return nn.Linear(inputs, width)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (N, channels[i], h_i, w_i), finest first -> logits (N, leaves, h_0, w_0)."""
        logits: Tensor = self.classify(self.mix(self.projected(maps)))
        return logits

    def projected(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps (N, channels[i], h_i, w_i) -> maps (N, width, h_i, w_i)."""
        return [to_map(project(to_tokens(x)), x.shape[-2:]) for project, x in zip(self.project, maps, strict=True)]

    def mix(self, maps: Sequence[Tensor]) -> Tensor:
        """Projected maps (N, width, h_i, w_i), finest first -> what is classified, (N, width, h_0, w_0)."""
        mixed: Tensor = self.dropout(self.fuse(maps))
        return mixed


class NormalisedDecoder(LinearDecoder):
    """The decoder of mmsegmentation: every projection is normalised and rectified, and has no bias."""

    def projection(self, inputs: int, width: int) -> nn.Module:
        """What projects one map."""
        return ConvNormReLU(inputs, width, kernel=1)

    def projected(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps (N, channels[i], h_i, w_i) -> maps (N, width, h_i, w_i)."""
        return [project(x) for project, x in zip(self.project, maps, strict=True)]


class SegFormer(EncoderDecoder):
    """MiT and a `LinearDecoder`; logits at stride 4 are upsampled bilinearly.

    switches: those outside of the encoder, in which the gates stand.
    finest: channels of the map that dual attention weighs; None for the encoder's.
    """

    def __init__(
        self, leaves: int, encoder: MiT, head: LinearDecoder, switches: Switches = OFF, finest: int | None = None
    ) -> None:
        super().__init__(multiple=1, least=32)
        self.encoder = encoder
        self.head = head
        self.switch_on(switches, leaves, reads=(finest or encoder.channels[0], *encoder.channels[1:]))

    def decode(self, maps: Sequence[Tensor], x: Tensor) -> Tensor:
        """Maps at strides 4 to 32 -> logits (N, leaves, H, W)."""
        return resize_logits(self.head(self.attend(maps)), x.shape[-2:])

    def load_published(self, state: Mapping[str, Tensor]) -> TransferReport:
        """Take over what fits of a published checkpoint, in place; a classifier for other classes stays new.

        Raises NetworkError when nothing fits.
        """
        return transfer(self, our_tensors(state))


def mit_encoder(name: str, *, weights: str | None, **options: Any) -> MiT:
    """The MiT of that name; NetworkError names the nearest for an unknown one, or says which weights do not fit.

    weights: None, or a SegFormer or MiT under any published names: a safetensors file, a folder or "hub:owner/name".
    options: of `MiT`.
    """
    if name not in VARIANTS:
        raise NetworkError(f"there is no MiT encoder '{name}'", remedy=suggest(name, VARIANTS))
    widths, depths = VARIANTS[name]
    body = MiT(widths, depths, **options)
    if weights is not None:
        # No published checkpoint has gates.
        fill(body, _encoder_tensors(weights, name), source=weights, name=name, may_lack=lambda key: ".gate." in key)
    return body


def decoder_width_of(encoder: str) -> int:
    """The paper's width of the decoder over that MiT."""
    return _WIDTHS.get(encoder, _WIDTH)


def _encoder_tensors(weights: str, name: str) -> dict[str, Tensor]:
    hub = f"write encoder_weights: hub:nvidia/{name.replace('_', '-')}"
    if weights.casefold() == IMAGENET:
        raise NetworkError(f"timm has no weights of {name}", remedy=hub)
    tensors = our_tensors(local_weights(weights, instead=f"give a local safetensors file, or {hub}"))
    prefix = "encoder."
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}


@register(
    "segformer",
    parameters=3_714_401,
    source="transformers 5.23 and segmentation-models-pytorch 0.6.0, mit_b0 with one class",
    stride=32,
    min_size=32,
    depth=True,
    reduced={"decoder_width": 32},
    counts={
        "B0, ADE20K": ({"leaves": 150}, 3_752_694),
        "B1, ADE20K": ({"leaves": 150, "encoder": "mit_b1"}, 13_715_798),
        "B2, ADE20K": ({"leaves": 150, "encoder": "mit_b2"}, 27_461_974),
        "B3, ADE20K": ({"leaves": 150, "encoder": "mit_b3"}, 47_337_814),
        "B4, ADE20K": ({"leaves": 150, "encoder": "mit_b4"}, 64_108_374),
        "B5, ADE20K": ({"leaves": 150, "encoder": "mit_b5"}, 84_708_694),
        "B0, Cityscapes": ({"leaves": 19}, 3_719_027),
        "B1, Cityscapes": ({"leaves": 19, "encoder": "mit_b1"}, 13_682_131),
        "B2, Cityscapes": ({"leaves": 19, "encoder": "mit_b2"}, 27_361_235),
        "B3, Cityscapes": ({"leaves": 19, "encoder": "mit_b3"}, 47_237_075),
        "B4, Cityscapes": ({"leaves": 19, "encoder": "mit_b4"}, 64_007_635),
        "B5, Cityscapes": ({"leaves": 19, "encoder": "mit_b5"}, 84_607_955),
        "B0, two classes": ({"leaves": 2}, 3_714_658),
        "B1, two classes": ({"leaves": 2, "encoder": "mit_b1"}, 13_677_762),
        "B2, two classes": ({"leaves": 2, "encoder": "mit_b2"}, 27_348_162),
        "B3, two classes": ({"leaves": 2, "encoder": "mit_b3"}, 47_224_002),
        "B4, two classes": ({"leaves": 2, "encoder": "mit_b4"}, 63_994_562),
        "B5, two classes": ({"leaves": 2, "encoder": "mit_b5"}, 84_594_882),
        "B0, depth": ({"in_channels": 4}, 3_714_401 + 32 * 49),
        "B0, mmsegmentation": ({"leaves": 19, "normalised_projections": True}, 3_720_051),
        "B5, mmsegmentation": ({"leaves": 150, "encoder": "mit_b5", "normalised_projections": True}, 82_008_406),
    },
)
def segformer(
    *,
    leaves: int = 1,
    in_channels: int = 3,
    encoder: str = "mit_b0",
    encoder_weights: str | None = None,
    decoder_width: int | None = None,
    normalised_projections: bool = False,
    drop_path: float = 0.1,
    gates: str | None = None,
    dual_attention: bool = False,
    auxiliary: bool = False,
) -> SegFormer:
    """SegFormer: a hierarchical transformer encoder and a decoder of linear layers.

    encoder: "mit_b0" to "mit_b5".
    encoder_weights: None, or a SegFormer or MiT under any published names: a local safetensors file, a folder with
        ``model.safetensors``, or a repository such as "hub:nvidia/mit-b0".
    decoder_width: channels of the decoder; None for the paper's, 256 for B0 and B1 and 768 for the others, or for
        mmsegmentation's, 256 for all.
    normalised_projections: the decoder of mmsegmentation, for its checkpoints.
    drop_path: chance of the last block to be left out in training.
    gates: None, or a form of attention-boosting gates inside of the encoder, where `MiT` says.
    dual_attention, auxiliary: see `blocks.switches`.
    """
    body = mit_encoder(encoder, weights=encoder_weights, in_channels=in_channels, drop_path=drop_path, gate=gates)
    head: LinearDecoder
    if normalised_projections:
        head = NormalisedDecoder(body.channels, leaves, decoder_width or _NORMALISED_WIDTH)
    else:
        head = LinearDecoder(body.channels, leaves, decoder_width or decoder_width_of(encoder))
    return SegFormer(leaves, body, head, Switches(dual_attention=dual_attention, auxiliary=auxiliary))
