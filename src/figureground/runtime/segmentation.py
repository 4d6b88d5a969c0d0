"""The result of segmenting one photo. Everything in it is at the photo's own size and computed when asked for."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground import draw, images, refine
from figureground.checks import ArgumentError
from figureground.errors import OutputError, suggest
from figureground.images import Source
from figureground.labels import Label, LabelTree
from figureground.runtime.photo import Photo

PICTURES = ("cutout", "mask", "alpha", "overlay", "blur", "side-by-side")
"""The kinds of picture that `Segmentation.picture` and `Segmentation.save` make."""

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
        nodes = self.labels.nodes_from_leaves(self._leaves)
        return np.stack([self._full_size(node) for node in nodes])

    def level(self, depth: int) -> NDArray[np.uint8]:
        """The most likely label of each pixel at one depth of the tree: uint8 (H, W), 0 is background.

        The value k + 1 stands for `labels.level(depth)[k]`. The choice goes down the tree from the roots, each time
        among the children of the node chosen before, so the levels never contradict one another or `mask`.

        Raises:
            LabelError: the tree is not that deep.
        """
        self.labels.level(depth)  # raises for a level that is not there
        chosen = self.mask.astype(np.uint8)
        parents: list[str | None] = [None]
        for current in range(depth + 1):
            nodes = self.labels.level(current)
            chosen = self._choose(nodes, chosen, parents)
            parents = [node.name for node in nodes]
        return chosen

    def parts(self, name: str) -> NDArray[np.bool_]:
        """Where the label `name` is, as `level` sees it: bool (H, W).

        Raises:
            LabelError: no such label.
        """
        depth = len(self.labels.ancestors(name))
        names = [node.name for node in self.labels.level(depth)]
        return np.asarray(self.level(depth) == names.index(name) + 1)

    def cutout(self) -> Image.Image:
        """The figure on a transparent ground: RGBA, with no fringe of the old ground's colours at soft edges."""
        colors = draw.foreground_colors(self.photo, self.alpha)
        return Image.fromarray(draw.cutout(colors, self.alpha))

    def overlay(self, opacity: float = 0.5) -> Image.Image:
        """The photo with every leaf painted in its colour: RGB."""
        masks = np.stack([self.parts(leaf.name) for leaf in self.labels.leaves])
        colors = [leaf.color for leaf in self.labels.leaves]
        return Image.fromarray(draw.overlay(self.photo, masks, colors, opacity))

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

    @cached_property
    def _low(self) -> NDArray[np.float32]:
        return np.asarray(self._leaves.sum(axis=0).clip(0.0, 1.0), dtype=np.float32)

    @cached_property
    def _probability(self) -> NDArray[np.float32]:
        return self._full_size(self._low)

    def _full_size(self, small: NDArray[np.float32]) -> NDArray[np.float32]:
        return images.resize_map(small, self.size)

    def _choose(
        self, nodes: tuple[Label, ...], chosen: NDArray[np.uint8], parents: list[str | None]
    ) -> NDArray[np.uint8]:
        """The likeliest of `nodes` under the node each pixel chose one level up (one map at a time, to save memory)."""
        low = self.labels.nodes_from_leaves(self._leaves)
        best = np.full(self.size, -1.0, np.float32)
        result = np.zeros(self.size, np.uint8)
        for index, node in enumerate(nodes):
            # A leaf that ends higher up is carried down, and is then its own parent.
            above = node.name if node.name in parents else node.parent
            score = self._full_size(low[self.labels.index(node.name)])
            better = (chosen == parents.index(above) + 1) & (score > best)
            best[better] = score[better]
            result[better] = index + 1
        return result


def checked_threshold(threshold: float) -> float:
    """`threshold` as it came.

    Raises:
        ArgumentError: it does not lie between 0 and 1, both excluded.
    """
    if not 0.0 < threshold < 1.0:
        raise ArgumentError(f"threshold {threshold}", remedy="it must lie between 0 and 1, both excluded")
    return threshold
