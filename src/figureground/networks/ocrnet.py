"""OCRNet (Yuan, Chen, Wang, arXiv:1909.11065): object-contextual representations over HRNetV2 or a dilated ResNet.

The coarse segmentation that defines the regions is supervised too: it is the output "aux_regions", which the paper
weighs 0.4. Over HRNet both segmentations read the concatenated maps, as in the HRNet-OCR branch of
HRNet/HRNet-Semantic-Segmentation; over other encoders the coarse one reads the last but one stage, as in
openseg-group/openseg.pytorch. Interpolation uses half-pixel centres, where these two align corners.

Where we differ: the background is a region of its own (`OCRHead`), because here it has no logits to be one by;
``background_region=False`` leaves the classes alone, as in the paper.
"""

from __future__ import annotations

from torch import Tensor, nn

from figureground.networks.blocks.convolution import ConvNormReLU, he_normal
from figureground.networks.blocks.frame import SegmentationNetwork, resize_logits
from figureground.networks.blocks.object_context import OCRHead
from figureground.networks.blocks.switches import OFF, Switches, map_attention
from figureground.networks.encoders import TimmEncoder
from figureground.networks.encoders.dilated import dilated_encoder
from figureground.networks.encoders.hrnet import concatenated, hrnet_encoder
from figureground.networks.registry import register


class HighResolutionTrunk(nn.Module):
    """HRNet's concatenated maps, for both segmentations: (N, C, H, W) -> (N, channels[0], H / 4, W / 4), twice."""

    multiple = 32

    def __init__(self, encoder: TimmEncoder, switches: Switches = OFF) -> None:
        super().__init__()
        self.encoder = encoder
        self.channels = (sum(encoder.channels), sum(encoder.channels))
        self.attend = map_attention(encoder.channels, switches)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W), sides multiples of 32 -> maps for the coarse and the final segmentation."""
        features = concatenated(self.attend(self.encoder(x)))
        return features, features

    def regions(self, leaves: int) -> nn.Sequential:
        """The coarse segmentation: (N, channels[0], h, w) -> logits (N, leaves, h, w)."""
        width = self.channels[0]
        return nn.Sequential(ConvNormReLU(width, width, kernel=1, bias=True), nn.Conv2d(width, leaves, 1))


class DilatedTrunk(nn.Module):
    """The last two stages of an encoder that ends at stride 8: (N, C, H, W) -> two maps at stride 8.

    hidden: channels of the coarse segmentation.
    """

    multiple = 8

    def __init__(self, encoder: TimmEncoder, hidden: int, switches: Switches = OFF) -> None:
        super().__init__()
        self.encoder = encoder
        self.hidden = hidden
        self.channels = (encoder.channels[-2], encoder.channels[-1])
        self.attend = map_attention(self.channels, switches)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W), sides multiples of 8 -> maps for the coarse and the final segmentation."""
        coarse, fine = self.attend(self.encoder(x)[-2:])
        return coarse, fine

    def regions(self, leaves: int) -> nn.Sequential:
        """The coarse segmentation: (N, channels[0], h, w) -> logits (N, leaves, h, w)."""
        return nn.Sequential(
            ConvNormReLU(self.channels[0], self.hidden, bias=True),
            nn.Dropout2d(0.05),
            nn.Conv2d(self.hidden, leaves, 1),
        )


class OCRNet(SegmentationNetwork):
    """A trunk and an `OCRHead`; logits at the trunk's stride are upsampled bilinearly.

    channels, key_channels, background_region: as of `OCRHead`.
    """

    def __init__(
        self,
        leaves: int,
        trunk: HighResolutionTrunk | DilatedTrunk,
        *,
        channels: int,
        key_channels: int,
        background_region: bool,
    ) -> None:
        super().__init__(multiple=trunk.multiple, least=32)
        self.trunk = trunk
        self.head = OCRHead(
            leaves,
            trunk.regions(leaves),
            trunk.channels[1],
            channels=channels,
            key_channels=key_channels,
            background_region=background_region,
        )
        he_normal(self.head.modules())

    def compute_training(self, x: Tensor) -> dict[str, Tensor]:
        """'logits' and 'aux_regions', each (N, leaves, H, W), of an image whose sides are multiples of the trunk's."""
        logits, scores = self.head(*self.trunk(x))
        return {"logits": resize_logits(logits, x.shape[-2:]), "aux_regions": resize_logits(scores, x.shape[-2:])}


@register(
    "ocrnet",
    parameters=12_066_706,
    source="counted from lib/models/seg_hrnet_ocr.py of HRNet/HRNet-Semantic-Segmentation, W18 with one class; "
    "over ResNets from lib/models/nets/ocrnet.py of openseg-group/openseg.pytorch with a plain stem",
    stride=32,
    min_size=32,
    depth=True,
    reduced={"encoder": "hrnet_w18_small", "channels": 32, "key_channels": 16},
    counts={
        "W18, Cityscapes": ({"leaves": 19}, 12_080_818),
        "W18, two classes": ({"leaves": 2}, 12_067_490),
        "W48, Cityscapes": ({"leaves": 19, "encoder": "hrnet_w48"}, 70_372_678),
        "W48, two classes": ({"leaves": 2, "encoder": "hrnet_w48"}, 70_351_700),
        "ResNet-50, Cityscapes": ({"leaves": 19, "encoder": "resnet50"}, 38_870_630),
        "ResNet-101, Cityscapes": ({"leaves": 19, "encoder": "resnet101"}, 57_862_758),
    },
)
def ocrnet(
    *,
    leaves: int = 1,
    in_channels: int = 3,
    encoder: str = "hrnet_w18",
    encoder_weights: str | None = None,
    channels: int = 512,
    key_channels: int = 256,
    background_region: bool = True,
    gates: str | None = None,
    dual_attention: bool = False,
) -> OCRNet:
    """OCRNet: every pixel described by the regions of a first segmentation that it resembles.

    encoder: name of one of timm's HRNets, or of a timm model that can be dilated to stride 8, such as "resnet101".
    encoder_weights: None, "imagenet" (timm's hub), or a safetensors file, a folder or "hub:owner/name".
    gates, dual_attention: see `blocks.switches`. There is no ``auxiliary``: this network always has its first
        segmentation as one.

    The others are those of `OCRHead`.
    """
    switches = Switches(gates, dual_attention)
    trunk: HighResolutionTrunk | DilatedTrunk
    if encoder.startswith("hrnet_"):
        trunk = HighResolutionTrunk(hrnet_encoder(encoder, in_channels=in_channels, weights=encoder_weights), switches)
    else:
        body = dilated_encoder(encoder, in_channels=in_channels, weights=encoder_weights, output_stride=8)
        trunk = DilatedTrunk(body, channels, switches)
    return OCRNet(leaves, trunk, channels=channels, key_channels=key_channels, background_region=background_region)
