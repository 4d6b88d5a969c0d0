"""The thirteen convolutions of VGG-16 (Simonyan, Zisserman, arXiv:1409.1556), in five stages and without the pools."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

from figureground.errors import NetworkError

VGG16_DEPTHS = (2, 2, 3, 3, 3)
"""Convolutions in each stage."""

Layer = Callable[[int, int], nn.Module]
"""(input channels, output channels) -> one convolution with what follows it."""


class ConvReLU(nn.Sequential):
    """3x3 convolution with bias and ReLU: (N, inputs, H, W) -> (N, outputs, H, W)."""

    def __init__(self, inputs: int, outputs: int, *, dilation: int = 1) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 3, 1, dilation, dilation), nn.ReLU(inplace=True))


class VGG16(nn.Module):
    """Five stages of convolutions; the network that owns them puts its own pooling between.

    width: channels of the first stage (64 in the paper); the others have 2, 4, 8 and 8 times as many.
    layer: builds one convolution, so that the same trunk serves with and without batch normalisation.
    """

    def __init__(self, in_channels: int, width: int, layer: Layer) -> None:
        super().__init__()
        self.widths = tuple(width * factor for factor in (1, 2, 4, 8, 8))
        self.stages = nn.ModuleList()
        for depth, (inputs, outputs) in zip(VGG16_DEPTHS, pairwise((in_channels, *self.widths)), strict=True):
            convolutions = [layer(inputs, outputs), *(layer(outputs, outputs) for _ in range(depth - 1))]
            self.stages.append(nn.Sequential(*convolutions))

    def load_torchvision(self, state: Mapping[str, Tensor]) -> None:
        """Copy the ``features.*`` tensors of torchvision's ``vgg16`` (or ``vgg16_bn``), which come in the same order.

        A first convolution that also sees depth keeps zeros for the channels the photos did not have.
        Raises NetworkError when the tensors do not fit.
        """
        theirs = [tensor for key, tensor in state.items() if key.startswith("features.")]
        ours = list(self.state_dict().items())
        if len(ours) != len(theirs):
            raise NetworkError(
                f"{len(theirs)} feature tensors do not fill a trunk of {len(ours)}",
                remedy="use vgg16 for a trunk without batch normalisation and vgg16_bn for one with it",
            )
        with torch.no_grad():
            for index, ((key, mine), given) in enumerate(zip(ours, theirs, strict=True)):
                if index == 0 and given.ndim == mine.ndim and given.shape[1] < mine.shape[1]:
                    mine.zero_()
                    mine = mine[:, : given.shape[1]]
                if mine.shape != given.shape:
                    raise NetworkError(
                        f"{key} has shape {tuple(mine.shape)}, the weights have {tuple(given.shape)}",
                        remedy="load VGG-16 weights into the full width (width=64)",
                    )
                mine.copy_(given)
