"""Layouts that list their photos in a text file: pairs of paths, or run lengths."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from figureground import images
from figureground.datasets.layouts.item import Choices, Item, Layout, Mask, any_value, by_stem
from figureground.errors import DataError

__all__ = ["PP_HUMANSEG", "RLE_CSV"]

_LONGEST_CELL = 1 << 27


def _pp_humanseg(root: Path, _: Choices) -> Sequence[Item]:
    found: list[Item] = []
    for split in ("train", "val", "test"):
        lists = [root / f"{split}.txt", root / split / f"{split}.txt"]
        for file in (file for file in lists if file.is_file()):
            found += _from_list(split, file, root)
            break
    if not found:
        raise DataError(f"there is neither train.txt nor val.txt nor test.txt in {root}")
    return found


def _from_list(split: str, file: Path, root: Path) -> Iterator[Item]:
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        names = line.split()
        if len(names) != 2:
            raise DataError(f"{file}:{number}: '{line.strip()}' is not a photo and its label", remedy="write both")
        photo, label = (_placed(name, file, root, number) for name in names)
        yield Item(split, photo.stem, photo, partial(_of_any_size, label))


def _placed(name: str, file: Path, root: Path, number: int) -> Path:
    for place in (root / name, file.parent / name):
        if place.is_file():
            return place
    raise DataError(f"{file}:{number}: there is no {root / name}", remedy="paths start at the data set's folder")


def _of_any_size(path: Path, _size: tuple[int, int]) -> Mask:
    return any_value(path)


def _rle_csv(source: Path, choices: Choices) -> Sequence[Item]:
    if not source.is_file():
        raise DataError(f"there is no file {source}", remedy="give the CSV file of ids and run lengths")
    beside = source.parent / "images" if (source.parent / "images").is_dir() else source.parent
    folder = choices.photos or beside
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}", remedy="say where the photos are: --photos DIR")
    photos = by_stem(folder)
    items = []
    for name, runs in _rows(source).items():
        stem = name if name in photos else Path(name).stem
        if stem not in photos:
            raise DataError(f"there is no photo of '{name}' in {folder}", remedy="say where they are: --photos DIR")
        items.append(Item("", stem, photos[stem], partial(_from_runs, runs)))
    return items


def _rows(source: Path) -> dict[str, str]:
    """Run lengths by id. Several lines of one id, as where each is one area, are put together."""
    csv.field_size_limit(_LONGEST_CELL)
    found: dict[str, str] = {}
    try:
        with open(source, newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            heading = next(rows, [])
            if len(heading) < 2:
                raise DataError(f"{source} has no heading of two columns", remedy="write: id,rle_mask")
            column = heading.index("rle_mask") if "rle_mask" in heading else 1
            for row in rows:
                if not row:
                    continue
                if len(row) <= column:
                    raise DataError(f"{source}:{rows.line_num}: no run lengths; a person-free photo has an empty cell")
                found[row[0]] = f"{found.get(row[0], '')} {row[column]}"
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{source} cannot be read: {error}", remedy="give a CSV file in UTF-8") from error
    return found


def _from_runs(runs: str, size: tuple[int, int]) -> Mask:
    return images.mask_from_rle(runs, size).astype(np.uint8)


PP_HUMANSEG = Layout(
    "pp-humanseg",
    "{train,val,test}.txt, each line a photo and its label",
    None,
    _pp_humanseg,
    "research, on request",
)
RLE_CSV = Layout(
    "rle-csv",
    "a CSV of id,rle_mask: row by row, the first pixel is 1; photos in images/ beside it",
    None,
    _rle_csv,
    "that of the photos",
)
