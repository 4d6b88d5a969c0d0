"""The dense and the smoothing CRF of `refine`, over a batch and with gradients.

The settings, the sums over pairs and what prepares them are those of `refine`, so that a network trained through the
layer meets the same numbers when it predicts. Arrays hold for the pictures, which need no gradient; tensors for the
rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from torch.nn import functional as F

from figureground.checks import ArgumentError
from figureground.labels import LabelTree
from figureground.losses.background import with_background
from figureground.refine import DenseCrf, SmoothCrf, agreement
from figureground.refine.mean_field import SURE, Distance
from figureground.refine.pair_sums import FAINTEST, FEW_PIXELS, AllPairs, FactoredPairs

Sums = Callable[[torch.Tensor], torch.Tensor]
"""(C, H, W) -> (C, H, W): for each pixel the weighted sum of the others' values."""


def dense_crf_logits(
    logits: torch.Tensor, image: torch.Tensor, settings: DenseCrf, *, labels: LabelTree | None = None
) -> torch.Tensor:
    """Mean field of the dense CRF: leaf logits (N, K, H, W) to leaf logits of the same shape.

    Args:
        logits: (N, K, H, W), one map per leaf beside a background of logit 0.
        image: (N, 3, H, W), red, green and blue of 0 to 255; no gradient goes to it.
        settings: as for `refine.dense_crf`.
        labels: as for `refine.dense_crf`.

    In double precision the answer is that of `refine.dense_crf` to 1e-5; in single precision sums of many faint pairs
    are rounded differently, and a pixel between two labels can differ by some thousandths.

    Raises:
        ArgumentError: another number or size of images than of logits, or a tree with another number of leaves.
    """
    if image.shape[-2:] != logits.shape[-2:] or len(image) != len(logits):
        raise ArgumentError(f"image is {tuple(image.shape)}, but logits are {tuple(logits.shape)}")
    if labels is not None and len(labels.leaves) != logits.shape[1]:
        raise ArgumentError(f"labels has {len(labels.leaves)} leaves, but logits {logits.shape[1]}")
    logs = with_background(logits).log_softmax(1).clamp(min=float(np.log(SURE)))
    unary = logs[:, 1:] - logs[:, :1]
    agree = torch.eye(logits.shape[1] + 1) if labels is None else torch.from_numpy(agreement(labels))
    pictures = image.detach().permute(0, 2, 3, 1).cpu().double().numpy()
    fields = [_mean_field(one, picture, settings, agree.to(one)) for one, picture in zip(unary, pictures, strict=True)]
    return torch.stack(fields)


def smooth_crf_logits(logits: torch.Tensor, settings: SmoothCrf) -> torch.Tensor:
    """The smoothing CRF, which is `crfseg`'s: leaf logits (N, K, H, W) to leaf logits of the same shape."""
    unary = with_background(logits)
    current = unary
    for _ in range(settings.iterations):
        current = unary + settings.weight * _windowed(current.softmax(1), settings.taps())
    return current[:, 1:] - current[:, :1]


def bilateral_sums(image: torch.Tensor, width: float, color: float, like: torch.Tensor) -> Sums:
    """The sums over pairs near in position and colour for one picture (3, H, W) of 0 to 255, in the type of `like`."""
    return _pair_sums(image.detach().permute(1, 2, 0).cpu().double().numpy(), width, color, like)[0]


def _mean_field(
    unary: torch.Tensor, picture: np.ndarray[Any, Any], settings: DenseCrf, agree: torch.Tensor
) -> torch.Tensor:
    couplings = _couplings(unary, picture, settings)

    def message(values: torch.Tensor) -> torch.Tensor:
        total = torch.zeros_like(values)
        for sums, weight, factor in couplings:
            total = total + weight * factor * sums(factor * values)
        return total

    everything = message(torch.ones_like(unary[:1]))
    current = unary
    for _ in range(settings.iterations):
        leaf = message(_leaf_probabilities(current))
        sent = torch.cat((everything - leaf.sum(0, keepdim=True), leaf))
        votes = torch.tensordot(agree, sent, dims=1)
        current = unary + votes[1:] - votes[:1]
    return current


