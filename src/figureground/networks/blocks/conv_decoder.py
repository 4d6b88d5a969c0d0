"""The convolutional decoder of HolyBayes/FastSeg: upsampling that learns, down to a classifier at full resolution."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class UpsampleBlock(nn.Module):
    """Bilinear interpolation with aligned corners, 3x3 convolution, normalisation, PReLU with one slope.

    (N, inputs, h, w) -> (N, outputs, factor * h, factor * w); factor 1 leaves only the interpolation out.
    """

    def __init__(self, inputs: int, outputs: int, factor: int = 2) -> None:
        super().__init__()
        self.factor = factor
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.activate = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) -> (N, outputs, factor * h, factor * w)."""
        if self.factor > 1:
            x = F.interpolate(x, scale_factor=float(self.factor), mode="bilinear", align_corners=True)
        out: Tensor = self.activate(self.norm(self.conv(x)))
        return out


class ConvDecoder(nn.Sequential):
    """Two doublings of the size at a quarter of the inputs: (N, inputs, h, w) -> (N, inputs // 4, 4 * h, 4 * w).

    between: what stands between the two; keeps channels and size.
    """

    def __init__(self, inputs: int, between: nn.Module | None = None) -> None:
        outputs = inputs // 4
        first, second = UpsampleBlock(inputs, outputs), UpsampleBlock(outputs, outputs)
        super().__init__(first, second) if between is None else super().__init__(first, between, second)
