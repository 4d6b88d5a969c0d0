"""DeepLab v1 "LargeFOV" (Chen et al., arXiv:1412.7062): VGG-16 at stride 8 by dilation, one widely dilated fc6.

The pools are 3x3 with padding 1; the last two have stride 1. Where we differ: training upsamples the logits to the
label instead of subsampling the label by 8; the average pool that the released prototxt adds after pool5 is an option.
The dense CRF that the paper applies afterwards is a refinement of its own, not part of the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from figureground.networks.blocks.convolution import he_normal
from figureground.networks.blocks.frame import resize_logits
from figureground.networks.blocks.switches import EncoderDecoder, Switches
from figureground.networks.blocks.vgg import VGG16, ConvReLU, load_vgg16
from figureground.networks.registry import register
from figureground.networks.transfer import TransferReport

_POOL_STRIDES = (2, 2, 2, 1, 1)


class DeepLabV1(EncoderDecoder):
    """Dilated VGG-16; logits at stride 8 are upsampled bilinearly, so any size fits without padding.

    width: channels of the first stage; fc6 and fc7 have 16 times as many.
    average_pool: smooth pool5 by a 3x3 mean, as the released LargeFOV does.
    """

    def __init__(self, leaves: int, in_channels: int, width: int, average_pool: bool, auxiliary: bool = False) -> None:
        super().__init__(multiple=1, least=8)
        self.trunk = VGG16(in_channels, width, ConvReLU)
        self.trunk.stages[4] = nn.Sequential(
            *(ConvReLU(self.trunk.widths[3], self.trunk.widths[4], dilation=2) for _ in range(3))
        )
        self.smooth = nn.AvgPool2d(3, stride=1, padding=1) if average_pool else nn.Identity()
        hidden = 16 * width
        self.fc6 = nn.Conv2d(self.trunk.widths[-1], hidden, 3, padding=12, dilation=12)
        self.fc7 = nn.Conv2d(hidden, hidden, 1)
        self.fc8 = nn.Conv2d(hidden, leaves, 1)
        he_normal(self.modules())
        nn.init.normal_(self.fc8.weight, std=0.01)
        self.switch_on(Switches(auxiliary=auxiliary), leaves, reads=(), encoded=self.trunk.widths)

    def encode(self, x: Tensor) -> list[Tensor]:
        """(N, C, H, W) -> the maps after each pooling."""
        maps = []
        for stage, stride in zip(self.trunk.stages, _POOL_STRIDES, strict=True):
            x = F.max_pool2d(stage(x), 3, stride, padding=1)
            maps.append(x)
        return maps

    def decode(self, maps: Sequence[Tensor], x: Tensor) -> Tensor:
        """The maps after each pooling of the image ``x`` -> logits (N, leaves, H, W)."""
        deep = self.smooth(maps[-1])
        for layer in (self.fc6, self.fc7):
            deep = F.dropout(F.relu(layer(deep)), 0.5, self.training)
        return resize_logits(self.fc8(deep), x.shape[-2:])

    def load_published(self, state: Mapping[str, Tensor]) -> TransferReport:
        """Take over what fits of torchvision's or timm's ``vgg16``, or of our own names, in place.

        Its classifier, whose first layer sees 7x7 cells, stays out: fc6 and fc7 are smaller here.

        Raises NetworkError when nothing fits, or the width is another.
        """
        return load_vgg16(self, "trunk", state)


@register(
    "deeplab_v1",
    parameters=20_484_929,
    source="counted from the LargeFOV layer table of arXiv:1412.7062 with one class",
    stride=8,
    min_size=8,
    depth=True,
    reduced={"width": 8},
    counts={
        "PASCAL VOC": ({"leaves": 21}, 20_505_429),
        "two classes": ({"leaves": 2}, 20_485_954),
        "as released": ({"leaves": 21, "average_pool": True}, 20_505_429),
    },
)
def deeplab_v1(
    *, leaves: int = 1, in_channels: int = 3, width: int = 64, average_pool: bool = False, auxiliary: bool = False
) -> DeepLabV1:
    """DeepLab v1 LargeFOV: VGG-16 at stride 8, fc6 a 3x3 convolution dilated 12 times.

    auxiliary: see `blocks.switches`; the map is that after the fourth pooling.

    The other options are those of `DeepLabV1`.
    """
    return DeepLabV1(leaves, in_channels, width, average_pool, auxiliary)
