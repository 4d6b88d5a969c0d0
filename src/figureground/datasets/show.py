"""A contact sheet: photos of a data set with their masks drawn on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground import draw, images
from figureground.checks import require_in_range
from figureground.datasets.check import IGNORE
from figureground.datasets.folders import Split
from figureground.datasets.masks import read_values
from figureground.errors import DataError
from figureground.labels import LabelTree

__all__ = ["contact_sheet", "marked"]


def contact_sheet(
    splits: Sequence[Split], *, labels: LabelTree | None = None, number: int = 36, seed: int = 0, cell: int = 200
) -> NDArray[np.uint8]:
    """Photos drawn by lot from all splits, with their masks tinted and their names.

    Args:
        splits: see `find_splits`.
        labels: the tree whose numbers the masks hold; None: any value but 0 is a person.
        number: photos on the sheet, at most; all where there are fewer.
        seed: decides which.
        cell: width and height of the place for a photo in pixels, 32 to 4000.

    Returns:
        uint8 (H, W, 3).

    Raises:
        DataError: no photos, or a mask that does not fit its photo or the tree.
        ImageError: a photo or mask that cannot be read.
        ArgumentError: a number out of range.
    """
    require_in_range("number", number, 1)
    found: list[tuple[Path, Path | None]] = []
    for split in splits:
        masks = dict(split.pairs())
        found += [(photo, masks.get(photo)) for photo in split.photo_files()]
    if not found:
        raise DataError("there are no photos to show", remedy="give a folder that holds images/ and masks/")
    chosen = sorted(np.random.default_rng(seed).permutation(len(found))[:number].tolist())
    tree = labels or LabelTree.person()
    pictures = [_drawn(photo, mask, tree, labels is None, cell) for photo, mask in map(found.__getitem__, chosen)]
    return draw.sheet(pictures, [found[place][0].stem for place in chosen], cell=cell)


def marked(picture: NDArray[np.uint8], values: NDArray[np.integer[Any]], tree: LabelTree) -> NDArray[np.uint8]:
    """A picture, uint8 (H, W, 3), with an index map of `tree`, (H, W), tinted and outlined; 255 is grey."""
    by_value = {value: name for name, value in tree.mask_values().items()}
    colors = [tree.labels[tree.index(by_value[value])].color for value in sorted(by_value)]
    tinted = draw.tint(picture, values, colors, 0.45)
    return draw.contour(tinted, np.asarray((values > 0) & (values != IGNORE)), width=1.5)


def _drawn(photo: Path, mask: Path | None, tree: LabelTree, is_plain: bool, cell: int) -> NDArray[np.uint8]:
    picture = images.read(photo)
    values = None
    if mask is not None:
        values = read_values(mask)
        if values.shape != picture.shape[:2]:
            raise DataError(f"{mask} has another size than {photo}", remedy="see: figureground data check")
    scale = min(1.0, cell / max(picture.shape[:2]))
    size = max(1, round(picture.shape[0] * scale)), max(1, round(picture.shape[1] * scale))
    picture = images.resize(picture, size)
    if values is None:
        return picture
    # The number at the middle of each pixel: numbers have no means.
    rows = (np.arange(size[0]) + 0.5) * values.shape[0] / size[0]
    columns = (np.arange(size[1]) + 0.5) * values.shape[1] / size[1]
    small = values[rows.astype(int)][:, columns.astype(int)]
    if is_plain:
        small = (small > 0).astype(np.uint8)
    highest = int(small[small != IGNORE].max(initial=0))
    if highest > len(tree):
        raise DataError(f"{mask} has the value {highest}, but the tree's numbers end at {len(tree)}")
    return marked(picture, small, tree)
