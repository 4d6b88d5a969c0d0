"""The U: a contracting path, an expanding path, and skips by concatenation; the block at each level is a parameter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from figureground.networks.blocks.auxiliary import placed_logits
from figureground.networks.blocks.frame import whole_multiple
from figureground.networks.blocks.switches import OFF, EncoderDecoder, Switches

Block = Callable[[int, int], nn.Module]
"""(input channels, output channels) -> a module that keeps height and width, or loses `LOST` pixels at each side."""

LOST = 2
"""Pixels that a block of two unpadded 3x3 convolutions loses at each side."""


def pad_like(x: Tensor, reference: Tensor) -> Tensor:
    """Zero-pad ``x`` (N, C, h, w) to the height and width of ``reference``, the odd pixel below and right."""
    rows = reference.shape[-2] - x.shape[-2]
    columns = reference.shape[-1] - x.shape[-1]
    return F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))


class Up(nn.Module):
    """Double the deep map by a 2x2 transposed convolution, put the skip before it, and apply a block."""

    def __init__(self, deep: int, skip: int, outputs: int, block: Block) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(deep, skip, 2, stride=2)
        self.block = block(2 * skip, outputs)

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        """(N, deep, h, w), (N, skip, H, W) -> (N, outputs, H, W), where h = floor(H / 2)."""
        out: Tensor = self.block(torch.cat([skip, pad_like(self.up(deep), skip)], dim=1))
        return out


class CroppingUp(Up):
    """`Up` where the skip is larger: its middle is taken."""

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        """(N, deep, h, w), (N, skip, H, W) -> what the block makes of (N, 2 * skip, 2h, 2w); H - 2h and W - 2w even."""
        raised = self.up(deep)
        out: Tensor = self.block(torch.cat([pad_like(skip, raised), raised], dim=1))
        return out


def mirrored(x: Tensor, dim: int, before: int, length: int) -> Tensor:
    """Continue ``x`` along a dimension by its mirror image, without repeating the edge, as often as it takes.

    before: how many values come before the first one of ``x``, which has at least 2.
    length: of the result.
    """
    # A tensor, because the ONNX exporter knows no remainder by a size.
    last = torch.arange(x.shape[dim], device=x.device)[-1:]
    places = torch.arange(length, device=x.device) - before
    return x.index_select(dim, last - (places % (2 * last) - last).abs())


class UShape(EncoderDecoder):
    """U-Net skeleton over ``block``.

    widths: channels of the contracting path, from full resolution down; the last is the bottom.
    up_widths: channels of the expanding path, from the coarsest up; one fewer than ``widths``.
    Odd sizes need no padding of the image: pooling rounds down and the upsampled map is zero-padded to its skip.
    """

    up: type[Up] = Up

    def __init__(
        self, leaves: int, in_channels: int, widths: Sequence[int], up_widths: Sequence[int], block: Block
    ) -> None:
        super().__init__(multiple=1, least=2 ** (len(widths) - 1))
        self.stem = block(in_channels, widths[0])
        self.downs = nn.ModuleList(block(shallow, deep) for shallow, deep in pairwise(widths))
        deeps = [widths[-1], *up_widths[:-1]]
        skips = list(widths[-2::-1])
        self.ups = nn.ModuleList(
            self.up(deep, skip, out, block) for deep, skip, out in zip(deeps, skips, up_widths, strict=True)
        )
        self.classify = nn.Conv2d(up_widths[-1], leaves, 1)
        self.widths = list(widths)
        self.switched(OFF, leaves)

    def switched(self, switches: Switches, leaves: int) -> None:
        """Put what is switched on between the contracting path and the expanding one."""
        self.switch_on(switches, leaves, reads=self.widths, encoded=self.widths)

    def encode(self, x: Tensor) -> list[Tensor]:
        """(N, C, H, W) -> the maps of the contracting path, finest first."""
        maps = [self.stem(x)]
        for down in self.downs:
            maps.append(down(F.max_pool2d(maps[-1], 2)))
        return maps

    def decode(self, maps: Sequence[Tensor], x: Tensor) -> Tensor:
        """The maps of the contracting path -> logits (N, leaves, H, W)."""
        *skips, x = self.attend(maps)
        for up in self.ups:
            x = up(x, skips.pop())
        logits: Tensor = self.classify(x)
        return logits


class UnpaddedUShape(UShape):
    """`UShape` over blocks that lose `LOST` pixels at each side, over an image that is continued by its mirror image.

    That is the overlap-tile strategy of arXiv:1505.04597: every logit is computed from whole surroundings. Of 572x572
    pixels the body alone keeps 388x388.
    """

    up = CroppingUp

    def encode(self, x: Tensor) -> list[Tensor]:
        """(N, C, H, W) -> the maps of the contracting path of the continued image, finest first."""
        step, climb = 2 ** len(self.downs), self._climb()
        before = self._descent(len(self.downs)) + climb
        for dim in (2, 3):
            # So many that every pooling halves, and at least the image's size is left.
            length = whole_multiple(x.shape[dim] + 2 * climb, step) + 2 * (before - climb)
            x = mirrored(x, dim, before, length)
        return super().encode(x)

    def decode(self, maps: Sequence[Tensor], x: Tensor) -> Tensor:
        """The maps of the contracting path -> logits (N, leaves, H, W)."""
        return super().decode(maps, x)[..., : x.shape[-2], : x.shape[-1]]

    def auxiliary_logits(self, head: nn.Module, maps: Sequence[Tensor], x: Tensor) -> Tensor:
        """What the auxiliary head says of the cells of the last map but one that the image has a part in."""
        levels = len(self.downs)
        margin = self._descent(levels) + self._climb() - self._descent(levels - 1)
        return placed_logits(head, maps[-2], x.shape[-2:], stride=2 ** (levels - 1), margin=margin)

    def _descent(self, level: int) -> int:
        """Pixels that are lost at each side on the way down, to the end of a level; 0 is full resolution."""
        return sum(LOST * 2**above for above in range(level + 1))

    def _climb(self) -> int:
        """Pixels that are lost at each side on the way up."""
        return self._descent(len(self.downs) - 1)
