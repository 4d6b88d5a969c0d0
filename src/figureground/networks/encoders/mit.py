"""MiT, the Mix Transformer encoder of SegFormer (Xie et al., arXiv:2105.15203), B0 to B5.

Four stages of transformer blocks without positional encoding: patches overlap, attention looks at keys and values of a
map reduced by a strided convolution, and a depthwise convolution in the MLP lets positions be told apart. Numerically
equal to the authors' release, whose LayerNorms have eps 1e-6 in the blocks and after the stages and 1e-5 elsewhere;
``transformers`` has 1e-5 everywhere, a relative difference of about 1e-6.

Two things are added, both off unless asked for, after HolyBayes/FastSeg: attention-boosting gates, and a map such as
depth that every stage sees again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from timm.layers.drop import DropPath
from torch import Tensor, nn

from figureground.networks.blocks.attention_boosting import Boosted

HEADS = (1, 2, 5, 8)
"""Attention heads in each stage; a stage's width is a multiple of its heads."""

REDUCTIONS = (8, 4, 2, 1)
"""How much smaller than the map, along each side, the keys and values are in each stage."""

_SMALL = (32, 64, 160, 256)
_LARGE = (64, 128, 320, 512)
VARIANTS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "mit_b0": (_SMALL, (2, 2, 2, 2)),
    "mit_b1": (_LARGE, (2, 2, 2, 2)),
    "mit_b2": (_LARGE, (3, 4, 6, 3)),
    "mit_b3": (_LARGE, (3, 4, 18, 3)),
    "mit_b4": (_LARGE, (3, 8, 27, 3)),
    "mit_b5": (_LARGE, (3, 6, 40, 3)),
}
"""Name -> widths and numbers of blocks of the four stages."""


def to_map(tokens: Tensor, size: Sequence[int]) -> Tensor:
    """(N, h * w, C) -> (N, C, h, w), without moving a value."""
    return tokens.transpose(1, 2).reshape(tokens.shape[0], tokens.shape[2], size[0], size[1])


def to_tokens(x: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, h * w, C)."""
    return x.flatten(2).transpose(1, 2)


class BoostedTokens(nn.Module):
    """Tokens plus their attention-boosting gate: (N, length, width) -> the same shape.

    form: of `blocks.attention_boosting.Gate`.
    """

    def __init__(self, width: int, form: str) -> None:
        super().__init__()
        self.boost = Boosted(nn.Identity(), width, form)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, length, width) -> (N, length, width)."""
        # Gates read maps, and what they compute does not depend on how wide a map of these pixels is.
        boosted: Tensor = self.boost(tokens.transpose(1, 2).unsqueeze(3))
        return boosted.squeeze(3).transpose(1, 2)


def _boosted_norm(width: int, gate: str | None) -> nn.Module:
    return nn.Identity() if gate is None else BoostedTokens(width, gate)


class ReducedAttention(nn.Module):
    """Multi-head attention of every token to the tokens of a smaller map: (N, h * w, width) -> (N, h * w, width).

    reduction: kernel and stride of the convolution that makes the map smaller; 1 for none.
    gate: form of the gate that boosts the smaller map.
    """

    def __init__(self, width: int, heads: int, reduction: int, gate: str | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.reduces = reduction > 1
        if self.reduces:
            self.reduce = nn.Conv2d(width, width, reduction, reduction)
            self.reduce_norm = nn.LayerNorm(width)
            self.boost = _boosted_norm(width, gate)

    def forward(self, x: Tensor, size: Sequence[int]) -> Tensor:
        """``size`` is (h, w)."""
        count, length, width = x.shape
        query = self.query(x).reshape(count, length, self.heads, width // self.heads).transpose(1, 2)
        seen = self.boost(self.reduce_norm(to_tokens(self.reduce(to_map(x, size))))) if self.reduces else x
        key_value = self.key_value(seen).reshape(count, -1, 2, self.heads, width // self.heads)
        key, value = key_value.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(count, length, width))
        return out


class MixMLP(nn.Module):
    """Widen, convolve each channel 3x3 over the map, GELU, narrow: (N, h * w, width) -> (N, h * w, width).

    gate: form of the gate that is added to what the GELU gives.
    """

    def __init__(self, width: int, hidden: int, gate: str | None = None) -> None:
        super().__init__()
        self.widen = nn.Linear(width, hidden)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.activate = Boosted(nn.GELU(), hidden, gate)
        self.narrow = nn.Linear(hidden, width)

    def forward(self, x: Tensor, size: Sequence[int]) -> Tensor:
        """``size`` is (h, w)."""
        hidden = self.activate(self.depthwise(to_map(self.widen(x), size)))
        out: Tensor = self.narrow(to_tokens(hidden))
        return out


class Block(nn.Module):
    """Attention and MLP, each after a LayerNorm and around a shortcut.

    drop_path: chance that training leaves the attention, or the MLP, of an image out.
    gate: form of the gates in both.
    """

    def __init__(self, width: int, heads: int, reduction: int, drop_path: float, gate: str | None = None) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attention = ReducedAttention(width, heads, reduction, gate)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = MixMLP(width, 4 * width, gate)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, size: Sequence[int]) -> Tensor:
        """(N, h * w, width) -> the same shape; ``size`` is (h, w)."""
        x = x + self.drop_path(self.attention(self.norm1(x), size))
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x), size))
        return out


