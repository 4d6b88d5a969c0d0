"""Batch normalisation where a batch may hold one value for each channel."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class SparseBatchNorm(nn.BatchNorm2d):
    """Batch normalisation of maps as small as one pixel, such as the mean of an image: (N, C, h, w) -> the same.

    One value has no variance, so plain batch normalisation refuses to train on a single such map. Here a batch of one
    value for each channel is normalised by the running statistics; all other batches are treated as usual.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, h, w)."""
        if self.training and x.numel() == x.shape[1]:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)