def _couplings(
    unary: torch.Tensor, picture: np.ndarray[Any, Any], settings: DenseCrf
) -> list[tuple[Sums, float, torch.Tensor]]:
    chosen: list[tuple[tuple[Sums, float], float]] = []
    if settings.smooth_weight > 0:
        distance = Distance(settings.smooth_width)
        chosen.append(((lambda v: _windowed(v[None], distance.taps)[0] - v, distance.faintest), settings.smooth_weight))
    if settings.weight > 0:
        chosen.append((_pair_sums(picture, settings.width, settings.color, unary), settings.weight))
    couplings = []
    for (sums, faintest), weight in chosen:
        factor = torch.ones_like(unary[:1])
        if settings.normalisation == "symmetric":
            factor = sums(factor).clamp(min=faintest).rsqrt()
        couplings.append((sums, weight, factor))
    return couplings


def _pair_sums(picture: np.ndarray[Any, Any], width: float, color: float, like: torch.Tensor) -> tuple[Sums, float]:
    dtype = np.float64 if like.dtype == torch.float64 else np.float32
    if picture.shape[0] * picture.shape[1] <= FEW_PIXELS:
        pairs = AllPairs(picture, width, color, dtype)
        matrix = torch.from_numpy(pairs.matrix).to(like.device)
        return lambda values: (values.flatten(1) @ matrix).reshape(values.shape), pairs.faintest
    factored = _Factored(FactoredPairs(picture, width, color, dtype), like)
    return lambda values: cast("torch.Tensor", _SymmetricSums.apply(values, factored)), FactoredPairs.faintest


class _SymmetricSums(torch.autograd.Function):
    """A pair weighs the same from either side, so gradients go back by the very sums that values go forward by."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, factored: _Factored) -> torch.Tensor:
        ctx.factored = factored
        return factored.sums(values)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return ctx.factored.sums(gradient), None


class _Factored:
    """`FactoredPairs` on tensors."""

    def __init__(self, pairs: FactoredPairs, like: torch.Tensor) -> None:
        def tensor(array: np.ndarray[Any, Any]) -> torch.Tensor:
            return torch.from_numpy(array).to(like.device)

        self.colors, self.landmarks, self.mixing = tensor(pairs.colors), tensor(pairs.landmarks), tensor(pairs.mixing)
        self.row_mixing, self.column_mixing = tensor(pairs.row_mixing), tensor(pairs.column_mixing)
        self.own = tensor(pairs.own)
        self.tiles = [(tile, tensor(pairs.tents(tile)), tensor(tile.landmarks)) for tile in pairs.tiles]

    def sums(self, values: torch.Tensor) -> torch.Tensor:
        nodes = len(self.row_mixing), len(self.column_mixing)
        held = values.new_zeros((len(values), *nodes, len(self.mixing)))
        for tile, tents, marks in self.tiles:
            rows, columns = tile.row_nodes, tile.column_nodes
            weighted = values[:, tile.rows, tile.columns].reshape(len(values), -1, 1) * tents
            received = weighted.mT @ self._likeness(tile.pixels, marks)
            into = held[:, rows, columns]
            into[..., marks] += received.reshape(*into.shape[:3], -1)
        held = torch.einsum("ab,cbxr,xy->cayr", self.row_mixing, held @ self.mixing, self.column_mixing)
        out = torch.empty_like(values)
        for tile, tents, marks in self.tiles:
            source = held[:, tile.row_nodes, tile.column_nodes][..., marks].flatten(1, 2)
            at_nodes = self._likeness(tile.pixels, marks) @ source.mT
            out[:, tile.rows, tile.columns] = (at_nodes * tents).sum(2).reshape_as(out[:, tile.rows, tile.columns])
        return out - self.own * values

    def _likeness(self, pixels: tuple[slice, slice], marks: torch.Tensor) -> torch.Tensor:
        return (self.colors[pixels].reshape(-1, 5) @ self.landmarks[:, marks]).clamp(min=FAINTEST).exp()


def _leaf_probabilities(odds: torch.Tensor) -> torch.Tensor:
    return with_background(odds[None]).softmax(1)[0, 1:]


def _windowed(values: torch.Tensor, taps: np.ndarray[Any, Any]) -> torch.Tensor:
    """(N, C, H, W) filtered along rows and columns; `taps` go from the middle outwards, zeros lie outside."""
    # Taps that reach beyond the picture on either side meet nothing.
    taps = taps[: max(values.shape[2:])]
    window = torch.from_numpy(np.concatenate((taps[:0:-1], taps))).to(values)
    flat = values.reshape(-1, 1, *values.shape[2:])
    reach = len(taps) - 1
    flat = F.conv2d(
        F.conv2d(flat, window.view(1, 1, 1, -1), padding=(0, reach)), window.view(1, 1, -1, 1), padding=(reach, 0)
    )
    return flat.reshape(values.shape)
