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
_ID, _RUNS = "id", "rle_mask"


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
    items: dict[str, Item] = {}
    for line, name, runs in _rows(source):
        where = f"{source}:{line}: '{name}'"
        stem = name if name in photos else Path(name).stem
        if stem not in photos:
            raise DataError(f"{where} has no photo in {folder}", remedy="say where they are: --photos DIR")
        if stem in items:
            raise DataError(f"{where} names a photo a second time", remedy="write all runs of a photo in one line")
        items[stem] = Item("", stem, photos[stem], partial(_from_runs, where, runs))
    return list(items.values())


def _rows(source: Path) -> list[tuple[int, str, str]]:
    """(number of the line, id, run lengths) of each line below the heading."""
    csv.field_size_limit(_LONGEST_CELL)
    found: list[tuple[int, str, str]] = []
    try:
        with open(source, newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            heading = [name.strip() for name in next(rows, [])]
            for name in (_ID, _RUNS):
                if heading.count(name) != 1:
                    raise DataError(
                        f"{source}:1: the heading is '{','.join(heading)[:80]}'",
                        remedy=f"one column has to be called {_ID}, and one {_RUNS}",
                    )
            named, column = heading.index(_ID), heading.index(_RUNS)
            for row in rows:
                if not row:
                    continue
                if len(row) <= max(named, column):
                    said = f" of '{row[named]}'" if len(row) > named else ""
                    raise DataError(
                        f"{source}:{rows.line_num}: the line{said} has {len(row)} columns, the heading {len(heading)}",
                        remedy="a photo without people has an empty cell",
                    )
                found.append((rows.line_num, row[named], row[column]))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{source} cannot be read: {error}", remedy="give a CSV file in UTF-8") from error
    return found


def _from_runs(where: str, runs: str, size: tuple[int, int]) -> Mask:
    try:
        mask = images.mask_from_rle(runs, size)
    except DataError as error:
        remedy = error.remedy or "write pairs of start and length; the first pixel is 1"
        raise DataError(f"{where}: {error.message}", remedy=remedy) from error
    _check_apart(where, runs)
    return mask.astype(np.uint8)


def _check_apart(where: str, text: str) -> None:
    """DataError where two runs have a pixel in common; their order does not matter."""
    runs = np.array(text.split(), np.int64).reshape(-1, 2)
    runs = runs[runs[:, 1] > 0]
    runs = runs[np.argsort(runs[:, 0], kind="stable")]
    shared = np.flatnonzero(runs[:-1].sum(1) > runs[1:, 0])
    if shared.size:
        (start, length), (other, more) = runs[shared[0] : shared[0] + 2].tolist()
        raise DataError(
            f"{where}: the runs '{start} {length}' and '{other} {more}' overlap",
            remedy="write each pixel once, row by row, the first pixel is 1",
        )


PP_HUMANSEG = Layout(
    "pp-humanseg",
    "{train,val,test}.txt, each line a photo and its label",
    None,
    _pp_humanseg,
    "research, on request",
)
RLE_CSV = Layout(
    "rle-csv",
    "a CSV of id,rle_mask, a line a photo: row by row, the first pixel is 1; photos in images/ beside it",
    None,
    _rle_csv,
    "that of the photos",
)
