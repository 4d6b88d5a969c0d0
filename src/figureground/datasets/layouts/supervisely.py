"""Projects of Supervisely: an annotation file for each photo, with polygons and packed bitmaps."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from figureground.datasets.layouts.item import Choices, Item, Layout, Mask
from figureground.errors import DataError, FiguregroundError
from figureground.images import is_image_path
from figureground.images.formats import decoding, open_header

__all__ = ["SUPERVISELY"]

_LARGEST_BITMAP = 1 << 26
_PERSON = "person"


def _supervisely(root: Path, _: Choices) -> Sequence[Item]:
    datasets = sorted(path.parent for path in root.glob("*/ann") if path.is_dir())
    if not datasets:
        raise DataError(f"no folder in {root} holds ann/ and img/", remedy="give the folder that holds meta.json")
    _check_meta(root / "meta.json")
    found = []
    for dataset in datasets:
        for photo in sorted(path for path in (dataset / "img").glob("*") if is_image_path(path)):
            notes = [dataset / "ann" / f"{photo.name}.json", dataset / "ann" / f"{photo.stem}.json"]
            file = next((note for note in notes if note.is_file()), None)
            if file is None:
                raise DataError(f"{photo} has no annotation: there is no {notes[0]}")
            name = f"{dataset.name}-{photo.stem}" if len(datasets) > 1 else photo.stem
            found.append(Item("", name, photo, partial(_mask, file)))
    return found


def _check_meta(file: Path) -> None:
    """DataError where the project has classes and none of them is a person."""
    if not file.is_file():
        return
    titles = [str(entry.get("title")) for entry in _load(file).get("classes", [])]
    if titles and not any(_is_person(title) for title in titles):
        raise DataError(
            f"{file} has no class of people, but {', '.join(titles[:8])}", remedy="their names start with 'person'"
        )


def _is_person(title: str) -> bool:
    return title.lower().startswith(_PERSON)


def _load(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{file} is no annotation of Supervisely")
    return content


def _mask(file: Path, size: tuple[int, int]) -> Mask:
    content = _load(file)
    mask = Image.new("L", (size[1], size[0]))
    try:
        said = content["size"]
        if (said["height"], said["width"]) != size:
            raise DataError(
                f"{file} is of a photo of {said['width']}x{said['height']}, its photo is {size[1]}x{size[0]}"
            )
        for entry in content["objects"]:
            if _is_person(str(entry["classTitle"])):
                _draw(mask, entry)
    except (KeyError, TypeError, ValueError, binascii.Error, zlib.error) as error:
        raise DataError(f"{file} is no annotation of Supervisely: {error!r}") from error
    except FiguregroundError as error:
        raise DataError(f"{file}: {error.message}", remedy=error.remedy) from error
    return np.array(mask, dtype=np.uint8)


def _draw(mask: Image.Image, entry: Mapping[str, Any]) -> None:
    if entry.get("bitmap"):
        _paste(mask, entry["bitmap"])
        return
    # Corners are pixels, which belong to the person: so Pillow draws them, and so does Supervisely.
    alone = Image.new("L", mask.size)
    pen = ImageDraw.Draw(alone)
    _fill(pen, entry["points"]["exterior"], 1)
    for hole in entry["points"].get("interior", []):
        _fill(pen, hole, 0)
    mask.paste(1, mask=alone.point(lambda value: 255 * value))


def _fill(pen: ImageDraw.ImageDraw, points: Sequence[Sequence[float]], value: int) -> None:
    corners = [(round(x), round(y)) for x, y in points]
    if len(corners) > 2:
        pen.polygon(corners, fill=value, outline=value)
    elif corners:
        pen.line([*corners, corners[0]], fill=value)


def _paste(mask: Image.Image, bitmap: Mapping[str, Any]) -> None:
    packed = zlib.decompressobj()
    data = packed.decompress(base64.b64decode(bitmap["data"]), _LARGEST_BITMAP)
    name = "a bitmap in it"
    opened = open_header(BytesIO(data), name)
    with decoding(name, opened.format or ""):
        picture = opened.convert("RGBA") if opened.has_transparency_data else opened.convert("L")
        band = picture.getchannel("A") if picture.mode == "RGBA" else picture
        inside = band.point(lambda value: 255 if value else 0)
    left, top = (int(place) for place in bitmap["origin"])
    mask.paste(1, (left, top), inside)


SUPERVISELY = Layout(
    "supervisely",
    "meta.json, DATASET/img/*, DATASET/ann/*.json",
    None,
    _supervisely,
    "Supervisely Person: academic, not commercial",
)
