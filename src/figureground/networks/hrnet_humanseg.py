"""HumanSegmentation's "HRNet": parallel resolutions as in HRNet (arXiv:1908.07919), fused by concatenation.

Layers follow models/hrnet.py of bumchik2/HumanSegmentation; it is not HRNet, whose fusions add. One difference: the
original ends in batch normalisation and ReLU, so its logits are never negative and its loss has a floor; here the last
convolution is plain. That is 2 parameters fewer for each leaf.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from figureground.networks.blocks.convolution import ConvNormReLU, he_normal
from figureground.networks.blocks.frame import SegmentationNetwork
from figureground.networks.registry import register


class _Upsample(nn.Sequential):
    """3x3 transposed convolution that multiplies the size by ``factor``, normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, factor: int) -> None:
        super().__init__(
            nn.ConvTranspose2d(inputs, outputs, 3, factor, padding=1, output_padding=factor - 1),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


def _three(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        ConvNormReLU(inputs, inputs, bias=True),
        ConvNormReLU(inputs, outputs, bias=True),
        ConvNormReLU(outputs, outputs, bias=True),
    )


class _Gather(nn.ModuleList):
    """One path per map; what they give has one size and is concatenated."""

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        return torch.cat([path(x) for path, x in zip(self, maps, strict=True)], dim=1)


class ConcatenatingFusion(nn.Module):
    """Every target scale gets ``each`` channels from every source scale, concatenated.

    sources, targets: factors by which the scales are smaller than the first, powers of two.
    Maps (N, inputs, H / s, W / s) for s in sources -> (N, each * len(sources), H / t, W / t) for t in targets.
    """

    def __init__(self, inputs: int, each: int, sources: Sequence[int], targets: Sequence[int]) -> None:
        super().__init__()
        self.rows = nn.ModuleList(
            _Gather(
                ConvNormReLU(inputs, each, stride=target // source, bias=True)
                if target >= source
                else _Upsample(inputs, each, source // target)
                for source in sources
            )
            for target in targets
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """One map per target scale."""
        return [row(maps) for row in self.rows]


class _Scales(nn.ModuleList):
    """Three convolutions at each scale, no exchange."""

    def __init__(self, inputs: int, outputs: int, count: int) -> None:
        super().__init__(_three(inputs, outputs) for _ in range(count))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        return [convolutions(x) for convolutions, x in zip(self, maps, strict=True)]


class ParallelScales(SegmentationNetwork):
    """One scale at half the image's size, then two, three and four, with fusions between; padded to a multiple of 16.

    width: channels of the first scale (32 in the original), a multiple of 2.
    """

    def __init__(self, leaves: int, in_channels: int, width: int) -> None:
        super().__init__(multiple=16, least=16)
        w = width
        self.stem = nn.Sequential(ConvNormReLU(in_channels, w // 2, stride=2, bias=True), _three(w // 2, w))
        self.body = nn.Sequential(
            ConcatenatingFusion(w, w, (1,), (1, 2)),
            _Scales(w, 2 * w, 2),
            ConcatenatingFusion(2 * w, 2 * w, (1, 2), (1, 2, 4)),
            _Scales(4 * w, 4 * w, 3),
            ConcatenatingFusion(4 * w, w, (1, 2, 4), (1, 2, 4, 8)),
            _Scales(3 * w, 2 * w, 4),
            ConcatenatingFusion(2 * w, w // 2, (1, 2, 4, 8), (1, 2, 4, 8)),
            ConcatenatingFusion(2 * w, w // 2, (1, 2, 4, 8), (1,)),
        )
        self.finish = nn.Sequential(_Upsample(2 * w, w, 2), nn.Conv2d(w, leaves, 3, padding=1))
        he_normal(self.modules())

    def compute(self, x: Tensor) -> Tensor:
        """(N, C, H, W), sides multiples of 16 -> logits (N, leaves, H, W)."""
        logits: Tensor = self.finish(self.body([self.stem(x)])[0])
        return logits


@register(
    "hrnet_humanseg",
    parameters=3_069_075 - 2,
    source="bumchik2/HumanSegmentation models/hrnet.py, less the 2 of its output's batch normalisation",
    stride=16,
    min_size=16,
    depth=True,
    reduced={"width": 8},
)
def hrnet_humanseg(*, leaves: int = 1, in_channels: int = 3, width: int = 32) -> ParallelScales:
    """HumanSegmentation's HRNet: four parallel scales, fused by concatenation.

    The options are those of `ParallelScales`.
    """
    return ParallelScales(leaves, in_channels, width)
