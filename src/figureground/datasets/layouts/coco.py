"""COCO: the people of `instances_*.json`, polygons and run lengths."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground import images
from figureground.datasets.layouts.item import Choices, Item, Layout, Mask, folder_in
from figureground.datasets.polygons import polygon_mask
from figureground.errors import DataError, FiguregroundError

__all__ = ["COCO"]

_PERSON, _IGNORE = 1, 255


def _coco(root: Path, choices: Choices) -> Sequence[Item]:
    files = sorted(folder_in(root, "annotations").glob("instances_*.json"))
    files = [file for file in files if (root / _folder(file)).is_dir()]
    if not files:
        raise DataError(
            f"no instances_*.json in {root / 'annotations'} belongs to a folder of photos in {root}",
            remedy="unpack annotations/instances_val2017.json beside val2017/",
        )
    return [item for file in files for item in _from_file(file, root / _folder(file), choices)]


def _folder(file: Path) -> str:
    return file.stem.removeprefix("instances_")


def _from_file(file: Path, photos: Path, choices: Choices) -> list[Item]:
    try:
        content = json.loads(file.read_bytes())
        people = [entry["id"] for entry in content["categories"] if entry["name"] == "person"] or [1]
        named = {entry["id"]: str(entry["file_name"]) for entry in content["images"]}
        objects: dict[Any, list[Mapping[str, Any]]] = {}
        for entry in content["annotations"]:
            if entry["category_id"] in people:
                objects.setdefault(entry["image_id"], []).append(entry)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{file} is no file of COCO instances: {error!r}") from error
    split = re.sub(r"\d+$", "", _folder(file))
    items = []
    for image, entries in sorted(objects.items(), key=lambda pair: str(named.get(pair[0]))):
        if image not in named:
            raise DataError(f"{file} has an object in image {image}, which it does not list")
        photo = photos / named[image]
        if not photo.is_file():
            raise DataError(f"{file} names {photo}, which is not there", remedy="unpack all photos of the split")
        items.append(Item(split, photo.stem, photo, partial(_merged, entries, choices, f"{file}: image {image}")))
    return items


def _merged(entries: Sequence[Mapping[str, Any]], choices: Choices, place: str, size: tuple[int, int]) -> Mask:
    """All people of a photo in one mask; a crowd is drawn first, so that whoever stands out of it stays a person."""
    merged = np.zeros(size, np.uint8)
    for entry in sorted(entries, key=lambda entry: not entry.get("iscrowd")):
        crowd_is_ignored = entry.get("iscrowd") and choices.crowd == "ignore"
        merged[_drawn(entry.get("segmentation"), size, place)] = _IGNORE if crowd_is_ignored else _PERSON
    return merged


def _drawn(outline: Any, size: tuple[int, int], place: str) -> NDArray[np.bool_]:
    try:
        if isinstance(outline, Mapping):
            height, width = outline["size"]
            if (height, width) != size:
                raise DataError(f"a mask of {width}x{height}, the photo is {size[1]}x{size[0]}")
            return images.mask_from_coco(outline["counts"], size)
        mask = np.zeros(size, np.bool_)
        for polygon in outline:
            mask |= polygon_mask(np.asarray(polygon, np.float64).reshape(-1, 2), size)
        return mask
    except FiguregroundError as error:
        raise DataError(f"{place}: {error.message}", remedy=error.remedy) from error
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{place} has an outline that is neither polygons nor run lengths: {error!r}") from error


COCO = Layout(
    "coco",
    "annotations/instances_{train,val}2017.json, {train,val}2017/*.jpg; photos with a person",
    None,
    _coco,
    "annotations CC BY 4.0, photos Flickr's terms",
)
