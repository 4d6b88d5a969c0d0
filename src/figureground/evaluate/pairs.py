"""Photos and the masks that belong to them, by file name.

    DIR/images/street/001.jpg   belongs to   DIR/masks/street/001.png

A mask is read for one question, person or not: any value but zero is person. So an index map of body parts
(`DIR/parts/`) is a mask as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from figureground.errors import DataError, suggest
from figureground.images import DEPTH_SUFFIXES, check_lossless, find_depth_map, is_image_path, read_stored
from figureground.runtime.depth_input import WithDepth

if TYPE_CHECKING:
    from figureground.runtime.segmenter import Segmenter

PART_MAPS = "parts"
"""Where index maps of body parts lie; taken when there is no folder of masks."""


class Pair(NamedTuple):
    """A photo and its truth. `stem` is the path below the folder without suffix; no `mask`: nobody is in it."""

    stem: str
    image: Path
    mask: Path | None
    depth: Path | None = None
    """Its depth map, for networks that look at one."""

    def seen_by(self, segmenter: Segmenter) -> Path | WithDepth:
        """What to give to `segmenter`: the photo, with its depth map where there is one and the network looks at it."""
        if self.depth is None or segmenter.depth_input is None:
            return self.image
        return WithDepth(self.image, self.depth)


def find_pairs(data_dir: str | Path, images: str = "images", masks: str = "masks") -> list[Pair]:
    """Every photo below `data_dir/images` with its mask, sorted by stem. Masks without a photo are passed over.

    Args:
        data_dir: folder that holds the two folders.
        images: name of the folder of photos.
        masks: name of the folder of masks; `parts` is taken where the default is not there.

    Raises:
        DataError: a folder is missing or without images, a photo has no mask, or two files share a stem.
    """
    root = Path(data_dir)
    image_dir = _folder(root, images)
    fall_back = masks == "masks" and not (root / masks).is_dir() and (root / PART_MAPS).is_dir()
    mask_dir = _folder(root, PART_MAPS if fall_back else masks)
    photos, truths = _by_stem(image_dir), _by_stem(mask_dir)
    missing = [stem for stem in photos if stem not in truths]
    if missing:
        raise DataError(
            f"no mask for {photos[missing[0]]}: there is no {mask_dir / missing[0]}.png "
            f"({len(missing)} of {len(photos)} photos lack one)",
            remedy="masks have the stem of their photo",
        )
    return [Pair(stem, photos[stem], check_lossless(truths[stem])) for stem in sorted(photos)]


def with_depth_maps(pairs: Sequence[Pair], folder: str | Path) -> list[Pair]:
    """The pairs with their depth maps, which lie in `folder` under the photos' stems.

    Raises:
        DataError: no such folder, or a photo without a map in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DataError(f"no such folder: {root}", remedy="give the folder of the depth maps")
    return [pair._replace(depth=_depth_map(root, pair)) for pair in pairs]


def _depth_map(folder: Path, pair: Pair) -> Path:
    found = find_depth_map(folder, pair.stem)
    if found is not None:
        return found
    raise DataError(
        f"no depth map for {pair.image}: there is no {folder / pair.stem}.png",
        remedy=f"maps have the stem of their photo and end in {', '.join(sorted(DEPTH_SUFFIXES))}",
    )


def find_photos_without_people(data_dir: str | Path, images: str = "images") -> list[Pair]:
    """Every photo in `data_dir/images`, or in `data_dir` itself without such a folder, as a scene without people.

    Raises:
        DataError: no such folder, no images in it, or two files share a stem.
    """
    root = Path(data_dir)
    photos = _by_stem(root / images if (root / images).is_dir() else _folder(root, "."))
    return [Pair(stem, photos[stem], None) for stem in sorted(photos)]


def read_mask(path: str | Path) -> NDArray[np.bool_]:
    """A mask file as bool (H, W): True where any colour channel, or the palette's index, is not zero.

    The file's own numbers count: no palette is looked up, so index 7 is person whatever colour it is drawn in. An
    alpha channel is passed over.

    Raises:
        ImageError: not an image, or a damaged one.
        DataError: the file cannot be opened.
    """
    values = read_stored(path)
    return np.asarray(values != 0 if values.ndim == 2 else (values != 0).any(axis=-1))


def read_parts(path: str | Path) -> NDArray[np.int64]:
    """An index map file as int64 (H, W): the file's own numbers, or the palette's indices.

    Raises:
        ImageError: not an image, or a damaged one.
        DataError: the file cannot be opened, or is a picture in colours.
    """
    values = read_stored(path)
    if values.ndim != 2:
        raise DataError(
            f"'{path}' is a picture in colours, not an index map", remedy="save the numbers of labels as a grey PNG"
        )
    return values.astype(np.int64)


def _folder(root: Path, name: str) -> Path:
    if not root.is_dir():
        raise DataError(f"no such folder: {root}", remedy="give a folder that holds images/ and masks/")
    folder = root / name
    if not folder.is_dir():
        present = sorted(path.name for path in root.iterdir() if path.is_dir())
        raise DataError(f"there is no folder '{name}' in {root}", remedy=suggest(name, present))
    return folder


def _by_stem(folder: Path) -> dict[str, Path]:
    """The images below `folder` by their path without suffix."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if not is_image_path(path) or path.name.startswith(".") or not path.is_file():
            continue
        stem = path.relative_to(folder).with_suffix("").as_posix()
        if stem in found:
            raise DataError(f"two images have the stem '{stem}': {found[stem]} and {path}", remedy="rename one of them")
        found[stem] = path
    if not found:
        raise DataError(f"no images in {folder}", remedy="it needs .jpg, .png or .webp files")
    return found
