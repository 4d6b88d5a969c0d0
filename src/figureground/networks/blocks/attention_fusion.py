"""Attention-fusion networks (SERNet-Former, Erisen, arXiv:2401.15741), as HolyBayes/FastSeg builds them.

Three boosted convolutions in a row. The spatial one (AfN1) keeps the size and works on shallow maps, the context one
(AfN2) ends at a quarter of it and works on deep ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from figureground.networks.blocks.attention_boosting import BoostedConv
from figureground.networks.blocks.conv_decoder import UpsampleBlock
from figureground.networks.blocks.cross_gates import cross_gate

SPATIAL = (1, 1, 1)
"""Strides of the spatial network, AfN1."""

CONTEXT = (2, 2, 1)
"""Strides of the context network, AfN2."""


class AttentionFusion(nn.Sequential):
    """One boosted 3x3 convolution for each stride: (N, channels, h, w) -> (N, channels, h', w').

    strides: `SPATIAL`, `CONTEXT` or others; each divides the size and rounds up.
    gate: form of the gates, as of `BoostedConv`.
    """

    def __init__(self, channels: int, strides: Sequence[int] = SPATIAL, gate: str | None = "pixel") -> None:
        super().__init__(*(BoostedConv(channels, channels, stride=stride, gate=gate) for stride in strides))


class FusionBranch(nn.Module):
    """Upsample to ``outputs`` channels, fuse, upsample what the fusion shrank, add.

    (N, inputs, h, w) -> (N, outputs, factor * h, factor * w), both a multiple of the product of the strides.

    strides: of the fusion; None for no fusion, which leaves the first upsampling alone.
    cross: None, or the form of the `cross_gate` that a map of the encoder opens before the fusion.
    encoded: channels of that map.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        factor: int,
        strides: Sequence[int] | None = SPATIAL,
        gate: str | None = "pixel",
        cross: str | None = None,
        encoded: int = 0,
    ) -> None:
        super().__init__()
        self.up1 = UpsampleBlock(inputs, outputs, factor)
        fuses = strides is not None
        self.cross = cross_gate(cross, outputs, encoded, reduction=8) if fuses and cross is not None else None
        self.afn = AttentionFusion(outputs, strides, gate) if strides is not None else None
        self.up2 = UpsampleBlock(outputs, outputs, math.prod(strides)) if strides is not None else None

    def forward(self, x: Tensor, encoded: Tensor | None = None) -> Tensor:
        """``encoded`` is (N, encoded, factor * h, factor * w), read only with a cross gate."""
        out: Tensor = self.up1(x)
        if self.afn is None or self.up2 is None:
            return out
        crossed = out if self.cross is None else self.cross(out, encoded)
        fused: Tensor = self.up2(self.afn(crossed))
        return out + fused
