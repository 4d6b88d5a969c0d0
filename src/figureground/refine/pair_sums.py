"""Sums over all pairs of pixels, weighted by a Gaussian of how far they are apart and how unlike their colours are.

There are as many weights as pairs, so only a small picture has them written out. For any other they are factored:

- In colour by Nystroem's method. The colours are binned into cubes, as small as a few hundred cubes allow; the mean
  colour of each filled cube is a landmark, and any colour's Gaussian is the combination of those at the landmarks that
  fits best.
- In position by tents on a grid of nodes a fifth of a standard deviation apart, with a matrix between the nodes fitted
  so that the Gaussian between pixels comes out as well as tents can give it.

Memory is linear in the pixels. A weight is off by some thousandths, where the permutohedral lattice of Adams et al.
(Eurographics 2010), which Kraehenbuehl and Koltun used, is off by several percent.

Nothing here knows torch: `losses.mean_field` runs the same sums there, with gradients, from what is prepared here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.checks import ArgumentError

__all__ = ["FAINTEST", "FEW_PIXELS", "AllPairs", "FactoredPairs", "Tile"]

FEW_PIXELS = 64 * 64
"""Pictures up to this size have the weights of all their pairs written out."""

_MOST_SUMS = 60_000_000
"""Most numbers (nodes times landmarks) held between splatting and slicing; 240 MB, and as much while they are mixed."""

FAINTEST = -50.0
"""No logarithm of a weight is below this: products with the denormal numbers beyond are many times slower."""

_LANDMARKS = (640, 1280)
"""Most landmarks of a large and of a small picture, if there is a larger cube to fall back on."""

_LIKENESSES = 1 << 27
"""A picture is small while pixels times landmarks stay below this."""

_CUBES = (0.6, 0.75, 0.9, 1.05, 1.25, 1.5, 1.75, 2.0)
"""Sides of the cubes to try, in standard deviations."""

_RIDGE = 1e-4
"""Added to the landmarks' own weights, which keeps their inverse from magnifying the rounding of single precision."""

Reals = NDArray[np.floating[Any]]


class AllPairs:
    """The weights of all pairs of a small picture, written out.

    Args:
        image: `(H, W, 3)`, red, green and blue of 0 to 255.
        width: standard deviation of the position, in pixels.
        color: standard deviation of the colour, in steps of 0 to 255.
        dtype: the floating type to work in.
    """

    faintest = 1e-20
    """The smallest sum of weights that means something."""

    def __init__(self, image: NDArray[Any], width: float, color: float, dtype: Any = np.float32) -> None:
        self.size: tuple[int, int] = (image.shape[0], image.shape[1])
        rows, columns = np.mgrid[: self.size[0], : self.size[1]]
        place = np.stack((rows.ravel(), columns.ravel()), axis=1) / width
        features = np.concatenate((place, image.reshape(-1, 3) / color), axis=1)
        features = (features - features.mean(axis=0)).astype(dtype)
        self.matrix: Reals = _gaussian(features, features)
        np.fill_diagonal(self.matrix, 0)

    def sums(self, values: Reals) -> Reals:
        """For each pixel the weighted sum of the other pixels' values: `(C, H, W)` to `(C, H, W)`."""
        return np.asarray((values.reshape(len(values), -1) @ self.matrix).reshape(values.shape))


