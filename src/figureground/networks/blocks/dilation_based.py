"""The dilation-based network (DbN) of SERNet-Former (Erisen, arXiv:2401.15741), as HolyBayes/FastSeg builds it.

Like ASPP it sees one map through several dilations at once, but the branches are summed instead of concatenated. The
paper does not print its dilations; 12, 16 and 18 are FastSeg's. On maps smaller than a dilation most of what the
convolution reads is padding: give smaller ``rates`` for small images.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from figureground.errors import NetworkError
from figureground.networks.blocks.dual_attention import DualAttention

RATES = (12, 16, 18)
"""The dilations of FastSeg."""


def _branch(inputs: int, outputs: int, kernel: int = 3, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.PReLU())


class DilationBasedNetwork(nn.Module):
    """The sum of one dilated 3x3 convolution with normalisation and PReLU for each rate.

    (N, channels, h, w) -> (N, channels, h, w). NetworkError when there are no rates.
    """

    def __init__(self, channels: int, rates: Sequence[int] = RATES) -> None:
        super().__init__()
        if not rates:
            raise NetworkError("a dilation-based network needs a dilation", remedy="give rates such as [12, 16, 18]")
        self.branches = nn.ModuleList(_branch(channels, channels, dilation=rate) for rate in rates)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) -> (N, channels, h, w)."""
        first, *others = self.branches
        out: Tensor = first(x)
        for branch in others:
            out = out + branch(x)
        return out


class CompressedDilation(nn.Sequential):
    """A dilation-based network on fewer channels: 1x1 to ``channels // reduction``, the network, 1x1 back.

    (N, channels, h, w) -> (N, channels, h, w). NetworkError for a reduction that does not divide the channels.

    dual_attention: let dual attention weigh what the network gives.
    """

    def __init__(
        self, channels: int, reduction: int, rates: Sequence[int] = RATES, *, dual_attention: bool = False
    ) -> None:
        if reduction < 1 or channels % reduction:
            raise NetworkError(
                f"{channels} channels cannot be divided by a reduction of {reduction}", remedy="use 2 or 4"
            )
        narrow = channels // reduction
        attention = [DualAttention(narrow)] if dual_attention else []
        super().__init__(
            _branch(channels, narrow, 1),
            DilationBasedNetwork(narrow, rates),
            *attention,
            _branch(narrow, channels, 1),
        )
