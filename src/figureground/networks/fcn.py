"""FCN-32s, FCN-16s and FCN-8s (Long, Shelhamer, Darrell, arXiv:1411.4038 and 1605.06211) over VGG-16.

The whole classifier slides over the image, fc6 and fc7 included; scores of the shallower pools refine its coarse
scores, and every upsampling starts as bilinear interpolation.

Two geometries: "same", the default, pads so that strides line up without cropping (the image is padded to a multiple
of 32); "caffe" is the release's own, a margin of 100 pixels around the image and crops at fixed offsets, for weights
that were trained with it. Parameters are the same. Inputs here are RGB scaled to mean 0 and deviation 1; the released
weights wanted BGR less the mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from figureground.errors import NetworkError, suggest
from figureground.networks.blocks.auxiliary import placed_logits
from figureground.networks.blocks.bilinear import BilinearUpsample
from figureground.networks.blocks.convolution import he_normal
from figureground.networks.blocks.switches import EncoderDecoder, Switches
from figureground.networks.blocks.vgg import VGG16, ConvReLU, load_vgg16
from figureground.networks.registry import register
from figureground.networks.transfer import TransferReport

_COUNTED = "counted from voc-fcn*/net.py of shelhamer/fcn.berkeleyvision.org"
_REDUCED = {"width": 4}
_AUXILIARY_STRIDE = 16


@dataclass(frozen=True)
class _Geometry:
    """How maps of different stride are made to meet.

    border: zeros put around the image; multiple: what the image is padded to before that.
    fc6: padding of fc6; trim: part of the factor that each upsampling drops per side.
    pools: where pool4 and pool3 scores are cropped; end: where the result is, by stride.
    """

    border: int
    multiple: int
    fc6: int
    trim: float
    pools: tuple[int, int]
    end: Mapping[int, int]


_GEOMETRIES = {
    "same": _Geometry(border=0, multiple=32, fc6=3, trim=0.5, pools=(0, 0), end={32: 0, 16: 0, 8: 0}),
    # The release pads its first convolution by 100; the convolution here does one of them itself.
    "caffe": _Geometry(border=99, multiple=1, fc6=0, trim=0.0, pools=(5, 9), end={32: 19, 16: 27, 8: 31}),
}


def _crop(x: Tensor, offset: int, like: Tensor) -> Tensor:
    return x[..., offset : offset + like.shape[-2], offset : offset + like.shape[-1]]


class FCN(EncoderDecoder):
    """Fully convolutional VGG-16 with scores fused down to ``stride``.

    stride: 32, 16 or 8, that of the finest scores used.
    width: channels of the first stage; fc6 and fc7 have 64 times as many.
    padding: the geometry, "same" or "caffe".
    scales: factors on pool4 and pool3 before scoring; (0.01, 0.0001) lets all strides be trained at once.
    learned_upsampling: False freezes the bilinear kernels, as the released models do.
    auxiliary: a second segmentation for training, of pool4, at stride 16.
    """

    def __init__(
        self,
        leaves: int,
        in_channels: int,
        stride: int,
        *,
        width: int,
        padding: str,
        learned_upsampling: bool,
        scales: Sequence[float] = (),
        auxiliary: bool = False,
    ) -> None:
        if padding not in _GEOMETRIES:
            raise NetworkError(f"there is no padding '{padding}'", remedy=suggest(padding, _GEOMETRIES))
        self.geometry = _GEOMETRIES[padding]
        super().__init__(multiple=self.geometry.multiple, least=32)
        self.trunk = VGG16(in_channels, width, ConvReLU)
        hidden = 64 * width
        self.fc6 = nn.Conv2d(self.trunk.widths[-1], hidden, 7, padding=self.geometry.fc6)
        self.fc7 = nn.Conv2d(hidden, hidden, 1)
        self.end = self.geometry.end[stride]
        self.scales = tuple(scales)
        fused = len(self.scales)
        self.score = nn.Conv2d(hidden, leaves, 1)
        self.pool_scores = nn.ModuleList(nn.Conv2d(self.trunk.widths[3 - i], leaves, 1) for i in range(fused))
        he_normal(self.modules())
        for score in (self.score, *self.pool_scores):
            nn.init.zeros_(score.weight)
        self.ups = nn.ModuleList(
            BilinearUpsample(leaves, factor, padding=int(factor * self.geometry.trim), learned=learned_upsampling)
            for factor in (*(2 for _ in range(fused)), stride)
        )
        self.switch_on(Switches(auxiliary=auxiliary), leaves, reads=(), encoded=self.trunk.widths)

    def decode(self, maps: Sequence[Tensor], x: Tensor) -> Tensor:
        """The outputs of pool1 to pool5 -> logits (N, leaves, H, W)."""
        *pools, deepest = maps
        scores = self.coarse_scores(deepest)
        for up, score, scale, offset, pool in zip(
            self.ups[:-1], self.pool_scores, self.scales, self.geometry.pools, reversed(pools), strict=False
        ):
            scores = up(scores)
            scores = scores + _crop(score(scale * pool), offset, scores)
        return _crop(self.ups[-1](scores), self.end, x)

    def auxiliary_logits(self, head: nn.Module, maps: Sequence[Tensor], x: Tensor) -> Tensor:
        """What the auxiliary head says of pool4's cells that the image has a part in: (N, leaves, H, W)."""
        return placed_logits(head, maps[-2], x.shape[-2:], stride=_AUXILIARY_STRIDE, margin=self.geometry.border)

    def encode(self, x: Tensor) -> list[Tensor]:
        """(N, C, H, W) -> the outputs of pool1 to pool5."""
        border = self.geometry.border
        x = F.pad(x, (border, border, border, border))
        pools = []
        for stage in self.trunk.stages:
            x = F.max_pool2d(stage(x), 2, ceil_mode=True)
            pools.append(x)
        return pools

    def coarse_scores(self, x: Tensor) -> Tensor:
        """The output of pool5 -> scores (N, leaves, h, w) at stride 32."""
        for layer in (self.fc6, self.fc7):
            x = F.dropout(F.relu(layer(x)), 0.5, self.training)
        scores: Tensor = self.score(x)
        return scores

    def load_published(self, state: Mapping[str, Tensor]) -> TransferReport:
        """Take over what fits of torchvision's or timm's ``vgg16``, or of our own names, in place.

        Its first two linear layers become fc6 and fc7.

        Raises NetworkError when nothing fits, or the width is another.
        """
        return load_vgg16(self, "trunk", state, ("fc6", "fc7"))