@dataclass(frozen=True)
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

    Raises:
        ArgumentError: the standard deviations are so narrow that memory would not hold the nodes and landmarks.
    """

    faintest = 1e-3

    def __init__(self, image: NDArray[Any], width: float, color: float, dtype: Any = np.float32) -> None:
        self.size: tuple[int, int] = (image.shape[0], image.shape[1])
        colors = (image.reshape(-1, 3) - image.mean(axis=(0, 1))).astype(dtype) / np.asarray(color, dtype)
        marks = _landmarks(colors)
        row_nodes, column_nodes = (_nodes(length, width) for length in self.size)
        if row_nodes * column_nodes * len(marks) > _MOST_SUMS:
            raise ArgumentError(
                f"width {width:g} and color {color:g} are too narrow for a picture of {self.size[1]}x{self.size[0]} "
                f"with {len(marks)} colours",
                remedy="use a larger width or color, or a smaller picture",
            )
        # Half a squared distance is a product: [c, -c.c/2, 1] . [m, 1, -m.m/2].
        one, half = np.ones((len(colors), 1), dtype), -0.5 * (colors**2).sum(axis=1, keepdims=True)
        self.colors: Reals = np.concatenate((colors, half, one), axis=1).reshape(*self.size, 5)
        one, half = np.ones((len(marks), 1)), -0.5 * (marks**2).sum(axis=1, keepdims=True)
        self.landmarks: Reals = np.concatenate((marks, one, half), axis=1).T.astype(dtype)
        self.mixing: Reals = np.linalg.inv(_gaussian(marks, marks) + _RIDGE * np.eye(len(marks))).astype(dtype)
        self.row_tents, self.row_mixing = (a.astype(dtype) for a in _tents(self.size[0], row_nodes, width))
        self.column_tents, self.column_mixing = (a.astype(dtype) for a in _tents(self.size[1], column_nodes, width))
        self.tiles = list(self._tiles(marks))
        own_row, own_column = _own(self.row_tents, self.row_mixing), _own(self.column_tents, self.column_mixing)
        self.own: Reals = own_row[:, None] * own_column
        """`(H, W)`: the weight of a pixel for itself; 1 but for the tents."""

    def sums(self, values: Reals) -> Reals:
        """For each pixel the weighted sum of the other pixels' values: `(C, H, W)` to `(C, H, W)`."""
        held = self._splat(values) @ self.mixing
        held = np.tensordot(held, self.row_mixing, axes=(1, 0)).transpose(0, 3, 1, 2)
        held = np.ascontiguousarray(held)
        held = np.matmul(self.column_mixing, held)
        return self._slice(held) - self.own * values

    def tents(self, tile: Tile) -> Reals:
        """(pixels, nodes): the share of each node of a tile in each of its pixels."""
        rows = self.row_tents[tile.rows, tile.row_nodes]
        columns = self.column_tents[tile.columns, tile.column_nodes]
        return np.asarray((rows[:, None, :, None] * columns[:, None]).reshape(len(rows) * len(columns), -1))

    def likeness(self, tile: Tile) -> Reals:
        """(pixels, landmarks): the Gaussian of the colour of each pixel of a tile to each landmark it comes near."""
        likeness = self.colors[tile.pixels].reshape(-1, 5) @ self.landmarks[:, tile.landmarks]
        np.maximum(likeness, FAINTEST, out=likeness)
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

    def _tiles(self, marks: Reals) -> Iterator[Tile]:
        """Tiles about two nodes wide: with more, each pixel meets nodes that it has no share in."""
        height, width = (
            min(64, max(8, 2 * length // max(1, tents.shape[1] - 1)))
            for length, tents in zip(self.size, (self.row_tents, self.column_tents), strict=True)
        )
        for top in range(0, self.size[0], height):
            rows = slice(top, min(top + height, self.size[0]))
            for left in range(0, self.size[1], width):
                columns = slice(left, min(left + width, self.size[1]))
                inside = self.colors[rows, columns, :3].reshape(-1, 3)
                # Beyond 3.5 standard deviations a Gaussian is under 0.3 percent.
                near = (marks > inside.min(axis=0) - 3.5) & (marks < inside.max(axis=0) + 3.5)
                landmarks = np.flatnonzero(near.all(axis=1))
                reached = _reached(self.row_tents[rows]), _reached(self.column_tents[columns])
                yield Tile(rows, columns, *reached, landmarks)


def _gaussian(a: Reals, b: Reals) -> Reals:
    # In place throughout: over all pairs of a picture each array is a large one.
    exponent = a @ b.T
    exponent -= 0.5 * (a**2).sum(axis=1)[:, None]
    exponent -= 0.5 * (b**2).sum(axis=1)
    np.clip(exponent, FAINTEST, 0, out=exponent)
    return np.asarray(np.exp(exponent, out=exponent))


def _landmarks(colors: Reals) -> Reals:
    """Mean colours (landmarks, 3) of the filled cubes, of the smallest cubes that give few enough."""
    most = min(max(_LIKENESSES // len(colors), _LANDMARKS[0]), _LANDMARKS[1])
    for side in _CUBES:
        means = _cube_means(colors, side)
        if len(means) <= most:
            break
    return means


def _cube_means(colors: Reals, side: float) -> Reals:
    """Mean colours (cubes, 3) of the filled cubes, but for those with less than a 65536th of the pixels."""
    bins = np.floor((colors - colors.min(axis=0)) / side).astype(np.int64)
    across = bins.max(axis=0) + 1
    number = (bins[:, 0] * across[1] + bins[:, 1]) * across[2] + bins[:, 2]
    _, member, count = np.unique(number, return_inverse=True, return_counts=True)
    means = np.stack([np.bincount(member, channel) for channel in colors.T], axis=1) / count[:, None]
    return np.asarray(means[count >= len(colors) / 65536])


def _nodes(length: int, width: float) -> int:
    """How many nodes a side of `length` pixels needs; never more than pixels."""
    return min(length, int(np.ceil((length - 1) / max(0.2 * width, 1))) + 1)


def _tents(length: int, nodes: int, width: float) -> tuple[Reals, Reals]:
    """Shares (pixels, nodes) and the matrix G between nodes for which shares G shares^T is nearest the Gaussian."""
    place = np.arange(length, dtype=np.float64)
    at_node = place * ((nodes - 1) / max(1, length - 1))
    tents = np.maximum(0, 1 - np.abs(at_node[:, None] - np.arange(nodes)))
    gaussian = np.exp(-0.5 * ((place[:, None] - place) / width) ** 2)
    fit = np.linalg.solve(tents.T @ tents, tents.T)
    return tents, fit @ gaussian @ fit.T


def _own(tents: Reals, mixing: Reals) -> Reals:
    return np.asarray(np.einsum("pa,ab,pb->p", tents, mixing, tents, optimize=True))


def _reached(tents: Reals) -> slice:
    nodes = np.flatnonzero(tents.any(axis=0))
    return slice(int(nodes[0]), int(nodes[-1]) + 1)
