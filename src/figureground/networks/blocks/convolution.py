"""Convolution, batch normalisation and ReLU in the order nearly all of these networks use them."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn


class ConvNormReLU(nn.Sequential):
    """``kernel`` x ``kernel`` convolution (same size when stride is 1), batch normalisation, ReLU.

    (N, inputs, H, W) -> (N, outputs, ceil(H / stride), ceil(W / stride)) for an odd kernel.
    bias: keep the convolution's bias, redundant before the normalisation but part of some published counts.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, *, stride: int = 1, dilation: int = 1, bias: bool = False
    ) -> None:
        padding = dilation * (kernel - 1) // 2
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=bias),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


def he_normal(modules: Iterable[nn.Module]) -> None:
    """Draw the weights of all (transposed) convolutions from N(0, sqrt(2 / fan_in)), biases 0 (arXiv:1502.01852)."""
    for module in modules:
        if isinstance(module, nn.ConvTranspose2d):
            # A transposed weight is stored (inputs, outputs, k, k), so torch's "fan_out" is what reaches one output.
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
