"""Max pooling that remembers where each maximum was, and its inverse (arXiv:1511.00561, 1505.04366)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from figureground.networks.blocks.vgg import Layer


def max_pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """(N, C, H, W) -> maxima of 2x2 windows (N, C, H // 2, W // 2) and their flat places ``y * W + x`` (int64)."""
    maxima, places = F.max_pool2d(x, 2, return_indices=True)
    return maxima, places


def unpool(x: Tensor, places: Tensor, like: Tensor) -> Tensor:
    """Put each value of ``x`` (N, C, h, w) at its place in a plane of zeros shaped as ``like`` (N, C, H, W).

    Equal to `torch.nn.functional.max_unpool2d`; written as a scatter, which exports to ONNX.
    """
    planes = x.new_zeros(like.shape).flatten(2)
    return planes.scatter(2, places.flatten(2), x.flatten(2)).reshape(like.shape)


class MirroredDecoder(nn.Module):
    """Stages that undo an encoder's: unpool by its places, convolve, and narrow with the stage's last convolution.

    widths, depths: channels and number of convolutions of the encoder's stages, shallow to deep.
    """

    def __init__(self, widths: Sequence[int], depths: Sequence[int], layer: Layer) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        for outputs, width, depth in reversed(list(zip((widths[0], *widths), widths, depths, strict=False))):
            convolutions = [*(layer(width, width) for _ in range(depth - 1)), layer(width, outputs)]
            self.stages.append(nn.Sequential(*convolutions))

    def forward(self, x: Tensor, before: Sequence[Tensor], places: Sequence[Tensor]) -> Tensor:
        """``x`` is the last pool's output; ``before`` and ``places`` are each pool's input and places, in order."""
        for stage, shape, place in zip(self.stages, reversed(before), reversed(places), strict=True):
            x = stage(unpool(x, place, shape))
        return x
