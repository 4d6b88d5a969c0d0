"""The result of segmenting one photo. Everything in it is at the photo's own size and computed when asked for."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground import draw, images, refine
from figureground.checks import ArgumentError
from figureground.errors import OutputError, suggest
from figureground.images import Source
from figureground.labels import LabelTree
from figureground.runtime.parts import Part, choose_leaves, measure
from figureground.runtime.photo import Photo

PICTURES = ("cutout", "mask", "alpha", "overlay", "blur", "side-by-side")
"""The kinds of picture that `Segmentation.picture` and `Segmentation.save` make."""

PART_PICTURES = ("overlay", "map", "parts", "side-by-side")
"""The kinds of picture that `Segmentation.part_picture` makes."""

_WITHOUT_ALPHA = frozenset({".jpg", ".jpeg", ".jfif", ".bmp"})


class Segmentation:
    """Where the figure is in one photo.

    Args:
        photo: the photo.
        leaf_probabilities: float32 (K, h, w), one map per leaf of `labels`, at any size. What is missing to 1 is
            background.
        labels: the label tree.
        threshold: probability from which a pixel counts as figure, between 0 and 1.
        elapsed: seconds it took to read the photo and run the network.

    Probability and opacity are two things. `probabilities` says how sure the network is; `alpha` is what a cut-out is
    made of: `refine.opacity` turns doubt into a clean ground and a solid figure. An empty scene gives an empty mask and
    an alpha of zero.

    >>> import figureground as fg
    >>> result = fg.segment(demo_photo)
    >>> result.mask.dtype, result.mask.shape == result.size
    (dtype('bool'), True)
    >>> result.alpha.dtype, bool(((result.alpha >= 0.5) == result.mask).all())
    (dtype('float32'), True)
    >>> result.is_empty
    False
    >>> result.cutout().mode
    'RGBA'
    """

    def __init__(
        self,
        photo: Photo,
        leaf_probabilities: NDArray[np.float32],
        labels: LabelTree,
        *,
        threshold: float,
        elapsed: float = 0.0,
    ) -> None:
        self._photo = photo
        self._leaves = leaf_probabilities
        self.labels = labels
        self.threshold = checked_threshold(threshold)
        self.elapsed = elapsed

    def __repr__(self) -> str:
        height, width = self.size
        return f"Segmentation({self.path or 'image'}, {width}x{height}, labels={list(self.labels.names)})"

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the photo in pixels, after its EXIF orientation is applied."""
        return self._photo.size

    @property
    def path(self) -> Path | None:
        """The file the photo came from; None when it did not come from a file."""
        return self._photo.path

    @property
    def photo(self) -> NDArray[np.uint8]:
        """The photo at full size: uint8 (H, W, 3), RGB. Decoded on first use, so the file has to be there still.

        Raises:
            ImageError: the file has changed or gone since.
        """
        return self._photo.pixels

    @cached_property
    def alpha(self) -> NDArray[np.float32]:
        """How opaque the figure is: float32 (H, W) in [0, 1], 0.5 where the probability is the threshold."""
        if self.is_empty:
            return np.zeros(self.size, np.float32)
        return refine.opacity(self._probability, self.threshold)

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """Where the probability of figure (any label) reaches the threshold: bool (H, W)."""
        return np.asarray(self._probability >= self.threshold)

    @cached_property
    def is_empty(self) -> bool:
        """Whether no pixel reaches the threshold."""
        # Interpolation never exceeds its highest input, which settles most empty scenes without enlarging anything.
        return bool(self._low.max() < self.threshold) or not self.mask.any()

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """Probability of every node of the tree, in the order of `labels.names`: float32 (nodes, H, W)."""
        return np.stack([self._full_size(node) for node in self.coarse_probabilities])

    @property
    def coarse_probabilities(self) -> NDArray[np.float32]:
        """`probabilities` at the size at which the network gave them, which is far cheaper: float32 (nodes, h, w)."""
        return self.labels.nodes_from_leaves(self._leaves)

    def level(self, depth: int) -> NDArray[np.unsignedinteger[Any]]:
        """The label of each pixel at one depth of the tree: uint8 (H, W), 0 is background; -1 is the deepest level.

        The value k + 1 stands for `labels.level(depth)[k]` (uint16 where a level has more than 255 labels). The choice
        goes down the tree from the roots, each time to the likeliest among the children of the node chosen before. So
        the levels never contradict one another or `mask`: no part is where the whole is not.

        Raises:
            LabelError: the tree is not that deep.
        """
        of_leaves = self.labels.level_lookup(self._depth(depth))[: 1 + len(self.labels.leaves)]
        return np.asarray(of_leaves.astype(np.min_scalar_type(of_leaves.max()))[self._leaf_map])

    def parts(self, name: str) -> NDArray[np.bool_]:
        """Where the label `name` is, as `level` sees it: bool (H, W). A whole is where its parts are.

        Raises:
            LabelError: no such label.
        """
        return np.asarray(np.concatenate(([False], self._is_below(name)))[self._leaf_map])

    def found(self, depth: int | None = None) -> list[Part]:
        """What is in the photo, with area, box and confidence: the labels at one depth, or all of them in tree order.

        Raises:
            LabelError: the tree is not that deep.
        """
        labels = self.labels.labels if depth is None else self.labels.level(self._depth(depth))
        measured = (measure(self.labels, label, self.parts(label.name), self._score) for label in labels)
        return [part for part in measured if part is not None]

    def cutout(self) -> Image.Image:
        """The figure on a transparent ground: RGBA, with no fringe of the old ground's colours at soft edges."""
        colors = draw.foreground_colors(self.photo, self.alpha)
        return Image.fromarray(draw.cutout(colors, self.alpha))

    def overlay(self, opacity: float = 0.5) -> Image.Image:
        """The photo with every leaf painted in its colour: RGB."""
        colors = [leaf.color for leaf in self.labels.leaves]
        return Image.fromarray(draw.tint(self.photo, self._leaf_map, colors, opacity))

    def blur_background(self, radius: float | None = None) -> Image.Image:
        """The figure sharp before a blurred ground: RGB. `radius` is in pixels, by default 2 % of the diagonal."""
        radius = radius if radius is not None else 0.02 * float(np.hypot(*self.size))
        return Image.fromarray(draw.blur_background(self.photo, self.alpha, radius))

    def replace_background(self, background: Source | tuple[int, int, int]) -> Image.Image:
        """The figure before another ground: RGB.

        `background` is a colour (name, "#rrggbb" or three numbers from 0 to 255) or an image, which is scaled to cover
        the photo and cropped. A string that names an existing file is an image, any other a colour.
        """
        if isinstance(background, str) and not os.path.exists(background):
            background = draw.parse_color(background)
        ground = background if isinstance(background, tuple) else images.read(background)
        return Image.fromarray(draw.replace_background(self.photo, self.alpha, ground))

    def side_by_side(self) -> Image.Image:
        """The photo, its overlay and the figure on white, next to one another: RGB."""
        shown = [self.photo, np.asarray(self.overlay()), np.asarray(self.replace_background((255, 255, 255)))]
        return Image.fromarray(draw.side_by_side(shown))

    def picture(self, as_: str = "cutout") -> Image.Image:
        """One kind of picture of `PICTURES`. The mask is 0 or 255, alpha 0 to 255, both grey (L).

        Raises:
            OutputError: no such kind.
        """
        if as_ == "mask":
            return Image.fromarray(self.mask.view(np.uint8) * np.uint8(255))
        if as_ == "alpha":
            return Image.fromarray(draw.eight_bit(self.alpha))
        drawings = {
            "cutout": self.cutout,
            "overlay": self.overlay,
            "blur": self.blur_background,
            "side-by-side": self.side_by_side,
        }
        if as_ not in drawings:
            raise OutputError(f"no picture '{as_}'", remedy=suggest(as_, PICTURES))
        return drawings[as_]()

    def part_picture(self, as_: str = "overlay", depth: int = -1) -> Image.Image:
        """One kind of picture of the parts (`PART_PICTURES`), at one depth of the tree; -1 is the deepest level.

        | kind | picture |
        | --- | --- |
        | overlay | the photo with the parts painted over, and a legend: RGB |
        | map | the numbers of `level` as pixel values, and the colours as their palette: P |
        | parts | each part by itself on white, with its share of the photo and its confidence: RGB |
        | side-by-side | the photo, the parts painted over it, and the parts alone, with a legend: RGB |

        Raises:
            OutputError: no such kind.
            LabelError: the tree is not that deep.
            ArgumentError: more than 254 labels at that depth.
        """
        if as_ not in PART_PICTURES:
            raise OutputError(f"no picture '{as_}' of parts", remedy=suggest(as_, PART_PICTURES))
        labels, index_map = self.labels.level(self._depth(depth)), self.level(depth)
        colors = [label.color for label in labels]
        if as_ == "parts":
            return Image.fromarray(self._part_by_part(depth))
        if as_ == "map":
            return _with_palette(index_map, colors)
        tinted = draw.tint(self.photo, index_map, colors)
        if as_ == "side-by-side":
            tinted = draw.side_by_side([self.photo, tinted, draw.label_map(index_map, colors)])
        return Image.fromarray(draw.with_legend(tinted, labels))

    def save(self, path: str | os.PathLike[str], as_: str = "cutout") -> None:
        """Write one kind of picture (`PICTURES`) to a file, whole or not at all; the suffix says the format.

        JPEG and BMP have no transparency: a cut-out is laid on white there.

        Raises:
            OutputError: no such kind, unknown suffix, or a place that cannot be written to.
        """
        target = Path(path)
        if as_ == "cutout" and target.suffix.lower() in _WITHOUT_ALPHA:
            images.write(self.replace_background((255, 255, 255)), target)
        else:
            images.write(self.picture(as_), target)

    def _part_by_part(self, depth: int) -> NDArray[np.uint8]:
        pictures, captions = [], []
        for part in self.found(depth):
            left, top, right, bottom = part.box
            inside = self.parts(part.name)[top:bottom, left:right].astype(np.float32)
            pictures.append(draw.cutout(self.photo[top:bottom, left:right], inside))
            captions.append(f"{part.name}  {part.share:.1%}  p {part.confidence:.2f}")
        return draw.sheet(pictures, captions) if pictures else draw.sheet([self.photo], ["nothing found"])

    def _depth(self, depth: int) -> int:
        return self.labels.depth - 1 if depth == -1 else depth

    @cached_property
    def _low(self) -> NDArray[np.float32]:
        return np.asarray(self._leaves.sum(axis=0).clip(0.0, 1.0), dtype=np.float32)

    @cached_property
    def _probability(self) -> NDArray[np.float32]:
        return self._full_size(self._low)

    @cached_property
    def _leaf_map(self) -> NDArray[np.unsignedinteger[Any]]:
        return choose_leaves(self.labels, self.mask, self._score)

    def _score(self, name: str) -> NDArray[np.float32]:
        return self._full_size(self._leaves[self._is_below(name)].sum(axis=0))

    def _is_below(self, name: str) -> NDArray[np.bool_]:
        return np.asarray(self.labels.node_leaf_matrix()[self.labels.index(name)] > 0)

    def _full_size(self, small: NDArray[np.float32]) -> NDArray[np.float32]:
        return images.resize_map(small, self.size)


def _with_palette(index_map: NDArray[np.unsignedinteger[Any]], colors: list[tuple[int, int, int]]) -> Image.Image:
    if len(colors) > 254:
        raise ArgumentError(f"a map of {len(colors)} labels does not fit into one byte", remedy="take a level above it")
    picture = Image.fromarray(index_map.astype(np.uint8))
    picture.putpalette([channel for color in ((0, 0, 0), *colors) for channel in color])
    return picture


def checked_threshold(threshold: float) -> float:
    """`threshold` as it came.

    Raises:
        ArgumentError: it does not lie between 0 and 1, both excluded.
    """
    if not 0.0 < threshold < 1.0:
        raise ArgumentError(f"threshold {threshold}", remedy="it must lie between 0 and 1, both excluded")
    return threshold
