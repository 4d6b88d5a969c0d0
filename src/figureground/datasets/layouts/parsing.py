"""Layouts of a folder of photos and a folder of index maps: faces, parts and clothes, or person and none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from figureground.datasets.layouts.item import (
    Choices,
    Item,
    Layout,
    Mask,
    any_value,
    folder_in,
    listed_stems,
    pairs,
    through,
    values_through,
)
from figureground.errors import DataError

__all__ = ["ATR", "CIHP", "EASYPORTRAIT", "LIP", "MIL", "PASCAL_ARRAYS", "PASCAL_PERSON_PART"]

_PASCAL = (0, 4, 2, 6, 1, 5, 3)
"""Head, torso, upper arm, lower arm, upper leg, lower leg, as the tree `pascal-person-part` numbers them."""


def _as_is(classes: int) -> range:
    return range(classes + 1)


def _easyportrait(root: Path, _: Choices) -> Sequence[Item]:
    photos, masks = folder_in(root, "images"), folder_in(root, "annotations")
    read = values_through(_as_is(8))
    splits = [name for name in ("train", "val", "test") if (photos / name).is_dir() and (masks / name).is_dir()]
    if not splits:
        raise DataError(f"neither train nor val nor test is in both {photos} and {masks}")
    return [item for split in splits for item in pairs(split, photos / split, masks / split, read)]


def _pascal_person_part(root: Path, _: Choices) -> Sequence[Item]:
    photos, masks = folder_in(root, "JPEGImages"), folder_in(root, "SegmentationPart")
    return _by_lists(root, lambda split, stems: pairs(split, photos, masks, values_through(_PASCAL), stems=stems))


def _pascal_arrays(root: Path, _: Choices) -> Sequence[Item]:
    photos, masks = folder_in(root, "JPEGImages"), folder_in(root, "gt_masks")
    return _by_lists(root, lambda split, stems: pairs(split, photos, masks, _array, stems=stems, suffix=".npy"))


def _array(path: Path) -> Mask:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is no array: {error}") from error
    if values.ndim != 2 or values.dtype.kind not in "iu":
        raise DataError(f"{path} holds {values.dtype} of shape {values.shape}, not whole numbers (H, W)")
    return through(values, _as_is(6), path)


def _by_lists(root: Path, items_of: Callable[[str, Sequence[str] | None], Iterable[Item]]) -> Sequence[Item]:
    found: list[Item] = []
    for split in ("train", "val", "test"):
        stems = listed_stems(root / "splits" / f"{split}_id.txt", root / f"{split}_id.txt")
        if stems is not None:
            found += items_of(split, stems)
    return found or list(items_of("", None))


def _lip(root: Path, _: Choices) -> Sequence[Item]:
    photos, masks = folder_in(root, "TrainVal_images"), folder_in(root, "TrainVal_parsing_annotations")
    found: list[Item] = []
    for split in ("train", "val"):
        place = photos / f"{split}_images"
        if place.is_dir():
            truths = folder_in(masks, f"{split}_segmentations")
            stems = listed_stems(root / f"{split}_id.txt", photos / f"{split}_id.txt")
            found += pairs(split, place, truths, values_through(_as_is(19)), stems=stems)
    return found


def _cihp(root: Path, _: Choices) -> Sequence[Item]:
    inner = root / "instance-level_human_parsing"
    base = inner if inner.is_dir() else root
    found: list[Item] = []
    # The labels of Testing were never published.
    for name, split in (("Training", "train"), ("Validation", "val")):
        if (base / name).is_dir():
            photos, masks = folder_in(base / name, "Images"), folder_in(base / name, "Category_ids")
            stems = listed_stems(base / name / f"{split}_id.txt")
            found += pairs(split, photos, masks, values_through(_as_is(19)), stems=stems)
    return found


def _atr(root: Path, _: Choices) -> Sequence[Item]:
    base = root / "humanparsing" if (root / "humanparsing").is_dir() else root
    photos, masks = folder_in(base, "JPEGImages"), folder_in(base, "SegmentationClassAug")
    return list(pairs("", photos, masks, values_through(_as_is(17))))


def _mil(root: Path, _: Choices) -> Sequence[Item]:
    base = root / "data" if (root / "data").is_dir() else root
    found: list[Item] = []
    for split in ("train", "valid"):
        if (base / split).is_dir():
            found += pairs(split, base / split, folder_in(base, f"{split}_mask"), any_value)
    return found


EASYPORTRAIT = Layout(
    "easyportrait",
    "images/{train,val,test}/*.jpg, annotations/{train,val,test}/*.png",
    "easyportrait",
    _easyportrait,
    "a variant of CC BY-SA 4.0",
)
PASCAL_PERSON_PART = Layout(
    "pascal-person-part",
    "JPEGImages/*.jpg, SegmentationPart/*.png, splits/{train,val}_id.txt",
    "pascal-person-part",
    _pascal_person_part,
    "photos of VOC: Flickr's terms",
)
PASCAL_ARRAYS = Layout(
    "pascal-person-part-npy",
    "JPEGImages/*.jpg, gt_masks/*.npy, {train,val,test}_id.txt",
    "pascal-person-part",
    _pascal_arrays,
    "photos of VOC: Flickr's terms",
)
LIP = Layout(
    "lip",
    "TrainVal_images/{train,val}_images, TrainVal_parsing_annotations/{train,val}_segmentations",
    "lip",
    _lip,
    "not commercial, research",
)
CIHP = Layout(
    "cihp",
    "instance-level_human_parsing/{Training,Validation}/{Images,Category_ids}",
    "cihp",
    _cihp,
    "not stated",
)
ATR = Layout("atr", "humanparsing/{JPEGImages,SegmentationClassAug}", "atr", _atr, "not stated")
MIL = Layout("mil", "train, train_mask, valid, valid_mask", None, _mil, "not stated")
