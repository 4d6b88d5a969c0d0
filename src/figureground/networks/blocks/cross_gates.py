"""Cross gates: a map of the encoder decides what of the decoder's map is boosted, before an attention-fusion network.

HolyBayes/FastSeg names them, its code does not have them. Two readings:

- "sigmoid": x + x * sigmoid(1x1 convolution of the encoder's map), an attention-boosting gate with a foreign score
- "attention": x + a projection of what every pixel of x collects from the encoder's map by attention; the projection
  starts at zero, so that the network starts as if it were not there
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from figureground.errors import NetworkError, suggest

FORMS = ("sigmoid", "attention")
"""The forms of a cross gate."""


class CrossGate(nn.Module):
    """(N, channels, h, w) and the encoder's (N, encoded, h, w) -> (N, channels, h, w)."""

    def __init__(self, channels: int, encoded: int) -> None:
        super().__init__()
        self.score = nn.Conv2d(encoded, channels, 1)

    def forward(self, x: Tensor, encoded: Tensor) -> Tensor:
        """(N, channels, h, w), (N, encoded, h, w) -> (N, channels, h, w)."""
        return x + x * torch.sigmoid(self.score(encoded))


class CrossAttention(nn.Module):
    """(N, channels, h, w) and the encoder's (N, encoded, H, W) -> (N, channels, h, w).

    reduction: how much smaller along each side the encoder's map is made for keys and values, by a convolution of this
        kernel and stride and a normalisation as in SegFormer's attention; H and W are at least this.
    """

    def __init__(self, channels: int, encoded: int, reduction: int = 1) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(encoded, encoded, reduction, reduction) if reduction > 1 else nn.Identity()
        self.norm = nn.LayerNorm(encoded)
        self.query = nn.Linear(channels, channels)
        self.key_value = nn.Linear(encoded, 2 * channels)
        self.out = nn.Linear(channels, channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, encoded: Tensor) -> Tensor:
        """(N, channels, h, w), (N, encoded, H, W) -> (N, channels, h, w)."""
        seen = self.norm(self.reduce(encoded).flatten(2).transpose(1, 2))
        query = self.query(x.flatten(2).transpose(1, 2))
        key, value = self.key_value(seen).chunk(2, dim=2)
        # One head, written as such: the ONNX exporter knows attention with a dimension for heads only.
        mixed = F.scaled_dot_product_attention(*(part.unsqueeze(1) for part in (query, key, value)))
        added: Tensor = self.out(mixed.squeeze(1))
        return x + added.transpose(1, 2).reshape(x.shape)


def cross_gate(form: str, channels: int, encoded: int, *, reduction: int) -> CrossGate | CrossAttention:
    """A cross gate of a form in `FORMS`; NetworkError names the nearest for another one.

    reduction: of "attention"; the other form has no use for it.
    """
    if form not in FORMS:
        raise NetworkError(f"there is no cross gate '{form}'", remedy=suggest(str(form), FORMS))
    return CrossGate(channels, encoded) if form == "sigmoid" else CrossAttention(channels, encoded, reduction)
