"""DeconvNet (Noh, Hong, Han, arXiv:1505.04366): VGG-16 with its two big layers, and a deep mirror of deconvolutions.

The layers, their normalisation and the initialisation follow model/DeconvNet/*.prototxt of HyeonwooNoh/DeconvNet. The
paper classifies object proposals of 224x224 pixels and merges them; here the network sees the whole image, padded to
a multiple of 32, as larger inputs only make the 7x7 layer slide. ``deconvnet_lite`` leaves out the two big layers.
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


class DeconvNormReLU(nn.Sequential):
    """Transposed convolution with bias, stride 1, then batch normalisation and ReLU.

    (N, inputs, H, W) -> (N, outputs, H, W) for kernel 3 and padding 1.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, *, padding: int = 1) -> None:
        super().__init__(
            nn.ConvTranspose2d(inputs, outputs, kernel, padding=padding), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
        )


class Classifier(nn.Module):
    """VGG's fc6 and fc7 as convolutions, and the deconvolution that takes fc7 back to the last pool's size.

    (N, channels, h, w) -> (N, channels, h, w), h and w at least 7.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Sequential(nn.Conv2d(channels, hidden, 7), nn.BatchNorm2d(hidden), nn.ReLU(inplace=True)),
            ConvNormReLU(hidden, hidden, 1, bias=True),
            DeconvNormReLU(hidden, channels, 7, padding=0),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) -> the same shape."""
        out: Tensor = self.layers(x)
        return out


class DeconvNet(SegmentationNetwork):
    """Encoder, ``middle``, mirrored decoder of transposed convolutions, 1x1 classifier.

    middle: keeps the shape of the last pool's output.
    """

    def __init__(self, leaves: int, in_channels: int, width: int, middle: nn.Module, *, least: int) -> None:
        super().__init__(multiple=32, least=least)
        self.encoder = VGG16(in_channels, width, partial(ConvNormReLU, bias=True))
        self.middle = middle
        self.decoder = MirroredDecoder(self.encoder.widths, VGG16_DEPTHS, DeconvNormReLU)
        self.classify = nn.Conv2d(width, leaves, 1)
        self._initialise()

    def _initialise(self) -> None:
        he_normal(self.modules())
        for module in self.modules():
            if isinstance(module, nn.ConvTranspose2d):
                nn.init.normal_(module.weight, std=0.01)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.constant_(module.bias, 0.001)

    def compute(self, x: Tensor) -> Tensor:
        """(N, C, H, W), sides multiples of 32 -> logits (N, leaves, H, W)."""
        before, places = [], []
        for stage in self.encoder.stages:
            x = stage(x)
            before.append(x)
            x, place = max_pool(x)
            places.append(place)
        logits: Tensor = self.classify(self.decoder(self.middle(x), before, places))
        return logits

    def load_published(self, state: Mapping[str, Tensor]) -> TransferReport:
        """Take over what fits of torchvision's or timm's ``vgg16`` or ``vgg16_bn``, or of our own names, in place.

        Its first two linear layers become fc6 and fc7, where the network has them.

        Raises NetworkError when nothing fits, or the width is another.
        """
        return load_vgg16(self, "encoder", state, ("middle.layers.0.0", "middle.layers.1.0"))


@register(
    "deconvnet",
    parameters=251_804_353,
    source="counted from DeconvNet_inference_deploy.prototxt of HyeonwooNoh/DeconvNet with one class",
    stride=32,
    min_size=224,
    depth=True,
    reduced={"width": 4},
    counts={
        "PASCAL VOC": ({"leaves": 21}, 251_805_653),
        "two classes": ({"leaves": 2}, 251_804_418),
    },
)
def deconvnet(*, leaves: int = 1, in_channels: int = 3, width: int = 64) -> DeconvNet:
    """DeconvNet: VGG-16 with fc6 and fc7, mirrored by unpooling and transposed convolutions.

    width: channels at full resolution; fc6 and fc7 have 64 times as many.
    """
    return DeconvNet(leaves, in_channels, width, Classifier(8 * width, 64 * width), least=224)


@register(
    "deconvnet_lite",
    parameters=251_804_353 - (512 * 49 + 3) * 4096 - (4096 + 3) * 4096 - (4096 * 49 + 3) * 512,
    source="deconvnet less fc6, fc7 and fc6-deconv",
    stride=32,
    min_size=32,
    depth=True,
    reduced={"width": 4},
)
def deconvnet_lite(*, leaves: int = 1, in_channels: int = 3, width: int = 64) -> DeconvNet:
    """DeconvNet without its two big layers, which hold nine tenths of the parameters.

    width: channels at full resolution.
    """
    return DeconvNet(leaves, in_channels, width, nn.Identity(), least=32)
