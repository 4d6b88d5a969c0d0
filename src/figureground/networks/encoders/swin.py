"""Swin Transformer (Liu et al., arXiv:2103.14030) as an encoder: attention within windows that shift by half.

Four stages at strides 4, 8, 16 and 32. Every second block shifts its windows; where the map wraps round, pixels that
are no neighbours do not see one another. Maps of any size are padded with zeros to whole windows, before the shift, as
in the authors' code for segmentation and in ``transformers``' MaskFormer. timm pads after the shift and does not shift
where one window covers the map of its nominal image size, so it agrees where all maps are several whole windows large.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from timm.layers.drop import DropPath
from torch import Tensor, nn

from figureground.networks.blocks.frame import is_recorded, whole_multiple
from figureground.networks.encoders.weights import IMAGENET, fill, imagenet_weights, local_weights
from figureground.networks.published.swin_names import our_tensors

_APART = -100.0
"""Added to the attention of pixels in different regions; the originals' value, which leaves a share of exp(-100)."""


class Variant(NamedTuple):
    """Channels of the first stage, blocks and attention heads of all four, side of the windows in pixels."""

    width: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: int


VARIANTS: dict[str, Variant] = {
    "swin_tiny": Variant(96, (2, 2, 6, 2), (3, 6, 12, 24), 7),
    "swin_small": Variant(96, (2, 2, 18, 2), (3, 6, 12, 24), 7),
    "swin_base": Variant(128, (2, 2, 18, 2), (4, 8, 16, 32), 12),
    "swin_large": Variant(192, (2, 2, 18, 2), (6, 12, 24, 48), 12),
    "swin_base_window7": Variant(128, (2, 2, 18, 2), (4, 8, 16, 32), 7),
    "swin_large_window7": Variant(192, (2, 2, 18, 2), (6, 12, 24, 48), 7),
}
"""The published sizes; base and large with the windows of 12 that segmentation uses, or of 7."""


