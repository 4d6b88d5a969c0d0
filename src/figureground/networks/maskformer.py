"""MaskFormer (Cheng, Schwing, Kirillov, arXiv:2107.06278): queries that each predict a class and a mask.

Over a ResNet, a Swin or another encoder with maps at strides 4 to 32. Numerically equal to ``transformers``'
`MaskFormerForInstanceSegmentation`, whose published checkpoints load. It is trained by the loss
``mask_classification``, which reads what `MaskFormer.forward_training` gives beside the logits.

From queries to logits: the score of a class at a pixel is the sum over the queries of its probability times the
probability that the pixel is in the query's mask, the paper's semantic inference. A leaf's logit is the logarithm of
its score divided by the background's, so that the softmax over the logits and the background's 0 is the scores
divided by their sum, and the winner is the paper's. The background is a class of its own; without that
(``background_class=False``, the form of the published checkpoints) its score is what the leaves leave over of 1.
Scores are computed at stride 4, and the logits upsampled.

Where we differ: the authors upsample the masks before the scores, which costs 16 times as much, and the image is
padded by repeating its edges, not by zeros. ``transformers`` keeps a final LayerNorm of the Swin that nothing reads;
here it is left out, so that all parameters learn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from figureground.errors import NetworkError
from figureground.networks.blocks.frame import resize_logits
from figureground.networks.blocks.pixel_decoder import PixelDecoder
from figureground.networks.blocks.switches import OFF, EncoderDecoder, Switches
from figureground.networks.blocks.transformer_decoder import TransformerDecoder
from figureground.networks.encoders import TimmEncoder
from figureground.networks.encoders.swin import VARIANTS, Swin, swin_encoder
from figureground.networks.published.maskformer_names import our_tensors
from figureground.networks.registry import register
from figureground.networks.transfer import TransferReport, transfer

_STRIDES = [4, 8, 16, 32]
_DROP_PATH = 0.3
_LEAST_SHARE = 1e-6
"""Added before a logarithm, so that it and its slope are finite."""


class StridedTrunk(nn.Module):
    """The maps of a timm encoder at strides 4, 8, 16 and 32; NetworkError when it lacks one of them."""

    def __init__(self, name: str, *, in_channels: int, weights: str | None) -> None:
        super().__init__()
        encoder = TimmEncoder(name, in_channels=in_channels, weights=weights, levels=None)
        if [stride for stride in encoder.strides if stride >= _STRIDES[0]] != _STRIDES:
            raise NetworkError(
                f"encoder '{name}' has the strides {encoder.strides}",
                remedy="use one with 4, 8, 16 and 32, such as resnet50 or swin_tiny",
            )
        self.body = encoder.body
        self.first = encoder.strides.index(_STRIDES[0])
        self.channels = encoder.channels[self.first :]

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, C, H, W) -> maps (N, channels[i], H / 4 / 2**i, W / 4 / 2**i), finest first."""
        maps: list[Tensor] = self.body(x)
        return maps[self.first :]


