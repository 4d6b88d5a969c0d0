"""Sums over all pairs of pixels of a picture of any size, factored in colour and in position.

- In colour by Nystroem's method. The colours are binned into cubes, as small as a few hundred cubes allow; the mean
  colour of each filled cube is a landmark, and any colour's Gaussian is the combination of those at the landmarks that
  fits best.
- In position by tents on a grid of nodes a fifth of a standard deviation apart, with a matrix between the nodes fitted
  so that the Gaussian between pixels comes out as well as tents can give it.
- Pixels that are like few others would be told apart from them badly, and what they receive is divided by how little
  it is. So those have their exact weights (`SparseRows`).

Memory is linear in the pixels. In photos what a pixel receives is off by some ten-thousandths, where the permutohedral
lattice of Adams et al. (Eurographics 2010), which Kraehenbuehl and Koltun used, is off by several percent. Where it is
off by more, `pair_sums` finds out.

Nothing here knows torch: `losses.mean_field` runs the same sums there, with gradients, from what is prepared here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.refine.exact_rows import SparseRows
from figureground.refine.gaussian import Points, Reals, gaussian

__all__ = ["DIMMEST", "FactoredPairs", "Tile", "landmarks_of"]

_MOST_SUMS = 60_000_000
"""Most numbers (nodes times landmarks) held between splatting and slicing; 240 MB, and as much while they are mixed."""

DIMMEST = -50.0
"""No logarithm of a likeness is below this: products with the denormal numbers beyond are many times slower."""

_NEAR = float(np.exp(-0.5 * 3.5**2))
"""A landmark is left out of a tile that has no colour so much like it: 0.2 percent."""

_KEPT = 128_000_000
"""Up to so many likenesses are kept from one sum to the next; 512 MB."""

_SMALL = 1 << 20
"""Of pictures above this size none are kept: they would not all go in, and memory is short."""

_RARE = 30.0
"""Pixels that receive less than this have their exact weights: a 500th of the pixels of a photo, or fewer."""

_FAINTEST = 1e-3
"""The smallest factored sum of weights that means something."""

_MOST_RARE = 400_000_000
"""Most weights (pixels times rare pixels) that are looked through for them."""

_CUBES = (0.6, 0.75, 0.9, 1.05, 1.25, 1.5, 1.75, 2.0)
"""Sides of the cubes to try, in standard deviations."""

_RIDGE = 1e-4
"""Added to the landmarks' own weights, which keeps their inverse from magnifying the rounding of single precision."""


@dataclass(frozen=True, eq=False)
class Tile:
    """A rectangle of pixels, with the nodes that reach into it and the landmarks that its colours come near."""

    rows: slice
    columns: slice
    row_nodes: slice
    column_nodes: slice
    landmarks: NDArray[np.int64]

    @property
    def pixels(self) -> tuple[slice, slice]:
        """Where it lies in a map."""
        return self.rows, self.columns


