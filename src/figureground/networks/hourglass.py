"""Stacked hourglass (Newell, Yang, Deng, arXiv:1603.06937), with logits where the paper has heat maps.

Layers follow src/models/hg.lua of princeton-vl/pose-hg-train. Logits are made at a quarter of the image's size and
upsampled; every stack but the last adds an auxiliary output for intermediate supervision.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from figureground.errors import NetworkError
from figureground.networks.blocks.convolution import ConvNormReLU, he_normal
from figureground.networks.blocks.frame import SegmentationNetwork, resize_logits
from figureground.networks.blocks.preactivation import PreActivationBottleneck
from figureground.networks.registry import register

_DEPTH = 4


class Hourglass(nn.Module):
    """Down ``depth`` times by pooling and up again by repetition, a residual at each size on both ways.

    (N, channels, H, W) -> the same shape; H and W multiples of ``2 ** depth``.
    """

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.up = PreActivationBottleneck(channels, channels)
        self.low1 = PreActivationBottleneck(channels, channels)
        self.low2 = Hourglass(channels, depth - 1) if depth > 1 else PreActivationBottleneck(channels, channels)
        self.low3 = PreActivationBottleneck(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> the same shape."""
        low = self.low3(self.low2(self.low1(F.max_pool2d(x, 2))))
        out: Tensor = self.up(x) + F.interpolate(low, scale_factor=2.0, mode="nearest")
        return out


class Stack(nn.Module):
    """One hourglass, the features it ends with, and their scores.

    (N, channels, h, w) -> features (N, channels, h, w) and scores (N, leaves, h, w).
    """

    def __init__(self, channels: int, leaves: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            Hourglass(channels, _DEPTH),
            PreActivationBottleneck(channels, channels),
            ConvNormReLU(channels, channels, 1, bias=True),
        )
        self.score = nn.Conv2d(channels, leaves, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features and scores."""
        features = self.features(x)
        return features, self.score(features)


class Merge(nn.Module):
    """What the next stack reads: the last stack's input, features and scores, added."""

    def __init__(self, channels: int, leaves: int) -> None:
        super().__init__()
        self.features = nn.Conv2d(channels, channels, 1)
        self.scores = nn.Conv2d(leaves, channels, 1)

    def forward(self, x: Tensor, features: Tensor, scores: Tensor) -> Tensor:
        """(N, channels, h, w) twice and (N, leaves, h, w) -> (N, channels, h, w)."""
        out: Tensor = x + self.features(features) + self.scores(scores)
        return out


class StackedHourglass(SegmentationNetwork):
    """``stacks`` hourglasses of depth 4 in a row; the image is padded to a multiple of 64.

    width: channels of the hourglasses, a multiple of 4.
    """

    def __init__(self, leaves: int, in_channels: int, stacks: int, width: int) -> None:
        if width % 4:
            raise NetworkError(f"an hourglass of {width} channels has no quarter", remedy="use a multiple of 4")
        super().__init__(multiple=64, least=64)
        self.stem = nn.Sequential(
            ConvNormReLU(in_channels, width // 4, 7, stride=2, bias=True),
            PreActivationBottleneck(width // 4, width // 2),
            nn.MaxPool2d(2),
            PreActivationBottleneck(width // 2, width // 2),
            PreActivationBottleneck(width // 2, width),
        )
        self.stacks = nn.ModuleList(Stack(width, leaves) for _ in range(stacks))
        self.merges = nn.ModuleList(Merge(width, leaves) for _ in range(stacks - 1))
        he_normal(self.modules())

    def compute(self, x: Tensor) -> Tensor:
        """(N, C, H, W), sides multiples of 64 -> logits of the last stack (N, leaves, H, W)."""
        return resize_logits(self._scores(x)[-1], x.shape[-2:])

    def compute_training(self, x: Tensor) -> dict[str, Tensor]:
        """'logits' of the last stack and 'aux_1', 'aux_2', ... of those before it, each (N, leaves, H, W)."""
        *earlier, last = (resize_logits(scores, x.shape[-2:]) for scores in self._scores(x))
        return {"logits": last, **{f"aux_{index}": scores for index, scores in enumerate(earlier, 1)}}

    def _scores(self, x: Tensor) -> list[Tensor]:
        """Scores of every stack, (N, leaves, H / 4, W / 4)."""
        x = self.stem(x)
        features, scores = self.stacks[0](x)
        all_scores = [scores]
        for merge, stack in zip(self.merges, self.stacks[1:], strict=True):
            x = merge(x, features, scores)
            features, scores = stack(x)
            all_scores.append(scores)
        return all_scores


@register(
    "hourglass",
    parameters=6_558_850,
    source="counted from src/models/hg.lua of princeton-vl/pose-hg-train with one class",
    stride=64,
    min_size=64,
    depth=True,
    reduced={"width": 16},
    counts={
        "one stack, MPII joints": ({"leaves": 16, "stacks": 1}, 3_426_448),
        "two stacks, MPII joints": ({"leaves": 16}, 6_570_400),
        "four stacks, MPII joints": ({"leaves": 16, "stacks": 4}, 12_858_304),
        "eight stacks, MPII joints": ({"leaves": 16, "stacks": 8}, 25_434_112),
        "two classes": ({"leaves": 2}, 6_559_620),
        "eight stacks, two classes": ({"leaves": 2, "stacks": 8}, 25_380_240),
    },
)
def hourglass(*, leaves: int = 1, in_channels: int = 3, stacks: int = 2, width: int = 256) -> StackedHourglass:
    """Stacked hourglass: repeated bottom-up and top-down passes, each supervised.

    The options are those of `StackedHourglass`.
    """
    return StackedHourglass(leaves, in_channels, stacks, width)
