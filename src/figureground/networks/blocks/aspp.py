"""Atrous spatial pyramid pooling (Chen et al., arXiv:1706.05587): one map seen through several dilations at once.

The convolutions that look through the dilations are a parameter: dense ones, or depthwise separable ones in the two
forms that are in use (arXiv:1802.02611).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from figureground.networks.blocks.convolution import ConvNormReLU
from figureground.networks.blocks.normalisation import SparseBatchNorm

Layer = Callable[[int, int, int], nn.Module]
"""(input channels, output channels, dilation) -> a 3x3 convolution that keeps height and width, with what follows."""


def _depthwise(channels: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, groups=channels, bias=False)


def dense(inputs: int, outputs: int, dilation: int = 1) -> nn.Sequential:
    """3x3 convolution, normalisation, ReLU: (N, inputs, H, W) -> (N, outputs, H, W)."""
    return ConvNormReLU(inputs, outputs, dilation=dilation)


def separable(inputs: int, outputs: int, dilation: int = 1) -> nn.Sequential:
    """3x3 depthwise convolution, then 1x1 convolution, each with normalisation and ReLU, as the authors' code does.

    (N, inputs, H, W) -> (N, outputs, H, W).
    """
    norm = nn.BatchNorm2d(inputs)
    return nn.Sequential(
        _depthwise(inputs, dilation), norm, nn.ReLU(inplace=True), ConvNormReLU(inputs, outputs, kernel=1)
    )


def separable_linear(inputs: int, outputs: int, dilation: int = 1) -> nn.Sequential:
    """As `separable` with nothing between the two convolutions, as segmentation-models-pytorch does."""
    return nn.Sequential(_depthwise(inputs, dilation), ConvNormReLU(inputs, outputs, kernel=1))


class ImagePooling(nn.Module):
    """The mean of each image, convolved 1x1 and repeated at every pixel: (N, inputs, H, W) -> (N, outputs, H, W)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, bias=False), SparseBatchNorm(outputs), nn.ReLU(inplace=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H, W)."""
        pooled: Tensor = self.layers(x.mean((2, 3), keepdim=True))
        return pooled.expand(-1, -1, *x.shape[-2:])


class ASPP(nn.Module):
    """A 1x1 convolution, one ``layer`` for each dilation and the image's mean, concatenated and projected.

    (N, inputs, H, W) -> (N, outputs, H, W).

    rates: the dilations.
    project_kernel: of the convolution that projects the concatenation; 1 in the paper, 3 in mmsegmentation.
    dropout: share of the projected values that training drops.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        rates: Sequence[int],
        layer: Layer = dense,
        *,
        project_kernel: int = 1,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        wide = [layer(inputs, outputs, rate) for rate in rates]
        self.branches = nn.ModuleList([ConvNormReLU(inputs, outputs, kernel=1), *wide, ImagePooling(inputs, outputs)])
        self.project = nn.Sequential(
            ConvNormReLU(len(self.branches) * outputs, outputs, project_kernel), nn.Dropout(dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H, W)."""
        out: Tensor = self.project(torch.cat([branch(x) for branch in self.branches], dim=1))
        return out
