"""HRNetV2 for segmentation (Wang et al., arXiv:1908.07919): parallel resolutions, concatenated and mixed by 1x1.

W18, W32 and W48 are timm's of these names; "hrnet_w18_small" and "hrnet_w18_small_v2" are the authors' small_v1 and
small_v2. Interpolation uses half-pixel centres, as in the authors' first release. The image is padded to a multiple of
32, where the authors interpolate to odd sizes.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from figureground.networks.blocks.convolution import ConvNormReLU
from figureground.networks.blocks.frame import resize_logits
from figureground.networks.blocks.switches import OFF, EncoderDecoder, Switches
from figureground.networks.encoders import TimmEncoder
from figureground.networks.encoders.hrnet import concatenated, hrnet_encoder
from figureground.networks.registry import register


class HRNet(EncoderDecoder):
    """HRNet's concatenated maps, mixed and classified at stride 4.

    encoder: of `hrnet_encoder`.
    """

    def __init__(self, leaves: int, encoder: TimmEncoder, switches: Switches = OFF) -> None:
        super().__init__(multiple=32, least=32)
        self.encoder = encoder
        width = sum(encoder.channels)
        self.head = nn.Sequential(ConvNormReLU(width, width, kernel=1, bias=True), nn.Conv2d(width, leaves, 1))
        for module in self.head.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.001)
        self.switch_on(switches, leaves, reads=encoder.channels)

    def decode(self, maps: Sequence[Tensor], x: Tensor) -> Tensor:
        """Maps at strides 4 to 32 -> logits (N, leaves, H, W)."""
        return resize_logits(self.head(concatenated(self.attend(maps))), x.shape[-2:])


@register(
    "hrnet",
    parameters=9_636_241,
    source="counted from lib/models/seg_hrnet.py of HRNet/HRNet-Semantic-Segmentation, W18 with one class",
    stride=32,
    min_size=32,
    depth=True,
    reduced={"encoder": "hrnet_w18_small"},
    counts={
        "W18, Cityscapes": ({"leaves": 19}, 9_641_119),
        "W32, Cityscapes": ({"leaves": 19, "encoder": "hrnet_w32"}, 29_546_515),
        "W48, Cityscapes": ({"leaves": 19, "encoder": "hrnet_w48"}, 65_859_379),
        "W32, one class": ({"encoder": "hrnet_w32"}, 29_537_857),
        "W48, one class": ({"encoder": "hrnet_w48"}, 65_846_401),
        "small v1, one class": ({"encoder": "hrnet_w18_small"}, 1_536_481),
        "small v2, one class": ({"encoder": "hrnet_w18_small_v2"}, 3_934_701),
        "W18, two classes": ({"leaves": 2}, 9_636_512),
        "W48, two classes": ({"leaves": 2, "encoder": "hrnet_w48"}, 65_847_122),
        "small v2, two classes": ({"leaves": 2, "encoder": "hrnet_w18_small_v2"}, 3_934_972),
        "small v1, Cityscapes": ({"leaves": 19, "encoder": "hrnet_w18_small"}, 1_540_819),
        "small v2, Cityscapes": ({"leaves": 19, "encoder": "hrnet_w18_small_v2"}, 3_939_579),
    },
)
def hrnet(
    *,
    leaves: int = 1,
    in_channels: int = 3,
    encoder: str = "hrnet_w18",
    encoder_weights: str | None = None,
    gates: str | None = None,
    dual_attention: bool = False,
    auxiliary: bool = False,
) -> HRNet:
    """HRNetV2: full-width high resolution throughout, four parallel scales fused by addition.

    encoder: name of one of timm's HRNets.
    encoder_weights: None, "imagenet" (timm's hub), or a safetensors file, a folder or "hub:owner/name".
    gates, dual_attention, auxiliary: see `blocks.switches`.
    """
    body = hrnet_encoder(encoder, in_channels=in_channels, weights=encoder_weights)
    return HRNet(leaves, body, Switches(gates, dual_attention, auxiliary))
