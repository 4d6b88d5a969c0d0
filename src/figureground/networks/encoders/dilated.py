"""timm encoders whose last stages dilate their convolutions instead of halving the map once more.

The first block of a stage that no longer halves keeps the dilation of the stage before it, the rule of torchvision and
timm; `dilate_evenly` changes a ResNet to the other rule in use.
"""

from __future__ import annotations

from torch import nn

from figureground.errors import NetworkError
from figureground.networks.encoders.timm_encoder import TimmEncoder

_REMEDY = "use an encoder with a map at stride 4 that timm can dilate, such as resnet50"


def dilated_encoder(name: str, *, in_channels: int, weights: str | None, output_stride: int) -> TimmEncoder:
    """The timm encoder ``name`` with a map at stride 4 and none coarser than ``output_stride``, 8 or 16.

    in_channels, weights: as for `TimmEncoder`.

    Raises NetworkError for another output stride and for an encoder that cannot be dilated or starts above stride 4.
    """
    if output_stride not in (8, 16):
        raise NetworkError(f"output stride {output_stride} is not offered", remedy="use 16, or 8 for finer maps")
    try:
        encoder = TimmEncoder(name, in_channels=in_channels, weights=weights, levels=None, output_stride=output_stride)
    except (AssertionError, TypeError) as error:  # how timm's models refuse an option
        raise NetworkError(f"encoder '{name}' cannot be dilated", remedy=_REMEDY) from error
    if 4 not in encoder.strides or encoder.strides[-1] != output_stride:
        raise NetworkError(
            f"the strides of '{name}' are {encoder.strides}",
            remedy=_REMEDY,
        )
    return encoder


def dilate_evenly(encoder: TimmEncoder) -> None:
    """Give the first block of a ResNet's dilated stages the dilation of the blocks after it, in place.

    That is how segmentation-models-pytorch dilates the ResNets it brings itself. Other encoders are left as they are,
    which is what that library does with the encoders it takes from timm.
    """
    for name, stage in encoder.body.named_children():
        if not name.startswith("layer"):
            continue
        convolutions = [module for module in stage.modules() if isinstance(module, nn.Conv2d)]
        dilation = max(conv.dilation for conv in convolutions)
        for conv in convolutions:
            # It means nothing to a 1x1 convolution, but on one thread PyTorch has a quicker kernel for dilated ones.
            conv.dilation = dilation
            if conv.kernel_size[0] > 1:
                conv.padding = dilation
