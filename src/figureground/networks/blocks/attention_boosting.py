"""Attention-boosting gates (SERNet-Former, Erisen, arXiv:2401.15741): what an activation cuts is added back, gated.

A gate gives g(x) = x * sigmoid(s(x)) and is added to what stands beside it: y = f(x) + g(x). The paper describes it in
words; its forms here differ in the score s:

- "pixel": s(x) = x, as in HolyBayes/FastSeg; no parameters
- "normalised": batch normalisation of x, the reading closest to the paper's figure
- "channel": the spatial mean, so that whole channels are weighed and no place is preferred; no parameters
- "squeeze": two 1x1 convolutions of the spatial mean, with a quarter of the channels (at least 8) between
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from figureground.errors import NetworkError, suggest
from figureground.networks.blocks.normalisation import SparseBatchNorm


class SpatialMean(nn.Module):
    """(N, C, h, w) -> (N, C, 1, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, 1, 1)."""
        return x.mean((2, 3), keepdim=True)


def _squeeze(channels: int) -> nn.Sequential:
    hidden = max(8, channels // 4)
    return nn.Sequential(
        SpatialMean(), nn.Conv2d(channels, hidden, 1), nn.ReLU(inplace=True), nn.Conv2d(hidden, channels, 1)
    )


FORMS: dict[str, Callable[[int], nn.Module]] = {
    "pixel": lambda _: nn.Identity(),
    "normalised": SparseBatchNorm,
    "channel": lambda _: SpatialMean(),
    "squeeze": _squeeze,
}
"""Form of a gate -> channels -> the module that gives its score."""


class Gate(nn.Module):
    """x * sigmoid(score of x): (N, channels, h, w) -> the same shape; NetworkError for a form not in `FORMS`."""

    def __init__(self, channels: int, form: str = "pixel") -> None:
        super().__init__()
        if form not in FORMS:
            raise NetworkError(f"there is no gate '{form}'", remedy=suggest(str(form), FORMS))
        self.score = FORMS[form](channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) -> (N, channels, h, w)."""
        return x * torch.sigmoid(self.score(x))


class Boosted(nn.Module):
    """activation(x) + gate(x): (N, channels, h, w) -> the same shape.

    form: of the gate; None for the activation alone.
    """

    def __init__(self, activation: nn.Module, channels: int, form: str | None = "pixel") -> None:
        super().__init__()
        self.activation = activation
        self.gate = None if form is None else Gate(channels, form)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) -> (N, channels, h, w)."""
        out: Tensor = self.activation(x)
        return out if self.gate is None else out + self.gate(x)


class BoostedConv(nn.Module):
    """Attention-boosting module (AbM): convolution and normalisation to u, then activation(u) + gate(u).

    (N, inputs, H, W) -> (N, outputs, ceil(H / stride), ceil(W / stride)) for an odd kernel.

    activation: PReLU with one slope as in HolyBayes/FastSeg when None; the paper has ReLU.
    gate: its form; None for the activation alone.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        activation: nn.Module | None = None,
        gate: str | None = "pixel",
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.activate = Boosted(nn.PReLU() if activation is None else activation, outputs, gate)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, h, w)."""
        out: Tensor = self.activate(self.norm(self.conv(x)))
        return out
