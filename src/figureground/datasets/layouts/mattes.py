"""Layouts whose masks are opacities: a person is where the opacity is more than one half."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from figureground.datasets.layouts.item import Choices, Item, Layout, Mask, folder_in, pairs
from figureground.datasets.masks import read_values
from figureground.errors import DataError
from figureground.images import is_image_path
from figureground.images.formats import decoding, open_header

__all__ = ["AISEGMENT", "P3M"]

_HALF = 127
_P3M = (
    ("train", "train", "blurred_image"),
    ("blurred", "validation/P3M-500-P", "blurred_image"),
    ("original", "validation/P3M-500-NP", "original_image"),
)
"""Split, its folder, and the folder of its photos."""


def _p3m(root: Path, _: Choices) -> Sequence[Item]:
    found: list[Item] = []
    for split, place, photos in _P3M:
        if (root / place).is_dir():
            masks = folder_in(root / place, "mask")
            found += pairs(split, folder_in(root / place, photos), masks, _from_grey)
    return found


def _from_grey(path: Path) -> Mask:
    return (read_values(path) > _HALF).astype(np.uint8)


def _aisegment(root: Path, _: Choices) -> Sequence[Item]:
    photos, mattes = folder_in(root, "clip_img"), folder_in(root, "matting")
    found = []
    for photo in sorted(photos.glob("*/clip_*/*")):
        # The archive holds resource forks of macOS, ._name.jpg, which are no photos.
        if not is_image_path(photo) or photo.name[0] == ".":
            continue
        group, clip = photo.parent.parent.name, photo.parent.name
        matte = mattes / group / clip.replace("clip_", "matting_", 1) / f"{photo.stem}.png"
        if not matte.is_file():
            raise DataError(f"{photo} has no matte: there is no {matte}", remedy="unpack both archives")
        found.append(Item("", photo.stem, photo, partial(_from_alpha, matte)))
    return found


def _from_alpha(path: Path, _size: tuple[int, int]) -> Mask:
    name = f"the matte '{path}'"
    with open(path, "rb") as file:
        opened = open_header(file, name)
        with decoding(name, opened.format or ""):
            alpha = np.asarray(opened.getchannel("A") if "A" in opened.getbands() else _no_alpha(opened, path))
    return (alpha > _HALF).astype(np.uint8)


def _no_alpha(opened: Image.Image, path: Path) -> Image.Image:
    raise DataError(f"{path} is {opened.mode}, without an alpha channel", remedy="take the RGBA files of matting/")


P3M = Layout(
    "p3m",
    "train/{blurred_image,mask}, validation/{P3M-500-P/{blurred_image,mask},P3M-500-NP/{original_image,mask}}",
    None,
    _p3m,
    "an agreement like MIT's",
)
AISEGMENT = Layout(
    "aisegment",
    "clip_img/GROUP/clip_*/*.jpg, matting/GROUP/matting_*/*.png (RGBA)",
    None,
    _aisegment,
    "MIT as published; upstream says research",
)
