"""Convolution, batch normalisation and ReLU in the order nearly all of these networks use them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvNormReLU(nn.Sequential):
    """``kernel`` x ``kernel`` convolution (same size when stride is 1), batch normalisation, ReLU.

    (N, inputs, H, W) -> (N, outputs, ceil(H / stride), ceil(W / stride)) for an odd kernel.
    bias: keep the convolution's bias, redundant before the normalisation but part of some published counts.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, *, stride: int = 1, dilation: int = 1, bias: bool = False
    ) -> None:
        padding = dilation * (kernel - 1) // 2
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=bias),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class MixNormReLU(ConvNormReLU):
    """Maps resized bilinearly to the finest and concatenated, then a 1x1 convolution, batch normalisation, ReLU.

    Maps (N, channels[i], h_i, w_i), finest first -> (N, outputs, h_0, w_0). Each map meets its columns of the
    convolution before it is resized. That is the same, for the weights of an interpolation add up to one, and neither
    the concatenation nor most of its multiplications are needed.

    channels: of the maps, in the order of the concatenation.
    coarsest_first: the order of the concatenation, which is that of the convolution's columns.
    """

    def __init__(
        self, channels: Sequence[int], outputs: int, *, coarsest_first: bool = False, bias: bool = False
    ) -> None:
        super().__init__(sum(channels), outputs, kernel=1, bias=bias)
        self.channels = list(channels)
        self.coarsest_first = coarsest_first

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (N, channels[i], h_i, w_i), finest first, -> (N, outputs, h_0, w_0)."""
        convolve, norm, rectify = self
        assert isinstance(convolve, nn.Conv2d)
        columns = torch.split(convolve.weight, self.channels, dim=1)
        first, *others = reversed(columns) if self.coarsest_first else columns
        out = F.conv2d(maps[0], first, convolve.bias)
        for x, weight in zip(maps[1:], others, strict=True):
            out += F.interpolate(F.conv2d(x, weight), size=out.shape[-2:], mode="bilinear", align_corners=False)
        rectified: Tensor = rectify(norm(out))
        return rectified


def he_normal(modules: Iterable[nn.Module]) -> None:
    """Draw the weights of all (transposed) convolutions from N(0, sqrt(2 / fan_in)), biases 0 (arXiv:1502.01852)."""
    for module in modules:
        if isinstance(module, nn.ConvTranspose2d):
            # A transposed weight is stored (inputs, outputs, k, k), so torch's "fan_out" is what reaches one output.
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
