"""What a layout gives: photos with masks that are made when asked for; and what it is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from figureground.datasets.masks import read_values
from figureground.errors import DataError
from figureground.images import is_image_path

__all__ = [
    "Choices",
    "Item",
    "Layout",
    "any_value",
    "by_stem",
    "folder_in",
    "listed_stems",
    "pairs",
    "through",
    "values_through",
]

Mask = NDArray[np.uint8]


@dataclass(frozen=True)
class Item:
    """One photo: the split it is in, the name it gets, its file, and how to make its mask.

    `mask` takes the (height, width) of the photo and gives uint8 (H, W): numbers of the layout's tree, or for a layout
    without a tree 0 and 1, and 255 where nobody knows.
    """

    split: str
    name: str
    photo: Path
    mask: Callable[[tuple[int, int]], Mask]


@dataclass(frozen=True)
class Choices:
    """What a user may choose.

    photos: folder of the photos, where the source holds masks only (`rle-csv`).
    crowd: what a crowd is in `coco`: `person`, or `ignore`.
    """

    photos: Path | None = None
    crowd: Literal["person", "ignore"] = "person"


@dataclass(frozen=True)
class Layout:
    """A way to store a data set.

    name: what `convert` calls it.
    summary: the files, in a line.
    tree: the shipped label tree whose numbers the converted masks hold; None: a person or none.
    items: the photos of a folder; DataError where it is laid out otherwise.
    licence: under what terms the data set was found; where it says nothing, ask its authors.
    """

    name: str
    summary: str
    tree: str | None
    items: Callable[[Path, Choices], Sequence[Item]]
    licence: str


def folder_in(root: Path, *names: str) -> Path:
    """`root/name` of the first name that is there; DataError that shows what is there instead."""
    for name in names:
        if (root / name).is_dir():
            return root / name
    present = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    raise DataError(
        f"there is no folder {root / names[0]}",
        remedy=f"there are {', '.join(present[:8])}" if present else "give the folder that the data set unpacks to",
    )


def by_stem(folder: Path, *, suffix: str | None = None) -> dict[str, Path]:
    """The pictures directly in a folder, or the files of one suffix, by stem. What starts with a dot is passed over."""
    return {
        path.stem: path
        for path in sorted(folder.iterdir())
        if path.name[0] != "." and (path.suffix == suffix if suffix else is_image_path(path))
    }


def listed_stems(*lists: Path) -> list[str] | None:
    """The stems in the first of some text files that is there, one a line; None where none is."""
    for file in lists:
        if file.is_file():
            names = [line.split() for line in file.read_text(encoding="utf-8").splitlines()]
            return [Path(name[0]).stem for name in names if name]
    return None


def pairs(
    split: str,
    photos: Path,
    masks: Path,
    read: Callable[[Path], Mask],
    *,
    stems: Sequence[str] | None = None,
    suffix: str | None = None,
) -> Iterator[Item]:
    """The photos of a folder with the masks of equal stem in another.

    Args:
        split: their split.
        photos: folder of the photos.
        masks: folder of the masks.
        read: a mask's file to its numbers.
        stems: which photos; all when not given.
        suffix: of masks that are no pictures.

    Raises:
        DataError: a photo or mask is missing.
    """
    found, truths = by_stem(photos), by_stem(masks, suffix=suffix)
    for stem in found if stems is None else stems:
        if stem not in found:
            raise DataError(f"there is no photo '{stem}' in {photos}, but the list of '{split}' names it")
        if stem not in truths:
            raise DataError(f"{found[stem]} has no mask in {masks}", remedy="get the annotations of the same version")
        yield Item(split, stem, found[stem], partial(_of_any_size, read, truths[stem]))


def values_through(table: Sequence[int]) -> Callable[[Path], Mask]:
    """A reader of index maps that turns number k into `table[k]`; 255 stays."""
    return lambda path: through(read_values(path), table, path)


def any_value(path: Path) -> Mask:
    """A mask's file as 0 and 1: any value but 0 is a person."""
    return (read_values(path) > 0).astype(np.uint8)


def through(values: NDArray[np.integer[Any]], table: Sequence[int], path: Path) -> Mask:
    """`values` through `table`; DataError for a number that it does not have."""
    lookup = np.full(256, -1)
    lookup[: len(table)], lookup[255] = table, 255
    inside = (values >= 0) & (values < 256)
    mapped = lookup[np.where(inside, values, 254)]
    if (mapped < 0).any():
        odd = int(values[mapped < 0].flat[0])
        raise DataError(f"{path} has the value {odd}, but this layout's end at {len(table) - 1}")
    return mapped.astype(np.uint8)


def _of_any_size(read: Callable[[Path], Mask], path: Path, _size: tuple[int, int]) -> Mask:
    return read(path)
