"""The auxiliary head: a small segmentation from an inner map, which only training looks at.

Supervised beside the output (Zhao et al., arXiv:1612.01105, with weight 0.4), it shortens the way of the gradient to
the encoder's deep stages. Layers as in torchvision's FCN head.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from figureground.networks.blocks.convolution import ConvNormReLU, he_normal


class AuxiliaryHead(nn.Sequential):
    """3x3 convolution to a quarter of the inputs, dropout, classifier: (N, inputs, h, w) -> (N, leaves, h, w)."""

    def __init__(self, inputs: int, leaves: int) -> None:
        hidden = max(1, inputs // 4)
        super().__init__(ConvNormReLU(inputs, hidden), nn.Dropout(0.1), nn.Conv2d(hidden, leaves, 1))
        he_normal(self.modules())


def placed_logits(head: nn.Module, x: Tensor, size: torch.Size, *, stride: int, margin: int) -> Tensor:
    """What a head says of a map (N, C, h, w) that begins before the image and ends after it: (N, leaves, *size).

    The head reads only the cells that the image has a part in.

    size: (height, width) of the image.
    stride: of the map, in pixels of the image.
    margin: how many pixels before the image the map's first cell begins.
    """
    first, rest = divmod(margin, stride)
    rows, columns = (-(-(margin + side) // stride) for side in size)
    scores = head(x[..., first:rows, first:columns])
    whole = F.interpolate(scores, scale_factor=float(stride), mode="bilinear", align_corners=False)
    return whole[..., rest : rest + size[0], rest : rest + size[1]]
