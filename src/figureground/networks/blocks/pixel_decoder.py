"""The pixel decoder of MaskFormer (Cheng, Schwing, Kirillov, arXiv:2107.06278): a feature pyramid with group norms.

From the coarsest map to the finest: upsample by repetition, add a projection of the encoder's map, convolve 3x3
(Lin et al., arXiv:1612.03144). What comes out is compared with the queries' mask embeddings at every pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

_GROUPS = 32


def _convolved(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.GroupNorm(_GROUPS, outputs), nn.ReLU(inplace=True)
    )


class PixelDecoder(nn.Module):
    """Maps (N, channels[i], h_i, w_i), finest first -> (N, mask_width, h_0, w_0).

    width: channels of the pyramid, a multiple of 32.
    """

    def __init__(self, channels: Sequence[int], width: int, mask_width: int) -> None:
        super().__init__()
        *finer, coarsest = channels
        self.coarsest = _convolved(coarsest, width)
        self.laterals = nn.ModuleList(
            nn.Sequential(nn.Conv2d(inputs, width, 1, bias=False), nn.GroupNorm(_GROUPS, width))
            for inputs in reversed(finer)
        )
        self.refine = nn.ModuleList(_convolved(width, width) for _ in finer)
        self.project = nn.Conv2d(width, mask_width, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Any sizes that fall from map to map."""
        *finer, coarsest = maps
        x = self.coarsest(coarsest)
        for lateral, refine, skip in zip(self.laterals, self.refine, reversed(finer), strict=True):
            x = refine(lateral(skip) + F.interpolate(x, size=skip.shape[-2:], mode="nearest"))
        out: Tensor = self.project(x)
        return out
