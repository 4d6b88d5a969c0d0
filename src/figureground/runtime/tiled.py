"""A photo in overlapping tiles, so that the network sees it larger than it would see the whole."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from figureground import images
from figureground.checks import ArgumentError, require_in_range, require_whole
from figureground.runtime.blending import starts, window
from figureground.runtime.segmenter import Segmenter

Trust = Literal["whole", "tiles"]
"""Who decides what is there: the whole photo, or each tile by itself."""

_GRID = 32
"""Tiles start at multiples of this where they can: a network with strides answers alike for like positions."""


class Tiled(Segmenter):
    """A segmenter that sees the photo `zoom` times as large as it would on its own, tile by tile.

    Tiles overlap. The outer quarter of an overlap is thrown away and the rest blended smoothly, so the tiles leave no
    trace where the inner segmenter looks no further than that around each pixel. Networks look further, and a tile
    shows less of the scene than the whole photo: one that sees a sleeve alone does not know that it is somebody's. So
    unless told otherwise the whole photo decides what is there, and the tiles only where exactly it ends: what the
    tiles say is corrected, at the resolution of the whole, to what the whole says.

    Args:
        inner: what is asked about each tile, and about the whole.
        zoom: sides of the picture relative to those `inner` asks for, 1 to 100; never beyond the photo's own pixels.
        tile: side of the tiles in pixels of that picture, 32 to 8192; what `inner` asks for when not given.
        overlap: share of a tile's side that it has in common with the next, 0 to 0.5.
        trust: "whole" has the tiles add detail to what the whole photo says; "tiles" takes the tiles alone, which
            finds people who are too small for the whole, and loses some who are large.

    Raises:
        ArgumentError: a number out of its range, or an unknown `trust`.
    """

    def __init__(
        self,
        inner: Segmenter,
        *,
        zoom: float = 2.0,
        tile: int | None = None,
        overlap: float = 0.25,
        trust: Trust = "whole",
    ) -> None:
        require_in_range("zoom", zoom, 1, 100)
        require_in_range("overlap", overlap, 0, 0.5)
        if tile is not None:
            require_whole("tile", tile, 32, 8192)
        if trust not in get_args(Trust):
            raise ArgumentError(f"trust is {trust!r}", remedy="it must be 'whole' or 'tiles'")
        super().__init__(f"{inner.name} tiled x{zoom:g}", inner.labels, inner.threshold)
        self.inner = inner
        self.zoom = float(zoom)
        self.tile = None if tile is None else int(tile)
        self.overlap = float(overlap)
        self.trust: Trust = trust

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the whole picture that is cut into tiles."""
        h, w = self.inner.network_size(height, width)
        zoom = min(self.zoom, max(1.0, min(height / h, width / w)))
        size = round(h * zoom), round(w * zoom)
        return self.inner.fitting_size(*size) or size

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probability of every leaf: float32 (leaves, h, w). `image` is uint8 (h, w, 3) of any size."""
        tiles = self._from_tiles(image)
        if self.trust == "tiles":
            return tiles
        size = image.shape[:2]
        whole = self.inner.probabilities(images.resize(image, self.inner.network_size(*size)))
        missing = whole - images.resize_map(tiles, whole.shape[-2:])
        leaves = np.clip(tiles + images.resize_map(missing, size), 0, 1)
        return np.asarray(leaves / np.maximum(leaves.sum(axis=0), 1), dtype=np.float32)

    def _from_tiles(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        height, width = image.shape[:2]
        tile_height, tile_width = self._tile_size(height, width)
        total = np.zeros((len(self.labels.leaves), height, width), np.float32)
        weight = np.zeros((height, width), np.float32)
        for top, rows in self._pieces(height, tile_height):
            for left, columns in self._pieces(width, tile_width):
                there = np.s_[..., top : top + tile_height, left : left + tile_width]
                share = rows[:, None] * columns
                total[there] += share * self._ask(image[top : top + tile_height, left : left + tile_width])
                weight[there] += share
        total /= weight
        return total

    def _tile_size(self, height: int, width: int) -> tuple[int, int]:
        wanted = (self.tile, self.tile) if self.tile is not None else self.inner.network_size(height, width)
        fitting = self.inner.fitting_size(*wanted) or wanted
        return min(fitting[0], height), min(fitting[1], width)

    def _pieces(self, length: int, piece: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Where the tiles start along one axis, each with what its pixels count."""
        if piece == length:
            yield 0, np.ones(length, np.float32)
            return
        grid = math.gcd(length, piece, _GRID)
        overlap = math.floor(piece * self.overlap)
        step = (piece - overlap) // grid * grid or piece - overlap
        for start in starts(length, piece, step):
            last = start + piece == length
            yield start, window(piece, overlap, soft_start=start > 0, soft_end=not last)

    def _ask(self, tile: NDArray[np.uint8]) -> NDArray[np.float32]:
        size = tile.shape[:2]
        if self.inner.fitting_size(*size) != size:  # not a size that it takes: it has to see the tile at its own
            leaves = self.inner.probabilities(images.resize(tile, self.inner.network_size(*size)))
        else:
            leaves = self.inner.probabilities(np.ascontiguousarray(tile))
        return leaves if leaves.shape[-2:] == size else images.resize_map(leaves, size)
