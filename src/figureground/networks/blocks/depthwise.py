"""Depthwise convolution whose backward is quick in bfloat16 on a CPU.

oneDNN has fast kernels for the forward of every depthwise convolution, but in bfloat16 and channels_last the gradient
of one with stride 2 or with a 5x5 kernel falls back to a reference loop, which takes most of a training step of an
EfficientNet. Here the same gradients are computed from what is fast: the gradient of the input is the forward
convolution of the gradient, spread over the input's grid, with the kernel turned around; that of a large kernel is
computed in float32. Nothing but the speed (and the rounding) changes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


class DepthwiseConv2d(nn.Conv2d):
    """`nn.Conv2d` with one group a channel; parameters and results are those of the parent class."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, C, h, w), as the parent class says."""
        if not _slow_backward(x, self.weight):
            return super().forward(x)
        half = x.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
        weight = self.weight.to(torch.bfloat16)
        y: torch.Tensor = _Depthwise.apply(half, weight, self.stride, self.padding)
        return y if self.bias is None else y + self.bias.to(y.dtype).view(1, -1, 1, 1)


def quick_depthwise(model: nn.Module) -> nn.Module:
    """Give the depthwise convolutions of `model` the quick backward, in place; returns the model.

    Left as they are: convolutions that are dilated, padded by words or by other than zeros, or of another kind.
    """
    for module in model.modules():
        if type(module) is nn.Conv2d and _fits(module):
            module.__class__ = DepthwiseConv2d
    return model


def _fits(conv: nn.Conv2d) -> bool:
    depthwise = conv.groups == conv.in_channels == conv.out_channels and conv.groups > 1
    plain = conv.padding_mode == "zeros" and not isinstance(conv.padding, str) and conv.dilation == (1, 1)
    slow = conv.stride != (1, 1) or max(conv.kernel_size) > 3
    return depthwise and plain and slow


def _slow_backward(x: torch.Tensor, weight: torch.Tensor) -> bool:
    bfloat = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    learns = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
    return x.device.type == "cpu" and x.ndim == 4 and bfloat and learns


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, stride: tuple[int, int], padding: tuple[int, int]
    ) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, None, stride, padding, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        wanted = ctx.needs_input_grad
        with torch.autocast("cpu", enabled=False):
            to_x = _gradient_of_input(gradient, x, weight, ctx.stride, ctx.padding) if wanted[0] else None
            to_weight = _gradient_of_weight(gradient, x, weight, ctx.stride, ctx.padding) if wanted[1] else None
        return to_x, to_weight, None, None


def _gradient_of_input(
    gradient: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> torch.Tensor:
    spread = gradient
    if stride != (1, 1):
        # Every output at the place of the first input that its kernel sees, shifted by the padding; zeros between.
        size = [x.shape[axis] + 2 * padding[axis - 2] - weight.shape[axis] + 1 for axis in (2, 3)]
        spread = x.new_zeros((x.shape[0], *size, x.shape[1])).permute(0, 3, 1, 2)
        spread[:, :, :: stride[0], :: stride[1]] = gradient
    border = (weight.shape[2] - 1 - padding[0], weight.shape[3] - 1 - padding[1])
    if min(border) < 0:  # more padding than kernel: the outermost outputs saw nothing but zeros
        return _reference(gradient, x, weight, stride, padding, (True, False))
    return F.conv2d(spread, weight.flip(2, 3), padding=border, groups=x.shape[1])


def _gradient_of_weight(
    gradient: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> torch.Tensor:
    if max(weight.shape[2:]) > 3:
        gradient, x, full = gradient.float(), x.float(), weight.float()
        return _reference(gradient, x, full, stride, padding, (False, True)).to(weight.dtype)
    return _reference(gradient, x, weight, stride, padding, (False, True))


def _reference(
    gradient: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
    wanted: tuple[bool, bool],
) -> torch.Tensor:
    both = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, stride, padding, (1, 1), False, (0, 0), x.shape[1], [*wanted, False]
    )
    result: torch.Tensor = both[0] if wanted[0] else both[1]
    return result
