"""The SD block of SDU-Net (Wang et al., arXiv:2004.03466): a chain of dilated convolutions, every output kept."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from figureground.errors import NetworkError
from figureground.networks.blocks.convolution import ConvNormReLU


class StackedDilation(nn.Module):
    """A standard convolution to half of the outputs, then dilated ones to 1/4, 1/8, 1/16 and 1/16; all concatenated.

    (N, inputs, H, W) -> (N, outputs, H, W). Each link of the chain reads the one before it.

    outputs: a multiple of 16, else NetworkError.
    rates: dilations of the four links after the first.
    """

    def __init__(self, inputs: int, outputs: int, rates: Sequence[int] = (3, 6, 9, 12)) -> None:
        if outputs % 16:
            raise NetworkError(
                f"a stacked-dilation block cannot give {outputs} channels", remedy="use a multiple of 16 channels"
            )
        super().__init__()
        widths = [inputs, outputs // 2, outputs // 4, outputs // 8, outputs // 16, outputs // 16]
        self.links = nn.ModuleList(
            ConvNormReLU(a, b, dilation=rate, bias=True)
            for a, b, rate in zip(widths[:-1], widths[1:], (1, *rates), strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H, W)."""
        outputs = []
        for link in self.links:
            x = link(x)
            outputs.append(x)
        return torch.cat(outputs, dim=1)
