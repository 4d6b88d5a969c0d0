"""The auxiliary head: a small segmentation from an inner map, which only training looks at.

Supervised beside the output (Zhao et al., arXiv:1612.01105, with weight 0.4), it shortens the way of the gradient to
the encoder's deep stages. Layers as in torchvision's FCN head.
"""

from __future__ import annotations

from torch import nn

from figureground.networks.blocks.convolution import ConvNormReLU, he_normal


class AuxiliaryHead(nn.Sequential):
    """3x3 convolution to a quarter of the inputs, dropout, classifier: (N, inputs, h, w) -> (N, leaves, h, w)."""

    def __init__(self, inputs: int, leaves: int) -> None:
        hidden = max(1, inputs // 4)
        super().__init__(ConvNormReLU(inputs, hidden), nn.Dropout(0.1), nn.Conv2d(hidden, leaves, 1))
        he_normal(self.modules())
