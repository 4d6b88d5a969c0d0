"""Object-contextual representations (Yuan, Chen, Wang, arXiv:1909.11065): a pixel described by the regions it is like.

A first, coarse segmentation says which pixels make up each region; a region's features are their weighted mean; every
pixel attends to the regions and gets a mixture of their features beside its own.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from figureground.networks.blocks.convolution import ConvNormReLU
from figureground.networks.blocks.normalisation import SparseBatchNorm


def region_features(x: Tensor, scores: Tensor) -> Tensor:
    """Mean of the features ``x`` (N, C, h, w) over each region, weighted by a softmax of its scores over all pixels.

    scores: (N, R, h, w) -> (N, R, C).
    """
    weights = scores.flatten(2).softmax(dim=2)
    return weights @ x.flatten(2).transpose(1, 2)


def _per_region(inputs: int, outputs: int) -> nn.Sequential:
    """1x1 convolution, normalisation, ReLU of (N, inputs, R, 1), where N and R may both be 1."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), SparseBatchNorm(outputs), nn.ReLU(inplace=True))


class ObjectContext(nn.Module):
    """Features (N, channels, h, w) and scores of regions (N, R, h, w) -> features (N, channels, h, w).

    key_channels: in which pixels and regions are compared.
    dropout: share of the channels that training drops.
    """

    def __init__(self, channels: int, key_channels: int, *, dropout: float = 0.05) -> None:
        super().__init__()
        self.pixel = nn.Sequential(
            ConvNormReLU(channels, key_channels, kernel=1), ConvNormReLU(key_channels, key_channels, kernel=1)
        )
        self.region = nn.Sequential(_per_region(channels, key_channels), _per_region(key_channels, key_channels))
        self.value = _per_region(channels, key_channels)
        self.up = ConvNormReLU(key_channels, channels, kernel=1)
        self.fuse = nn.Sequential(ConvNormReLU(2 * channels, channels, kernel=1), nn.Dropout2d(dropout))

    def forward(self, x: Tensor, scores: Tensor) -> Tensor:
        """(N, channels, h, w), (N, R, h, w) -> (N, channels, h, w)."""
        regions = region_features(x, scores).transpose(1, 2).unsqueeze(3)
        query = self.pixel(x)
        key, value = self.region(regions), self.value(regions)
        # One head, written as such: the ONNX exporter knows attention with a dimension for heads only.
        tokens = [part.flatten(2).transpose(1, 2).unsqueeze(1) for part in (query, key, value)]
        mixed = F.scaled_dot_product_attention(*tokens)
        context = self.up(mixed.transpose(2, 3).reshape(query.shape))
        out: Tensor = self.fuse(torch.cat([context, x], dim=1))
        return out


class OCRHead(nn.Module):
    """A coarse segmentation, object context from it, and the segmentation.

    regions: makes the coarse logits (N, leaves, h, w).
    inputs: channels of the features that are classified.
    background_region: treat the background, whose logit is 0 everywhere, as one more region: the mean of the image.
        With a single leaf there is otherwise one region only, and nothing for a pixel to choose from.
    """

    def __init__(
        self,
        leaves: int,
        regions: nn.Module,
        inputs: int,
        *,
        channels: int = 512,
        key_channels: int = 256,
        background_region: bool = True,
    ) -> None:
        super().__init__()
        self.regions = regions
        self.features = ConvNormReLU(inputs, channels, bias=True)
        self.context = ObjectContext(channels, key_channels)
        self.classify = nn.Conv2d(channels, leaves, 1)
        self.background_region = background_region

    def forward(self, coarse: Tensor, fine: Tensor) -> tuple[Tensor, Tensor]:
        """What ``regions`` reads, and (N, inputs, h, w) -> logits and coarse logits, both (N, leaves, h, w)."""
        scores: Tensor = self.regions(coarse)
        seen = torch.cat([torch.zeros_like(scores[:, :1]), scores], dim=1) if self.background_region else scores
        return self.classify(self.context(self.features(fine), seen)), scores