def to_windows(x: Tensor, side: int) -> Tensor:
    """(N, h, w, C), both multiples of ``side`` -> (N * windows, side * side, C), row by row."""
    count, height, width, channels = x.shape
    x = x.reshape(count, height // side, side, width // side, side, channels)
    return x.transpose(2, 3).reshape(-1, side * side, channels)


def from_windows(windows: Tensor, side: int, height: int, width: int) -> Tensor:
    """The inverse of `to_windows`: (N * windows, side * side, C) -> (N, height, width, C)."""
    channels = windows.shape[-1]
    x = windows.reshape(-1, height // side, width // side, side, side, channels)
    return x.transpose(2, 3).reshape(-1, height, width, channels)


def pad_zeros(x: Tensor, pads: Sequence[int]) -> Tensor:
    """`torch.nn.functional.pad` with zeros; where there is nothing to pad, ``x`` itself and no copy."""
    return x if not is_recorded() and not any(pads) else F.pad(x, tuple(pads))


def relative_places(side: int) -> Tensor:
    """(side**2, side**2) int64: which row of the bias table holds for a query and a key of a window.

    The row is ``(dy + side - 1) * (2 * side - 1) + dx + side - 1``, dy and dx from the key to the query.
    """
    steps = torch.arange(side)
    y, x = (axis.flatten() for axis in torch.meshgrid(steps, steps, indexing="ij"))
    dy, dx = (axis[:, None] - axis[None, :] + side - 1 for axis in (y, x))
    return dy * (2 * side - 1) + dx


def shift_mask(height: int, width: int, side: int, like: Tensor) -> Tensor:
    """(windows, side**2, side**2): 0 for pixels that are neighbours in the map, else -100.

    height, width: of the padded map; ``like`` gives device and type.
    """
    regions = []
    for length in (height, width):
        steps = torch.arange(length, device=like.device)
        regions.append((steps >= length - side).long() + (steps >= length - side // 2).long())
    region = 3 * regions[0][:, None] + regions[1][None, :]
    flat = to_windows(region[None, :, :, None], side).squeeze(2)
    return _APART * (flat[:, None, :] != flat[:, :, None]).to(like.dtype)


class WindowAttention(nn.Module):
    """Multi-head attention within each window, with a learned bias for each relative place.

    (N * windows, side * side, width) -> the same shape.
    """

    places: Tensor

    def __init__(self, width: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.bias_table = nn.Parameter(torch.zeros((2 * side - 1) ** 2, heads))
        nn.init.trunc_normal_(self.bias_table, std=0.02)
        self.register_buffer("places", relative_places(side), persistent=False)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """``mask`` (windows, side**2, side**2) is added to the attention of each image; None for nothing."""
        windows, length, width = x.shape
        parts = self.query_key_value(x).reshape(windows, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        bias = self.bias_table[self.places].permute(2, 0, 1)
        if mask is None:
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias.unsqueeze(0))
        else:
            # All windows of an image take the place of the heads, so that the mask is not repeated for each image.
            added = (bias.unsqueeze(0) + mask.unsqueeze(1)).reshape(1, -1, length, length)
            shape = (-1, added.shape[1], length, width // self.heads)
            query, key, value = query.reshape(shape), key.reshape(shape), value.reshape(shape)
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=added)
            mixed = mixed.reshape(windows, self.heads, length, width // self.heads)
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(windows, length, width))
        return out


class MLP(nn.Module):
    """Widen, GELU, narrow, at every pixel: (..., width) -> the same shape."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.widen = nn.Linear(width, hidden)
        self.narrow = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) -> the same shape."""
        out: Tensor = self.narrow(F.gelu(self.widen(x)))
        return out


class Block(nn.Module):
    """Window attention and MLP, each after a LayerNorm and around a shortcut.

    shift: how far the windows are moved down and right, in pixels; 0 or half of their side.
    drop_path: chance that training leaves the attention, or the MLP, of an image out.
    """

    def __init__(self, width: int, heads: int, side: int, shift: int, drop_path: float) -> None:
        super().__init__()
        self.side = side
        self.shift = shift
        self.norm1 = nn.LayerNorm(width)
        self.attention = WindowAttention(width, heads, side)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = MLP(width, 4 * width)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(N, h, w, width) -> the same shape; ``mask`` is the `shift_mask` of the padded map."""
        x = x + self.drop_path(self._attend(self.norm1(x), mask))
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return out

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        height, width = x.shape[1:3]
        tall, wide = whole_multiple(height, self.side), whole_multiple(width, self.side)
        x = pad_zeros(x, (0, 0, 0, wide - width, 0, tall - height))
        if self.shift:
            x = x.roll((-self.shift, -self.shift), dims=(1, 2))
        windows = self.attention(to_windows(x, self.side), mask if self.shift else None)
        x = from_windows(windows, self.side, tall, wide)
        if self.shift:
            x = x.roll((self.shift, self.shift), dims=(1, 2))
        return x[:, :height, :width]


class PatchMerging(nn.Module):
    """Four neighbours become one pixel of twice the channels: (N, h, w, C) -> (N, ceil(h / 2), ceil(w / 2), 2C)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width)
        self.reduce = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """An odd size is padded with zeros."""
        height, width = x.shape[1:3]
        x = pad_zeros(x, (0, 0, 0, whole_multiple(width, 2) - width, 0, whole_multiple(height, 2) - height))
        corners = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        out: Tensor = self.reduce(self.norm(torch.cat(corners, dim=-1)))
        return out


class PatchEmbedding(nn.Module):
    """Patches of 4x4 pixels as tokens: (N, C, H, W) -> (N, ceil(H / 4), ceil(W / 4), width)."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(inputs, width, 4, 4)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """An image that is not a multiple of 4 is padded with zeros."""
        height, width = x.shape[-2:]
        x = pad_zeros(x, (0, whole_multiple(width, 4) - width, 0, whole_multiple(height, 4) - height))
        out: Tensor = self.norm(self.project(x).permute(0, 2, 3, 1))
        return out


class Stage(nn.Module):
    """Merge patches, where there is a stage before, then blocks whose windows shift in turn.

    drop_paths: the blocks' chances to be left out in training.
    """

    def __init__(self, width: int, heads: int, side: int, drop_paths: Sequence[float], *, merges: bool) -> None:
        super().__init__()
        self.side = side
        self.merge = PatchMerging(width // 2) if merges else nn.Identity()
        self.blocks = nn.ModuleList(
            Block(width, heads, side, side // 2 if index % 2 else 0, rate) for index, rate in enumerate(drop_paths)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, h, w, C) -> (N, h', w', width)."""
        x = self.merge(x)
        height, width = (whole_multiple(length, self.side) for length in x.shape[1:3])
        mask = shift_mask(height, width, self.side, x)
        for block in self.blocks:
            x = block(x, mask)
        return x


class Swin(nn.Module):
    """Feature maps at strides 4, 8, 16 and 32, finest first, of an image of any size.

    drop_path: chance of the last block to be left out in training; it grows from 0 in the first one.
    norms: normalise each map that is given out, as networks for segmentation do; False for the bare body.
    """

    def __init__(self, variant: Variant, *, in_channels: int = 3, drop_path: float = 0.3, norms: bool = True) -> None:
        super().__init__()
        self.channels = [variant.width * 2**level for level in range(len(variant.depths))]
        self.strides = [4 * 2**level for level in range(len(variant.depths))]
        total = sum(variant.depths)
        rates = [drop_path * index / max(total - 1, 1) for index in range(total)]
        self.embed = PatchEmbedding(in_channels, variant.width)
        self.stages = nn.ModuleList()
        for level, (depth, heads) in enumerate(zip(variant.depths, variant.heads, strict=True)):
            mine, rates = rates[:depth], rates[depth:]
            self.stages.append(Stage(self.channels[level], heads, variant.window, mine, merges=level > 0))
        self.norms = nn.ModuleList(nn.LayerNorm(width) if norms else nn.Identity() for width in self.channels)
        self.apply(_init_linear)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, C, H, W) -> maps (N, channels[i], ceil(H / strides[i]), ceil(W / strides[i]))."""
        x = self.embed(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        # After all stages, so that the way back begins with the norms and need not keep their inputs for long.
        return [norm(y).permute(0, 3, 1, 2) for norm, y in zip(self.norms, maps, strict=True)]


def _init_linear(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def swin_encoder(name: str, *, in_channels: int, weights: str | None, drop_path: float) -> Swin:
    """The Swin of `VARIANTS` called ``name``.

    weights: None for random values, "imagenet" for timm's (from its hub), or a safetensors file, a folder or
        "hub:owner/name" under the names of ``transformers``, timm or the authors. The norms of the maps may be missing
        there: classifiers lack them.

    Raises NetworkError for weights that do not fit.
    """
    variant = VARIANTS[name]
    encoder = Swin(variant, in_channels=in_channels, drop_path=drop_path)
    if weights is None:
        return encoder
    if weights == IMAGENET:
        known_as = f"{name.removesuffix('_window7')}_patch4_window{variant.window}_{32 * variant.window}"
        state = imagenet_weights(known_as)
    else:
        state = local_weights(weights, instead="give a local safetensors file, or write 'imagenet'")
    fill(encoder, our_tensors(state), source=weights, name=name, may_lack=lambda key: key.startswith("norms."))
    return encoder
