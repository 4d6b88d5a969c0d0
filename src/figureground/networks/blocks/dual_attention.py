"""The dual attention of HSNet (IEEE Transactions on Systems, Man, and Cybernetics, 2024, document 10495017).

One half of the channels is weighed channel by channel, the other place by place, in parallel. The paper's inside is not
public; the layers follow HolyBayes/FastSeg, without two convolutions that its forward pass never uses. It is neither
CBAM (arXiv:1807.06521, which pools maxima too and goes one after the other) nor DANet (arXiv:1809.02983, which compares
all pairs of places).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from figureground.errors import NetworkError


class DualAttentionBlock(nn.Module):
    """(N, channels, h, w) -> (N, channels, h, w). NetworkError for fewer than 2 channels, which have no halves.

    reduction: of the channels between the two 1x1 convolutions.
    bias: of the two 7x7 convolutions.
    residual: add the weighed half to itself unweighed; else only the weighed one is kept.
    """

    def __init__(self, channels: int, *, reduction: int = 1, bias: bool = True, residual: bool = True) -> None:
        super().__init__()
        if channels < 2:
            raise NetworkError("dual attention needs two channels to halve", remedy="give it a map with more channels")
        half = channels // 2
        hidden = max(1, half // reduction)
        self.channel = nn.Conv2d(channels, half, 3, padding=1)
        self.weigh_channels = nn.Sequential(
            nn.Conv2d(half, hidden, 1), nn.PReLU(), nn.Conv2d(hidden, half, 1, bias=False), nn.Sigmoid()
        )
        self.spatial = nn.Conv2d(channels, channels - half, 3, padding=1)
        self.weigh_places = nn.Sequential(
            nn.Conv2d(1, 1, 7, padding=3, bias=bias),
            nn.PReLU(),
            nn.Conv2d(1, 1, 7, padding=6, dilation=2, bias=bias),
            nn.Sigmoid(),
        )
        self.residual = residual
        for layer in self.weigh_channels:
            if isinstance(layer, nn.Conv2d):
                nn.init.xavier_uniform_(layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) -> (N, channels, h, w)."""
        channel, spatial = self.channel(x), self.spatial(x)
        by_channel = channel * self.weigh_channels(channel.mean((2, 3), keepdim=True))
        by_place = spatial * self.weigh_places(spatial.mean(1, keepdim=True))
        if self.residual:
            by_channel, by_place = channel + by_channel, spatial + by_place
        return torch.cat([by_channel, by_place], dim=1)


class DualAttention(nn.Sequential):
    """``blocks`` dual-attention blocks in a row, two in the network it comes from: (N, channels, h, w) -> the same.

    The other options are those of `DualAttentionBlock`.
    """

    def __init__(
        self, channels: int, blocks: int = 2, *, reduction: int = 1, bias: bool = True, residual: bool = True
    ) -> None:
        super().__init__(
            *(DualAttentionBlock(channels, reduction=reduction, bias=bias, residual=residual) for _ in range(blocks))
        )
