"""Upsampling by a transposed convolution that starts as bilinear interpolation (arXiv:1411.4038)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def bilinear_kernel(size: int) -> Tensor:
    """The (size, size) kernel whose transposed convolution interpolates by ``ceil(size / 2)``; float32."""
    factor = (size + 1) // 2
    centre = factor - 1 if size % 2 else factor - 0.5
    line = 1 - (torch.arange(size) - centre).abs() / factor
    return line[:, None] * line


class BilinearUpsample(nn.Module):
    """(N, C, h, w) -> (N, C, f * h, f * w) for padding f / 2; each channel by itself at the start, mixing if learned.

    factor: f, even. The kernel is 2f wide.
    padding: rows and columns to drop on each side; 0 keeps all of the f * (h + 1) that the kernel reaches.
    learned: a parameter (else a constant, as in the released FCN models).
    """

    def __init__(self, channels: int, factor: int, *, padding: int, learned: bool = True) -> None:
        super().__init__()
        self.factor = factor
        self.padding = padding
        weight = torch.zeros(channels, channels, 2 * factor, 2 * factor)
        weight[range(channels), range(channels)] = bilinear_kernel(2 * factor)
        if learned:
            self.weight = nn.Parameter(weight)
        else:
            self.register_buffer("weight", weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, f * (h + 1) - 2 * padding, f * (w + 1) - 2 * padding)."""
        return F.conv_transpose2d(x, self.weight, stride=self.factor, padding=self.padding)
