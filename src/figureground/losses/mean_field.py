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
from figureground.refine.exact_rows import SparseRows
from figureground.refine.factored_pairs import DIMMEST, FactoredPairs, Tile
from figureground.refine.gaussian import NOTHING
from figureground.refine.mean_field import SURE, Distance
from figureground.refine.near_pairs import NearPairs
from figureground.refine.pair_sums import AllPairs, PairSums, pair_sums

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
    return _sums_of(_pairs(image.detach().permute(1, 2, 0).cpu().double().numpy(), width, color, like), like)


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
    ones = torch.ones_like(unary[:1])
    chosen: list[tuple[Sums, torch.Tensor, float]] = []
    if settings.smooth_weight > 0:
        distance = Distance(settings.smooth_width)

        def smooth(values: torch.Tensor) -> torch.Tensor:
            return _windowed(values[None], distance.taps)[0] - values

        chosen.append((smooth, smooth(ones), settings.smooth_weight))
    if settings.weight > 0:
        pairs = _pairs(picture, settings.width, settings.color, unary)
        totals = torch.from_numpy(pairs.totals).to(ones)[None]
        chosen.append((_sums_of(pairs, unary), totals, settings.weight))
    couplings = []
    for sums, totals, weight in chosen:
        symmetric = settings.normalisation == "symmetric"
        couplings.append((sums, weight, (totals + NOTHING).rsqrt() if symmetric else ones))
    return couplings


def _pairs(picture: np.ndarray[Any, Any], width: float, color: float, like: torch.Tensor) -> PairSums:
    return pair_sums(picture, width, color, np.float64 if like.dtype == torch.float64 else np.float32)


def _sums_of(pairs: PairSums, like: torch.Tensor) -> Sums:
    if isinstance(pairs, AllPairs):
        matrix = torch.from_numpy(pairs.matrix).to(like.device)
        return lambda values: (values.flatten(1) @ matrix).reshape(values.shape)
    kind = _Factored(pairs, like) if isinstance(pairs, FactoredPairs) else _Near(pairs, like)
    return lambda values: cast("torch.Tensor", _SymmetricSums.apply(values, kind))


class _SymmetricSums(torch.autograd.Function):
    """A pair weighs the same from either side, so gradients go back by the very sums that values go forward by."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, pairs: _Factored | _Near) -> torch.Tensor:
        ctx.pairs = pairs
        return pairs.sums(values)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return ctx.pairs.sums(gradient), None


class _Near:
    """`NearPairs` on tensors."""

    def __init__(self, pairs: NearPairs, like: torch.Tensor) -> None:
        self.pairs, self.order = pairs, torch.from_numpy(pairs.tree.order).to(like.device)

    def sums(self, values: torch.Tensor) -> torch.Tensor:
        flat = values.new_zeros((len(values), len(self.order)))
        flat[:, : values[0].numel()] = values.flatten(1)
        sent = flat[:, self.order].T.contiguous()
        received = torch.zeros_like(sent)
        for block, array in self.pairs.weighted():
            weights, places = torch.from_numpy(array).to(values.device), torch.from_numpy(block.places)
            received[block.own] += weights @ sent[places]
            if not block.itself:
                received[places] += weights.T @ sent[block.own]
        flat[:, self.order] = received.T
        return flat[:, : values[0].numel()].reshape(values.shape)


class _Factored:
    """`FactoredPairs` on tensors."""

    def __init__(self, pairs: FactoredPairs, like: torch.Tensor) -> None:
        def tensor(array: np.ndarray[Any, Any]) -> torch.Tensor:
            return torch.from_numpy(array).to(like.device)

        self.colors, self.landmarks, self.mixing = tensor(pairs.colors), tensor(pairs.landmarks), tensor(pairs.mixing)
        self.row_mixing, self.column_mixing = tensor(pairs.row_mixing), tensor(pairs.column_mixing)
        self.own = tensor(pairs.own)
        self.tiles = [(tile, tensor(pairs.tents(tile)), tensor(tile.landmarks)) for tile in pairs.tiles]
        self.rare = None if pairs.rare is None else _Rare(pairs.rare, like)

    def sums(self, values: torch.Tensor) -> torch.Tensor:
        if self.rare is None:
            return self._factored(values)
        given = values.flatten(1)
        usual = given.index_fill(1, self.rare.chosen, 0)
        received = self._factored(usual.reshape(values.shape)).flatten(1)
        return self.rare.added(given, received).reshape(values.shape)

    def _factored(self, values: torch.Tensor) -> torch.Tensor:
        nodes = len(self.row_mixing), len(self.column_mixing)
        held = values.new_zeros((len(values), *nodes, len(self.mixing)))
        for tile, tents, marks in self.tiles:
            rows, columns = tile.row_nodes, tile.column_nodes
            weighted = values[:, tile.rows, tile.columns].reshape(len(values), -1, 1) * tents
            received = weighted.mT @ self._likeness(tile, marks)
            into = held[:, rows, columns]
            into[..., marks] += received.reshape(*into.shape[:3], -1)
        held = torch.einsum("ab,cbxr,xy->cayr", self.row_mixing, held @ self.mixing, self.column_mixing)
        out = torch.empty_like(values)
        for tile, tents, marks in self.tiles:
            source = held[:, tile.row_nodes, tile.column_nodes][..., marks].flatten(1, 2)
            at_nodes = self._likeness(tile, marks) @ source.mT
            out[:, tile.rows, tile.columns] = (at_nodes * tents).sum(2).reshape_as(out[:, tile.rows, tile.columns])
        return out - self.own * values

    def _likeness(self, tile: Tile, marks: torch.Tensor) -> torch.Tensor:
        return (self.colors[tile.pixels].reshape(-1, 5) @ self.landmarks[:, marks]).clamp(min=DIMMEST).exp()


class _Rare:
    """`SparseRows` on tensors."""

    def __init__(self, rows: SparseRows, like: torch.Tensor) -> None:
        def tensor(array: np.ndarray[Any, Any]) -> torch.Tensor:
            return torch.from_numpy(array).to(like.device)

        self.chosen, self.rows, self.pixels = tensor(rows.chosen), tensor(rows.rows), tensor(rows.pixels)
        self.weights, self.others = tensor(rows.weights), tensor(rows.others)

    def added(self, given: torch.Tensor, received: torch.Tensor) -> torch.Tensor:
        """As `SparseRows.add`, (C, pixels) each."""
        into_rows = given.new_zeros((len(given), len(self.chosen)))
        into_rows = into_rows.index_add(1, self.rows, self.weights * given[:, self.pixels])
        received = received.index_copy(1, self.chosen, into_rows)
        from_rows = (self.weights * given[:, self.chosen][:, self.rows])[:, self.others]
        return received.index_add(1, self.pixels[self.others], from_rows)


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
