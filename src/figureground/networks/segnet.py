"""SegNet (Badrinarayanan, Kendall, Cipolla, arXiv:1511.00561): VGG-16 mirrored, upsampled by the pools' own places.

The image is padded to a multiple of 32 before the first layer, so every pool halves exactly; nothing is padded between
a pool and its unpooling, which would misplace the values. Convolutions keep a bias before the batch normalisation, as
in the authors' Caffe model. The paper normalises local contrast of its input; here the pipeline normalises.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor, nn

from figureground.networks.blocks.convolution import ConvNormReLU, he_normal
from figureground.networks.blocks.frame import SegmentationNetwork
from figureground.networks.blocks.unpooling import MirroredDecoder, max_pool
from figureground.networks.blocks.vgg import VGG16, VGG16_DEPTHS, load_vgg16
from figureground.networks.registry import register
from figureground.networks.transfer import TransferReport


class SegNet(SegmentationNetwork):
    """Encoder of thirteen convolutions, decoder of thirteen, the last of which classifies.

    width: channels of the first stage; the others have 2, 4, 8 and 8 times as many.
    """

    def __init__(self, leaves: int, in_channels: int, width: int) -> None:
        super().__init__(multiple=32, least=32)
        layer = partial(ConvNormReLU, bias=True)
        self.encoder = VGG16(in_channels, width, layer)
        # The decoder's very last convolution is the classifier, so its last stage has one layer fewer.
        self.decoder = MirroredDecoder(self.encoder.widths, (VGG16_DEPTHS[0] - 1, *VGG16_DEPTHS[1:]), layer)
        self.classify = nn.Conv2d(width, leaves, 3, padding=1)
        he_normal(self.modules())

    def compute(self, x: Tensor) -> Tensor:
        """(N, C, H, W), sides multiples of 32 -> logits (N, leaves, H, W)."""
        before, places = [], []
        for stage in self.encoder.stages:
            x = stage(x)
            before.append(x)
            x, place = max_pool(x)
            places.append(place)
        logits: Tensor = self.classify(self.decoder(x, before, places))
        return logits

    def load_published(self, state: Mapping[str, Tensor]) -> TransferReport:
        """Take over what fits of torchvision's or timm's ``vgg16`` or ``vgg16_bn``, or of our own names, in place.

        Raises NetworkError when nothing fits, or the width is another.
        """
        return load_vgg16(self, "encoder", state)


@register(
    "segnet",
    parameters=29_443_585,
    source="counted from the layer table of arXiv:1511.00561, convolution biases kept, one class",
    stride=32,
    min_size=32,
    depth=True,
    reduced={"width": 4},
    counts={
        "PASCAL VOC": ({"leaves": 21}, 29_455_125),
        "CamVid": ({"leaves": 11}, 29_449_355),
        "two classes": ({"leaves": 2}, 29_444_162),
    },
)
def segnet(*, leaves: int = 1, in_channels: int = 3, width: int = 64) -> SegNet:
    """SegNet: VGG-16 encoder and its mirror, unpooling by the places of the maxima.

    width: channels at full resolution.
    """
    return SegNet(leaves, in_channels, width)
