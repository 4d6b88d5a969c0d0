"""The pre-activation bottleneck of the stacked hourglass (arXiv:1603.06937, layers/Residual.lua of pose-hg-train)."""

from __future__ import annotations

from torch import Tensor, nn


class _NormReLUConv(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__(nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2))


class PreActivationBottleneck(nn.Module):
    """1x1 to half the outputs, 3x3, 1x1, each after normalisation and ReLU, plus the input (projected if need be).

    (N, inputs, H, W) -> (N, outputs, H, W).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.branch = nn.Sequential(
            _NormReLUConv(inputs, half, 1), _NormReLUConv(half, half, 3), _NormReLUConv(half, outputs, 1)
        )
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H, W)."""
        out: Tensor = self.branch(x) + self.skip(x)
        return out
