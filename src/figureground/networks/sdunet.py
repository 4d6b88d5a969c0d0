"""SDU-Net (Wang et al., arXiv:2004.03466): a U-Net of stacked-dilation blocks.

The paper does not print its channel widths. The ones here, 64 to 512 and 512 again at the bottom, are those with which
the network has the share of parameters that the paper states: about 40 % of a double-convolution U-Net of the same
widths, 17 % of AttU-Net and 15 % of R2U-Net. ``sdunet_wide`` keeps the U-Net's own widths, up to 1024.

HumanSegmentation's network of that name never used its SD block: each level is a single convolution dilated twice.
``sdunet_humanseg`` is that network, to reproduce its published numbers.
"""

from __future__ import annotations

from functools import partial

from figureground.networks.blocks.convolution import ConvNormReLU, he_normal
from figureground.networks.blocks.stacked_dilation import StackedDilation
from figureground.networks.blocks.switches import Switches
from figureground.networks.blocks.ushape import Block, UShape
from figureground.networks.registry import register

_LEVELS = (1, 2, 4, 8, 16)


def _u_of(block: Block, leaves: int, in_channels: int, width: int, switches: Switches) -> UShape:
    widths = [width * factor for factor in _LEVELS]
    network = UShape(leaves, in_channels, widths, widths[-2::-1], block)
    he_normal(network.modules())
    network.switched(switches, leaves)
    return network


@register(
    "sdunet",
    parameters=5_998_257,
    source="counted; 40.6 % of the U-Net of these widths, where arXiv:2004.03466 says about 40 %",
    stride=16,
    min_size=16,
    depth=True,
    reduced={"width": 16},
    counts={"grey": ({"in_channels": 1}, 5_997_681)},
)
def sdunet(
    *,
    leaves: int = 1,
    in_channels: int = 3,
    width: int = 64,
    gates: str | None = None,
    dual_attention: bool = False,
    auxiliary: bool = False,
) -> UShape:
    """SDU-Net: U-Net of stacked-dilation blocks, rates 3, 6, 9 and 12.

    width: channels at full resolution, a multiple of 16. At the bottom the widest link reaches 30 cells to each side,
    so images of 256 pixels and more use it best.
    gates, dual_attention, auxiliary: see `blocks.switches`; the maps are those of the contracting path.
    """
    widths = [width * factor for factor in (1, 2, 4, 8, 8)]
    network = UShape(leaves, in_channels, widths, [width * factor for factor in (4, 2, 1, 1)], StackedDilation)
    he_normal(network.modules())
    network.switched(Switches(gates, dual_attention, auxiliary), leaves)
    return network


@register(
    "sdunet_wide",
    parameters=11_700_673,
    source="counted with the widths of U-Net",
    stride=16,
    min_size=16,
    depth=True,
    reduced={"width": 16},
)
def sdunet_wide(
    *,
    leaves: int = 1,
    in_channels: int = 3,
    width: int = 64,
    gates: str | None = None,
    dual_attention: bool = False,
    auxiliary: bool = False,
) -> UShape:
    """SDU-Net's blocks in U-Net's widths, which double down to the bottom.

    width: channels at full resolution, a multiple of 16.
    gates, dual_attention, auxiliary: see `blocks.switches`; the maps are those of the contracting path.
    """
    return _u_of(StackedDilation, leaves, in_channels, width, Switches(gates, dual_attention, auxiliary))


@register(
    "sdunet_humanseg",
    parameters=15_330_625,
    source="bumchik2/HumanSegmentation models/sdunet.py as wired",
    stride=16,
    min_size=16,
    depth=True,
    reduced={"width": 8},
)
def sdunet_humanseg(
    *,
    leaves: int = 1,
    in_channels: int = 3,
    width: int = 64,
    gates: str | None = None,
    dual_attention: bool = False,
    auxiliary: bool = False,
) -> UShape:
    """HumanSegmentation's SDU-Net: U-Net with one convolution per level, dilated twice.

    width: channels at full resolution.
    gates, dual_attention, auxiliary: see `blocks.switches`; the maps are those of the contracting path.
    """
    block = partial(ConvNormReLU, dilation=2, bias=True)
    return _u_of(block, leaves, in_channels, width, Switches(gates, dual_attention, auxiliary))
