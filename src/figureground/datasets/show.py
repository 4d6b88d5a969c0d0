"""A contact sheet: photos of a data set with their masks drawn on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground import draw, images
from figureground.checks import require_in_range
from figureground.datasets.check import IGNORE
from figureground.datasets.folders import Split
from figureground.datasets.masks import Values, read_values
from figureground.errors import DataError, FiguregroundError
from figureground.labels import LabelTree

__all__ = ["contact_sheet", "marked"]


def contact_sheet(
    splits: Sequence[Split],
    *,
    labels: LabelTree | None = None,
    number: int = 36,
    seed: int = 0,
    cell: int = 200,
    unreadable: Callable[[FiguregroundError], None] | None = None,
) -> NDArray[np.uint8]:
    """Photos drawn by lot from all splits, with their masks tinted and their names.

    Args:
        splits: see `find_splits`.
        labels: the tree whose numbers the masks hold; None: any value but 0 is a person.
        number: photos on the sheet, at most; all where there are fewer.
        seed: decides which.
        cell: width and height of the place for a photo in pixels, 32 to 4000.
        unreadable: called with the error of each photo or mask that cannot be read; the pair is then left out. None:
            the first such error is raised.

    Returns:
        uint8 (H, W, 3).

    Raises:
        DataError: no photos, none that can be read, or a mask that does not fit its photo or the tree.
        ImageError: a photo or mask that cannot be read.
        SourceError: a photo that cannot be opened.
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
    pictures, names = [], []
    for photo, mask in map(found.__getitem__, chosen):
        try:
            picture, values = images.read(photo), None if mask is None else read_values(mask)
        except FiguregroundError as error:
            if unreadable is None:
                raise
            unreadable(error)
            continue
        if mask is not None and values is not None:
            pictures.append(_marked(photo, mask, picture, values, labels, cell))
        else:
            pictures.append(images.resize(picture, _size_in(cell, picture)))
        names.append(photo.stem)
    if not pictures:
        raise DataError("none of the chosen photos can be read", remedy="see: figureground data check")
    return draw.sheet(pictures, names, cell=cell)


def marked(picture: NDArray[np.uint8], values: NDArray[np.integer[Any]], tree: LabelTree) -> NDArray[np.uint8]:
    """A picture, uint8 (H, W, 3), with an index map of `tree`, (H, W), tinted and outlined; 255 is grey."""
    by_value = {value: name for name, value in tree.mask_values().items()}
    colors = [tree.labels[tree.index(by_value[value])].color for value in sorted(by_value)]
    tinted = draw.tint(picture, values, colors, 0.45)
    return draw.contour(tinted, np.asarray((values > 0) & (values != IGNORE)), width=1.5)


def _size_in(cell: int, picture: NDArray[np.uint8]) -> tuple[int, int]:
    """(height, width) of a picture that is shrunk to fit its cell."""
    scale = min(1.0, cell / max(picture.shape[:2]))
    return max(1, round(picture.shape[0] * scale)), max(1, round(picture.shape[1] * scale))


def _marked(
    photo: Path, mask: Path, picture: NDArray[np.uint8], values: Values, labels: LabelTree | None, cell: int
) -> NDArray[np.uint8]:
    """A photo, shrunk to fit its cell, with its mask drawn on it; DataError where the mask does not fit."""
    if values.shape != picture.shape[:2]:
        raise DataError(f"{mask} has another size than {photo}", remedy="see: figureground data check")
    size = _size_in(cell, picture)
    # The number at the middle of each pixel: numbers have no means.
    rows = (np.arange(size[0]) + 0.5) * values.shape[0] / size[0]
    columns = (np.arange(size[1]) + 0.5) * values.shape[1] / size[1]
    small = values[rows.astype(int)][:, columns.astype(int)]
    if labels is None:
        small = (small > 0).astype(np.uint8)
    tree = labels or LabelTree.person()
    highest = int(small[small != IGNORE].max(initial=0))
    if highest > len(tree):
        raise DataError(
            f"{mask} has the value {highest}, but the tree's numbers end at {len(tree)}",
            remedy="give the tree of these masks, or see: figureground data check",
        )
    return marked(images.resize(picture, size), small, tree)