@register(
    "fcn32s",
    parameters=134_268_737,
    source=f"{_COUNTED} with one class",
    stride=32,
    min_size=32,
    depth=True,
    reduced=_REDUCED,
    counts={
        "PASCAL VOC": ({"leaves": 21}, 136_152_917),
        "two classes": ({"leaves": 2}, 134_285_122),
        "frozen upsampling": ({"leaves": 21, "learned_upsampling": False}, 136_152_917 - 21 * 21 * 64 * 64),
    },
)
def fcn32s(
    *,
    leaves: int = 1,
    in_channels: int = 3,
    width: int = 64,
    padding: str = "same",
    learned_upsampling: bool = True,
    auxiliary: bool = False,
) -> FCN:
    """FCN-32s: VGG-16 as a convolution, scores upsampled 32 times in one go.

    The options are those of `FCN`.
    """
    return FCN(
        leaves,
        in_channels,
        32,
        width=width,
        padding=padding,
        learned_upsampling=learned_upsampling,
        auxiliary=auxiliary,
    )


@register(
    "fcn16s",
    parameters=134_266_194,
    source=f"{_COUNTED} with one class",
    stride=32,
    min_size=32,
    depth=True,
    reduced=_REDUCED,
    counts={
        "PASCAL VOC": ({"leaves": 21}, 134_815_994),
        "two classes": ({"leaves": 2}, 134_273_924),
    },
)
def fcn16s(
    *,
    leaves: int = 1,
    in_channels: int = 3,
    width: int = 64,
    padding: str = "same",
    learned_upsampling: bool = True,
    pool4_scale: float = 1.0,
    auxiliary: bool = False,
) -> FCN:
    """FCN-16s: FCN-32s whose scores are refined by those of pool4.

    The options are those of `FCN`.
    """
    return FCN(
        leaves,
        in_channels,
        16,
        width=width,
        padding=padding,
        learned_upsampling=learned_upsampling,
        scales=(pool4_scale,),
        auxiliary=auxiliary,
    )


@register(
    "fcn8s",
    parameters=134_265_699,
    source=f"{_COUNTED} with one class",
    stride=32,
    min_size=32,
    depth=True,
    reduced=_REDUCED,
    counts={
        "PASCAL VOC": ({"leaves": 21}, 134_489_759),
        "two classes": ({"leaves": 2}, 134_271_430),
        "the release's geometry": ({"leaves": 21, "padding": "caffe"}, 134_489_759),
    },
)
def fcn8s(
    *,
    leaves: int = 1,
    in_channels: int = 3,
    width: int = 64,
    padding: str = "same",
    learned_upsampling: bool = True,
    pool4_scale: float = 1.0,
    pool3_scale: float = 1.0,
    auxiliary: bool = False,
) -> FCN:
    """FCN-8s: FCN-32s whose scores are refined by those of pool4 and pool3.

    The options are those of `FCN`.
    """
    return FCN(
        leaves,
        in_channels,
        8,
        width=width,
        padding=padding,
        learned_upsampling=learned_upsampling,
        scales=(pool4_scale, pool3_scale),
        auxiliary=auxiliary,
    )