class FactoredPairs:
    """The weights of all pairs of a picture of any size, factored. Arguments and `sums` are those of `AllPairs`.

    Args:
        landmarks: `(landmarks, 3)`, colours in standard deviations around the picture's mean, see `landmarks_of`.
    """

    def __init__(
        self, image: NDArray[Any], width: float, color: float, dtype: Any = np.float32, *, landmarks: Reals
    ) -> None:
        self.size: tuple[int, int] = (image.shape[0], image.shape[1])
        colors = colors_of(image, color, dtype)
        # Half a squared distance is a product: [c, -c.c/2, 1] . [m, 1, -m.m/2].
        one, half = np.ones((len(colors), 1), dtype), -0.5 * (colors**2).sum(axis=1, keepdims=True)
        self.colors: Reals = np.concatenate((colors, half, one), axis=1).reshape(*self.size, 5)
        one, half = np.ones((len(landmarks), 1)), -0.5 * (landmarks**2).sum(axis=1, keepdims=True)
        self.landmarks: Reals = np.concatenate((landmarks, one, half), axis=1).T.astype(dtype)
        weights = gaussian(landmarks, landmarks) + _RIDGE * np.eye(len(landmarks))
        self.mixing: Reals = np.linalg.inv(weights).astype(dtype)
        rows, columns = nodes_of(self.size, width)
        self.row_tents, self.row_mixing = _tents(self.size[0], rows, width, dtype)
        self.column_tents, self.column_mixing = _tents(self.size[1], columns, width, dtype)
        own_row, own_column = _own(self.row_tents, self.row_mixing), _own(self.column_tents, self.column_mixing)
        self.own: Reals = own_row[:, None] * own_column
        """`(H, W)`: the weight of a pixel for itself; 1 but for the tents."""
        self._kept: dict[Tile, Reals] = {}
        self.tiles = list(self._tiles(landmarks))
        self.rare: SparseRows | None = None
        ones = np.ones((1, *self.size), dtype)
        self.totals: Reals = self.sums(ones)[0]
        """`(H, W)`: what each pixel receives when every pixel gives 1."""
        rare = _lowest(self.totals, _RARE, _MOST_RARE // len(colors))
        if len(rare):
            self.rare = SparseRows(Points(image, width, color, dtype), rare)
            self.totals = self.sums(ones)[0]
            # Where there are more rare ones than that, those left over can even come out negative.
            usual = np.ones(len(colors), bool)
            usual[rare] = False
            np.maximum(self.totals, _FAINTEST, out=self.totals, where=usual.reshape(self.size))

    def sums(self, values: Reals) -> Reals:
        """For each pixel the weighted sum of the other pixels' values: `(C, H, W)` to `(C, H, W)`."""
        if self.rare is None:
            return self._factored(values)
        given = values.reshape(len(values), -1)
        usual = given.copy()
        usual[:, self.rare.chosen] = 0
        received = self._factored(usual.reshape(values.shape)).reshape(given.shape)
        for one, into in zip(given, received, strict=True):
            self.rare.add(one, into)
        return received.reshape(values.shape)

    def _factored(self, values: Reals) -> Reals:
        held = self._splat(values)
        # In its own place, a row or column of nodes at a time: of a large picture it is the largest array.
        for channel in held:
            for row in channel:
                row[:] = self.column_mixing @ (row @ self.mixing)
            for column in channel.swapaxes(0, 1):
                column[:] = self.row_mixing @ column
        return self._slice(held) - self.own * values

    def tents(self, tile: Tile) -> Reals:
        """(pixels, nodes): the share of each node of a tile in each of its pixels."""
        rows = self.row_tents[tile.rows, tile.row_nodes]
        columns = self.column_tents[tile.columns, tile.column_nodes]
        return np.asarray((rows[:, None, :, None] * columns[:, None]).reshape(len(rows) * len(columns), -1))

    def likeness(self, tile: Tile) -> Reals:
        """(pixels, landmarks): the Gaussian of the colour of each pixel of a tile to each landmark it comes near."""
        if tile in self._kept:
            return self._kept[tile]
        likeness = self.colors[tile.pixels].reshape(-1, 5) @ self.landmarks[:, tile.landmarks]
        np.maximum(likeness, DIMMEST, out=likeness)
        return np.exp(likeness, out=likeness)

    def _splat(self, values: Reals) -> Reals:
        """`(C, H, W)` to what each node and landmark receives, (C, row nodes, column nodes, landmarks)."""
        nodes = self.row_tents.shape[1], self.column_tents.shape[1]
        held = np.zeros((len(values), *nodes, self.mixing.shape[0]), self.mixing.dtype)
        for tile in self.tiles:
            tents, likeness = self.tents(tile), self.likeness(tile)
            for channel, into in zip(values, held[:, tile.row_nodes, tile.column_nodes], strict=True):
                received = (tents * channel[tile.pixels].reshape(-1, 1)).T @ likeness
                into[:, :, tile.landmarks] += received.reshape(*into.shape[:2], -1)
        return held

    def _slice(self, held: Reals) -> Reals:
        """What `_splat` returns, mixed, back to `(C, H, W)`."""
        out = np.empty((len(held), *self.size), held.dtype)
        for tile in self.tiles:
            tents, likeness = self.tents(tile), self.likeness(tile)
            for channel, source in zip(out, held[:, tile.row_nodes, tile.column_nodes], strict=True):
                at_nodes = likeness @ source[:, :, tile.landmarks].reshape(tents.shape[1], -1).T
                channel[tile.pixels] = np.einsum("pn,pn->p", tents, at_nodes).reshape(channel[tile.pixels].shape)
        return out

    def _tiles(self, landmarks: Reals) -> Iterator[Tile]:
        """Tiles about two nodes wide: with more, each pixel meets nodes that it has no share in."""
        height, width = (
            min(64, max(8, 2 * length // max(1, tents.shape[1] - 1)))
            for length, tents in zip(self.size, (self.row_tents, self.column_tents), strict=True)
        )
        kept, small = 0, self.size[0] * self.size[1] <= _SMALL
        for top in range(0, self.size[0], height):
            rows = slice(top, min(top + height, self.size[0]))
            for left in range(0, self.size[1], width):
                columns = slice(left, min(left + width, self.size[1]))
                reached = _reached(self.row_tents[rows]), _reached(self.column_tents[columns])
                inside = self.colors[rows, columns, :3].reshape(-1, 3)
                box = (landmarks > inside.min(axis=0) - 3.5) & (landmarks < inside.max(axis=0) + 3.5)
                tile = Tile(rows, columns, *reached, np.flatnonzero(box.all(axis=1)))
                likeness = self.likeness(tile)
                near = likeness.max(axis=0) > _NEAR
                tile = replace(tile, landmarks=tile.landmarks[near])
                kept += likeness.shape[0] * len(tile.landmarks)
                if small and kept <= _KEPT:
                    self._kept[tile] = likeness[:, near]
                yield tile


def landmarks_of(image: NDArray[Any], width: float, color: float, most: int) -> Reals | None:
    """Landmarks for `FactoredPairs`, `(landmarks, 3)`: mean colours of the filled cubes, of the smallest cubes that do.

    None where even the largest give more than `most`, or more than memory would hold at every node.
    """
    colors = colors_of(image, color, np.float32)
    rows, columns = nodes_of((image.shape[0], image.shape[1]), width)
    for side in _CUBES:
        means = _cube_means(colors, side)
        if len(means) <= most:
            return means if rows * columns * len(means) <= _MOST_SUMS else None
    return None


def colors_of(image: NDArray[Any], color: float, dtype: Any) -> Reals:
    """`(H, W, 3)` to `(H * W, 3)` in standard deviations around the picture's mean."""
    colors = image.reshape(-1, 3).astype(dtype)
    colors -= image.mean(axis=(0, 1)).astype(dtype)
    colors /= np.asarray(color, dtype)
    return colors


def nodes_of(size: tuple[int, int], width: float) -> tuple[int, int]:
    """How many nodes the sides of a picture need; never more than they have pixels."""
    rows, columns = (min(side, int(np.ceil((side - 1) / max(0.2 * width, 1))) + 1) for side in size)
    return rows, columns


def _lowest(totals: Reals, limit: float, most: int) -> NDArray[np.int64]:
    """Numbers of the pixels that receive less than a limit, the `most` of them that receive least."""
    flat = totals.reshape(-1)
    below = np.flatnonzero(flat < limit)
    return below[np.argsort(flat[below], kind="stable")[:most]]


def _cube_means(colors: Reals, side: float) -> Reals:
    """Mean colours (cubes, 3) of the filled cubes."""
    bins = np.floor((colors - colors.min(axis=0)) / side).astype(np.int64)
    across = bins.max(axis=0) + 1
    number = (bins[:, 0] * across[1] + bins[:, 1]) * across[2] + bins[:, 2]
    _, member, count = np.unique(number, return_inverse=True, return_counts=True)
    return np.asarray(np.stack([np.bincount(member, channel) for channel in colors.T], axis=1) / count[:, None])


def _tents(length: int, nodes: int, width: float, dtype: Any) -> tuple[Reals, Reals]:
    """Shares (pixels, nodes) and the matrix G between nodes for which shares G shares^T is nearest the Gaussian."""
    place = np.arange(length, dtype=np.float64)
    at_node = place * ((nodes - 1) / max(1, length - 1))
    tents = np.maximum(0, 1 - np.abs(at_node[:, None] - np.arange(nodes)))
    weights = np.exp(-0.5 * ((place[:, None] - place) / width) ** 2)
    fit = np.linalg.solve(tents.T @ tents, tents.T)
    return tents.astype(dtype), (fit @ weights @ fit.T).astype(dtype)


def _own(tents: Reals, mixing: Reals) -> Reals:
    return np.asarray(np.einsum("pa,ab,pb->p", tents, mixing, tents, optimize=True))


def _reached(tents: Reals) -> slice:
    nodes = np.flatnonzero(tents.any(axis=0))
    return slice(int(nodes[0]), int(nodes[-1]) + 1)