class PatchEmbedding(nn.Module):
    """Overlapping patches as tokens: strided convolution and LayerNorm.

    gate: form of the gate that boosts the tokens.
    """

    def __init__(self, inputs: int, width: int, kernel: int, stride: int, gate: str | None = None) -> None:
        super().__init__()
        self.project = nn.Conv2d(inputs, width, kernel, stride, padding=kernel // 2)
        self.norm = nn.LayerNorm(width)
        self.boost = _boosted_norm(width, gate)

    def forward(self, x: Tensor) -> tuple[Tensor, torch.Size]:
        """(N, inputs, H, W) -> tokens (N, h * w, width) and (h, w), h = ceil(H / stride) for an odd kernel."""
        x = self.project(x)
        return self.boost(self.norm(to_tokens(x))), x.shape[-2:]


class Stage(nn.Module):
    """Patches, blocks, LayerNorm: (N, inputs, H, W) -> (N, width, h, w)."""

    def __init__(self, embed: PatchEmbedding, blocks: Sequence[Block], width: int) -> None:
        super().__init__()
        self.embed = embed
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, width, h, w)."""
        tokens, size = self.embed(x)
        for block in self.blocks:
            tokens = block(tokens, size)
        return to_map(self.norm(tokens), size)


class MiT(nn.Module):
    """Feature maps at strides 4, 8, 16 and 32, finest first, of an image of at least 32x32 pixels.

    widths, depths: channels and blocks of each stage; those of the paper are in `VARIANTS`.
    drop_path: chance of the last block to be left out in training; it grows from 0 in the first one.
    gate: None, or the form of attention-boosting gates after the patches' norms, after those of the attentions'
        smaller maps, and beside the GELUs.
    extra_channels: of a map that every stage after the first sees beside its input.
    """

    def __init__(
        self,
        widths: Sequence[int],
        depths: Sequence[int],
        *,
        in_channels: int = 3,
        drop_path: float = 0.1,
        gate: str | None = None,
        extra_channels: int = 0,
    ) -> None:
        super().__init__()
        self.channels = list(widths)
        self.strides = [4, 8, 16, 32]
        rates = iter([drop_path * index / max(sum(depths) - 1, 1) for index in range(sum(depths))])
        self.stages = nn.ModuleList()
        for index, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            inputs = widths[index - 1] + extra_channels if index else in_channels
            embed = PatchEmbedding(inputs, width, kernel=3 if index else 7, stride=2 if index else 4, gate=gate)
            blocks = [Block(width, HEADS[index], REDUCTIONS[index], next(rates), gate) for _ in range(depth)]
            self.stages.append(Stage(embed, blocks, width))
        self.apply(init_as_released)

    def forward(self, x: Tensor, extra: Tensor | None = None) -> list[Tensor]:
        """(N, C, H, W) -> maps (N, channels[i], ceil(H / strides[i]), ceil(W / strides[i])).

        extra: (N, extra_channels, h, w) of any size, resized bilinearly to each stage's input.
        """
        maps: list[Tensor] = []
        for stage in self.stages:
            x = stage(x if extra is None or not maps else beside(x, extra))
            maps.append(x)
        return maps


def beside(x: Tensor, extra: Tensor) -> Tensor:
    """``x`` (N, C, h, w) and, after its channels, ``extra`` (N, E, H, W) resized to it: (N, C + E, h, w)."""
    resized = F.interpolate(extra, size=x.shape[-2:], mode="bilinear", align_corners=False)
    return torch.cat([x, resized], dim=1)


def init_as_released(module: nn.Module) -> None:
    """Linear layers from a normal of deviation 0.02 cut at 2, convolutions by their fan-out, biases 0; in place."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
    elif isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
