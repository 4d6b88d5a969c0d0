"""Other people's data sets in the layout of this house: DEST/SPLIT/images and DEST/SPLIT/masks, or parts."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from figureground import images
from figureground.datasets.layouts import LAYOUTS, Choices, Item, Layout
from figureground.datasets.layouts.item import Mask
from figureground.errors import DataError, OutputError, suggest
from figureground.labels import LabelTree

__all__ = ["Converted", "convert"]

Progress = Callable[[int, int], None]
"""Told (photos done, photos in all) after each photo."""


@dataclass(frozen=True)
class Converted:
    """What was written.

    layout: the layout it came from.
    tree: the label tree whose numbers the masks in `parts/` hold; None: `masks/` of 0 and 255, any but 0 is a person.
    splits: photos in each split; the name is empty where the data set has none.
    licence: what is known of the terms of the data set.
    """

    layout: str
    tree: str | None
    splits: dict[str, int]
    licence: str

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, ready for JSON."""
        return asdict(self)


def convert(
    layout: str,
    source: str | Path,
    dest: str | Path,
    *,
    link: bool = False,
    photos: str | Path | None = None,
    crowd: Literal["person", "ignore"] = "person",
    progress: Progress | None = None,
) -> Converted:
    """Write a data set in the layout that evaluation, training and the other data commands read.

    Args:
        layout: a name of `LAYOUTS`.
        source: the folder that the data set unpacks to; for `rle-csv` the CSV file.
        dest: a folder that is not there yet, or is empty.
        link: make links to the photos instead of copies.
        photos: folder of the photos, for `rle-csv`.
        crowd: what crowds in `coco` become: `person`, or `ignore`. Ignored pixels are 255, and a person is 1 then,
            which training reads with `any_value_is_leaf: false`.
        progress: called after each photo.

    Raises:
        DataError: an unknown layout, a source that is laid out otherwise, a mask that is missing, damaged or of another
            size than its photo. What was written by then stays.
        ImageError: a photo or mask that cannot be read.
        OutputError: `dest` holds something, or cannot be written to.
    """
    if layout not in LAYOUTS:
        raise DataError(f"no layout is called '{layout}'", remedy=suggest(layout, LAYOUTS))
    known, source, dest = LAYOUTS[layout], Path(source), Path(dest)
    if not source.exists():
        raise DataError(f"there is no {source}", remedy="give the folder that the data set unpacks to")
    items = list(known.items(source, Choices(Path(photos) if photos is not None else None, crowd)))
    _check(items, known, source)
    _prepare(dest)
    palette = None if known.tree is None else LabelTree.named(known.tree)
    person = 1 if crowd == "ignore" else 255
    for done, item in enumerate(items, start=1):
        _write(item, dest / item.split, palette, person, link)
        if progress is not None:
            progress(done, len(items))
    return Converted(layout, known.tree, dict(Counter(item.split for item in items)), known.licence)


def _check(items: list[Item], layout: Layout, source: Path) -> None:
    if not items:
        raise DataError(f"{source} holds no photos of the layout '{layout.name}'", remedy=f"it is {layout.summary}")
    first: dict[tuple[str, str], Path] = {}
    for item in items:
        other = first.setdefault((item.split, item.name), item.photo)
        if other != item.photo:
            raise DataError(f"{other} and {item.photo} would get one name", remedy="rename one of them")


def _prepare(dest: Path) -> None:
    images.make_folder(dest)
    try:
        filled = any(dest.iterdir())
    except OSError as error:
        raise OutputError(f"cannot look into {dest}: {error.strerror}", remedy="give another place") from error
    if filled:
        raise OutputError(f"{dest} is not empty", remedy="give a new folder")


def _write(item: Item, folder: Path, tree: LabelTree | None, person: int, link: bool) -> None:
    size = images.size(item.photo)
    mask = item.mask(size)
    if mask.shape != size:
        raise DataError(
            f"the mask of {item.photo} is {mask.shape[1]}x{mask.shape[0]}, the photo {size[1]}x{size[0]}",
            remedy="photos that are turned by their EXIF orientation have to be saved upright first",
        )
    truths = folder / ("masks" if tree is None else "parts")
    target = folder / "images" / f"{item.name}{item.photo.suffix.lower()}"
    try:
        for place in (truths, target.parent):
            place.mkdir(parents=True, exist_ok=True)
        if link:
            os.symlink(item.photo.resolve(), target)
        else:
            shutil.copyfile(item.photo, target)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror}", remedy="give another place") from error
    picture = _person(mask, person) if tree is None else _parts(mask, tree)
    images.write(picture, truths / f"{item.name}.png")


def _person(mask: Mask, value: int) -> Image.Image:
    return Image.fromarray(np.where(mask == 1, np.uint8(value), mask))


def _parts(mask: Mask, tree: LabelTree) -> Image.Image:
    """With the tree's colours as a palette, so that a viewer shows the parts; what counts are the numbers."""
    picture = Image.fromarray(mask)
    colors = [(0, 0, 0), *(leaf.color for leaf in tree.leaves)]
    rest = [(128, 128, 128)] * (256 - len(colors))
    picture.putpalette([channel for color in (*colors, *rest) for channel in color])
    return picture