class MaskFormer(EncoderDecoder):
    """An encoder, a `PixelDecoder`, a `TransformerDecoder`, and for each query a class and a mask.

    encoder: maps at strides 4, 8, 16 and 32, and ``channels``.
    width: of both decoders, a multiple of 64.
    queries: at least as many as one photo shows classes; the published networks have 100 for 150 classes.
    layers: of the transformer decoder.
    background_class: the background is a class that queries predict, not what they leave over.
    switches: both decoders read the maps with what is switched on.
    """

    def __init__(
        self,
        leaves: int,
        encoder: StridedTrunk | Swin,
        *,
        width: int = 256,
        queries: int = 100,
        layers: int = 6,
        background_class: bool = True,
        switches: Switches = OFF,
    ) -> None:
        if width % 64:
            raise NetworkError(f"a MaskFormer cannot have a width of {width}", remedy="give a multiple of 64")
        super().__init__(multiple=32, least=32)
        self.background_class = background_class
        self.encoder = encoder
        self.pixels = PixelDecoder(encoder.channels, width, width)
        self.memory = nn.Conv2d(encoder.channels[-1], width, 1)
        self.decoder = TransformerDecoder(width, queries, layers, hidden=8 * width)
        self.classify = nn.Linear(width, leaves + background_class + 1)
        self.embed = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        for module in (self.memory, self.classify, *self.embed):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
        self.switch_on(switches, leaves, reads=encoder.channels)

    def decode(self, maps: Sequence[Tensor], x: Tensor) -> Tensor:
        """Maps of an image (N, C, H, W), sides multiples of 32 -> logits (N, leaves, H, W)."""
        states, pixels = self._decoded(maps)
        logits = self.leaf_logits(self.classify(states[-1]), self._masks(states[-1:], pixels)[0])
        return resize_logits(logits, x.shape[-2:])

    def forward_training(self, x: Tensor) -> dict[str, Tensor]:
        """'logits' (N, leaves, H, W), and what `predict_queries` gives as 'query_classes' and 'query_masks'."""
        outputs = super().forward_training(x)
        height, width = (-(-length // _STRIDES[0]) for length in x.shape[-2:])
        return {**outputs, "query_masks": outputs["query_masks"][..., :height, :width]}

    def compute_training(self, x: Tensor) -> dict[str, Tensor]:
        """The outputs for an image whose sides are multiples of 32."""
        maps = self.encode(x)
        classes, masks = self._queries(maps)
        logits = resize_logits(self.leaf_logits(classes[-1], masks[-1]), x.shape[-2:])
        outputs = {"logits": logits, "query_classes": classes, "query_masks": masks}
        if self.auxiliary is not None:
            outputs["aux_encoder"] = self.auxiliary_logits(self.auxiliary, maps, x)
        return outputs

    def predict_queries(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Of an image (N, C, H, W) of any size, the predictions after every layer.

        Class logits (layers, N, queries, classes + 1), the last one for "no object", and mask logits (layers, N,
        queries, ceil(H / 4), ceil(W / 4)).
        """
        return self._queries(self.encode(x))

    def leaf_logits(self, classes: Tensor, masks: Tensor) -> Tensor:
        """(N, queries, classes + 1) and (N, queries, h, w) logits -> logits of the leaves (N, leaves, h, w)."""
        inside = -F.softplus(-masks.to(torch.promote_types(masks.dtype, torch.float32)))
        # Scores as a share of the surest mask's: where every mask is nearly sure of nothing they would vanish.
        surest = inside.amax(1, keepdim=True)
        named = classes.softmax(-1)[..., :-1].to(inside.dtype)
        shares = torch.einsum("nqk,nqhw->nkhw", named, (inside - surest).exp()).to(inside.dtype)
        if self.background_class:
            return (shares[:, 1:] + _LEAST_SHARE).log() - (shares[:, :1] + _LEAST_SHARE).log()
        left_over = (1 - shares.sum(1, keepdim=True) * surest.exp()).clamp(min=0)
        return (shares + _LEAST_SHARE).log() + surest - (left_over + _LEAST_SHARE).log()

    def load_published(self, state: Mapping[str, Tensor]) -> TransferReport:
        """Take over what fits of a checkpoint of ``transformers``, in place; a head for other classes stays new.

        Raises NetworkError when nothing fits.
        """
        return transfer(self, our_tensors(state))

    def _queries(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        states, pixels = self._decoded(maps)
        return self.classify(states), self._masks(states, pixels)

    def _decoded(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """States of the queries (layers, N, queries, width) and features of the pixels (N, width, H / 4, W / 4)."""
        maps = self.attend(maps)
        pixels = self.pixels(maps)  # before the states, which would be held beside its largest convolution
        return self.decoder(self.memory(maps[-1])), pixels

    def _masks(self, states: Tensor, pixels: Tensor) -> Tensor:
        """States (layers, N, queries, width) -> mask logits (layers, N, queries, h, w)."""
        first, second, last = self.embed
        embedded: Tensor = last(F.relu(second(F.relu(first(states), inplace=True)), inplace=True))
        return torch.einsum("lnqc,nchw->lnqhw", embedded, pixels)


_ADE20K = {"leaves": 150, "background_class": False}


@register(
    "maskformer",
    parameters=41_307_863 - 148 * 257,
    source="transformers 5.23, MaskFormerForInstanceSegmentation with two classes; over Swin without its last "
    "LayerNorm, which is not read",
    stride=32,
    min_size=32,
    depth=True,
    reduced={"encoder": "resnet10t", "width": 64, "queries": 8, "layers": 2},
    counts={
        "R50, ADE20K": (_ADE20K, 41_307_863),
        "R101, ADE20K": ({**_ADE20K, "encoder": "resnet101"}, 60_299_991),
        "Swin-T, ADE20K": ({**_ADE20K, "encoder": "swin_tiny"}, 41_758_545 - 2 * 768),
        "Swin-S, ADE20K": ({**_ADE20K, "encoder": "swin_small"}, 63_076_449 - 2 * 768),
        "Swin-B, ADE20K": ({**_ADE20K, "encoder": "swin_base"}, 101_831_439 - 2 * 1024),
        "Swin-L, ADE20K": ({**_ADE20K, "encoder": "swin_large"}, 211_578_699 - 2 * 1536),
    },
)
def maskformer(
    *,
    leaves: int = 1,
    in_channels: int = 3,
    encoder: str = "resnet50",
    encoder_weights: str | None = None,
    width: int = 256,
    queries: int = 100,
    layers: int = 6,
    background_class: bool = True,
    drop_path: float | None = None,
    gates: str | None = None,
    dual_attention: bool = False,
    auxiliary: bool = False,
) -> MaskFormer:
    """MaskFormer: queries that each predict a class and a mask; trained by the loss mask_classification.

    encoder: "swin_tiny", "swin_small", "swin_base", "swin_large" (windows of 12; "swin_base_window7" and
        "swin_large_window7" have 7), or a timm model with strides 4 to 32 such as "resnet50" and "resnet101".
    encoder_weights: None, "imagenet" (timm's hub), or a safetensors file, a folder or "hub:owner/name".
    drop_path: chance of a Swin's last block to be left out in training; None for 0.3. Other encoders have none.
    gates, dual_attention, auxiliary: see `blocks.switches`.

    The others are those of `MaskFormer`.
    """
    body: StridedTrunk | Swin
    if encoder in VARIANTS:
        rate = _DROP_PATH if drop_path is None else drop_path
        body = swin_encoder(encoder, in_channels=in_channels, weights=encoder_weights, drop_path=rate)
    else:
        if drop_path is not None:
            raise NetworkError(
                f"'drop_path' does nothing over the encoder '{encoder}'",
                remedy="leave drop_path away, or use a Swin, such as swin_tiny",
            )
        body = StridedTrunk(encoder, in_channels=in_channels, weights=encoder_weights)
    return MaskFormer(
        leaves,
        body,
        width=width,
        queries=queries,
        layers=layers,
        background_class=background_class,
        switches=Switches(gates, dual_attention, auxiliary),
    )
