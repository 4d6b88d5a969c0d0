"""U-Net (Ronneberger, Fischer, Brox 2015, arXiv:1505.04597), in the same-size form used for person segmentation.

Differences from the paper: padded convolutions, where the paper loses 92 px per side; batch normalisation after every
convolution, whose bias is kept, as in HumanSegmentation's VanillaUNet; no dropout. ``padding="valid"`` and
``normalised=False`` take back the first two: the convolutions are the paper's, and the image is continued by its mirror
image as there, so that logits have its size.
"""

from __future__ import annotations

from functools import partial

from torch import nn

from figureground.errors import NetworkError, suggest
from figureground.networks.blocks.convolution import he_normal
from figureground.networks.blocks.switches import Switches
from figureground.networks.blocks.ushape import UnpaddedUShape, UShape
from figureground.networks.registry import register

_FORMS: dict[str, tuple[type[UShape], int]] = {"same": (UShape, 1), "valid": (UnpaddedUShape, 0)}
"""Name of a padding -> the network, and by how much its convolutions are padded."""


def double_convolution(inputs: int, outputs: int, *, padding: int = 1, normalised: bool = True) -> nn.Sequential:
    """Two 3x3 convolutions with bias, each normalised, unless told otherwise, and rectified.

    (N, inputs, H, W) -> (N, outputs, H, W), or for a padding of 0 (N, outputs, H - 4, W - 4).
    """
    return nn.Sequential(
        *(
            nn.Sequential(
                nn.Conv2d(channels, outputs, 3, padding=padding),
                *([nn.BatchNorm2d(outputs)] if normalised else []),
                nn.ReLU(inplace=True),
            )
            for channels in (inputs, outputs)
        )
    )


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
        "without normalisation": ({"normalised": False}, 31_031_745),
        "the paper's": ({"in_channels": 1, "leaves": 2, "padding": "valid", "normalised": False}, 31_030_658),
    },
)
def unet(
    *,
    leaves: int = 1,
    in_channels: int = 3,
    width: int = 64,
    padding: str = "same",
    normalised: bool = True,
    gates: str | None = None,
    dual_attention: bool = False,
    auxiliary: bool = False,
) -> UShape:
    """U-Net: five levels of double convolutions, skips by concatenation.

    width: channels at full resolution; each level below has twice as many.
    padding: "same", or the paper's "valid": unpadded convolutions over an image that is continued by its mirror image.
    normalised: batch normalisation after every convolution, which the paper does not have.
    gates, dual_attention, auxiliary: see `blocks.switches`; the maps are those of the contracting path.
    """
    if padding not in _FORMS:
        raise NetworkError(f"there is no padding '{padding}'", remedy=suggest(padding, _FORMS))
    form, rim = _FORMS[padding]
    widths = [width * factor for factor in (1, 2, 4, 8, 16)]
    block = partial(double_convolution, padding=rim, normalised=normalised)
    network = form(leaves, in_channels, widths, widths[-2::-1], block)
    he_normal(network.modules())
    network.switched(Switches(gates, dual_attention, auxiliary), leaves)
    return network
