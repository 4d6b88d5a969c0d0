"""U-Net (Ronneberger, Fischer, Brox 2015, arXiv:1505.04597), in the same-size form used for person segmentation.

Differences from the paper: padded convolutions, so logits have the image's size (the paper loses 92 px per side);
batch normalisation after every convolution, whose bias is kept, as in HumanSegmentation's VanillaUNet; no dropout.
"""

from __future__ import annotations

from torch import nn

from figureground.networks.blocks.convolution import ConvNormReLU, he_normal
from figureground.networks.blocks.switches import Switches
from figureground.networks.blocks.ushape import UShape
from figureground.networks.registry import register


def double_convolution(inputs: int, outputs: int) -> nn.Sequential:
    """Two 3x3 convolutions with bias, each normalised and rectified: (N, inputs, H, W) -> (N, outputs, H, W)."""
    return nn.Sequential(ConvNormReLU(inputs, outputs, bias=True), ConvNormReLU(outputs, outputs, bias=True))


@register(
    "unet",
    parameters=31_043_521,
    source="bumchik2/HumanSegmentation models/vanilla_unet.py",
    stride=16,
    min_size=16,
    depth=True,
    reduced={"width": 8},
    counts={
        "four channels": ({"in_channels": 4}, 31_043_521 + 64 * 9),
        "half width": ({"width": 32}, 7_763_041 + 2_944),
    },
)
def unet(
    *,
    leaves: int = 1,
    in_channels: int = 3,
    width: int = 64,
    gates: str | None = None,
    dual_attention: bool = False,
    auxiliary: bool = False,
) -> UShape:
    """U-Net: five levels of double convolutions, skips by concatenation.

    width: channels at full resolution; each level below has twice as many.
    gates, dual_attention, auxiliary: see `blocks.switches`; the maps are those of the contracting path.
    """
    widths = [width * factor for factor in (1, 2, 4, 8, 16)]
    network = UShape(leaves, in_channels, widths, widths[-2::-1], double_convolution)
    he_normal(network.modules())
    network.switched(Switches(gates, dual_attention, auxiliary), leaves)
    return network
