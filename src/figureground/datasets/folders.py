"""Where photos and masks lie: one split of a data set, or a folder of several.

    DIR/images/001.jpg, DIR/masks/001.png               one split
    DIR/train/images/..., DIR/valid/images/...          two
    DIR/001.jpg                                         photos without masks

Index maps may lie in `parts/` instead of `masks/`. Both folders are searched below too.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from figureground.errors import DataError, suggest
from figureground.images import is_image_path

__all__ = ["Split", "find_splits"]

PART_MAPS = "parts"
MASK_FOLDERS = ("masks", PART_MAPS)


@dataclass(frozen=True)
class Split:
    """One split of a data set.

    Attributes:
        name: what reports call it.
        photos: the folder of the photos.
        masks: the folder of the masks; None where there are photos only.
    """

    name: str
    photos: Path
    masks: Path | None

    def photo_files(self) -> list[Path]:
        """All photos, sorted; hidden files are passed over."""
        return _pictures(self.photos)

    def mask_files(self) -> list[Path]:
        """All masks, sorted."""
        return [] if self.masks is None else _pictures(self.masks)

    def pairs(self) -> list[tuple[Path, Path]]:
        """(photo, mask) of equal stem below their folders. What has no partner is passed over; `check` names it."""
        if self.masks is None:
            return []
        masks = {stem_below(path, self.masks): path for path in self.mask_files()}
        photos = [(path, masks.get(stem_below(path, self.photos))) for path in self.photo_files()]
        return [(photo, mask) for photo, mask in photos if mask is not None]


def find_splits(folders: Sequence[str | Path], *, images: str | None = None, masks: str | None = None) -> list[Split]:
    """The splits in folders; a folder without `images` may hold splits, or photos themselves.

    Args:
        folders: one or more.
        images: name of the folders of photos, which have to be there; `images`, or no such folder, when not given.
        masks: name of the folders of masks, which have to be there; `masks` or else `parts` when not given.

    Raises:
        DataError: no such folder, nothing in it, or not the folders that were named.
    """
    found: list[Split] = []
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise DataError(f"no such folder: {folder}", remedy="give a folder that holds images/ and masks/")
        found += _in_folder(folder, images, masks)
    names = [split.name for split in found]
    if len(set(names)) < len(names):
        found = [Split(str(split.photos.parent), split.photos, split.masks) for split in found]
    return found


def stem_below(path: Path, folder: Path) -> str:
    """The path below `folder` without its suffix: what a photo and its mask have in common."""
    return path.relative_to(folder).with_suffix("").as_posix()


def _in_folder(folder: Path, images: str | None, masks: str | None) -> list[Split]:
    name = "images" if images is None else images
    if (folder / name).is_dir():
        return [_split(folder, name, masks)]
    below = sorted(path for path in folder.iterdir() if (path / name).is_dir())
    if below:
        return [_split(path, name, masks) for path in below]
    # Whoever names a folder does not mean all the pictures around it, masks among them.
    is_named = images is not None or masks is not None
    if not is_named and _pictures(folder):
        return [Split(folder.resolve().name, folder, None)]
    present = sorted(path.name for path in folder.iterdir() if path.is_dir())
    what = f"there is no folder '{name}' in {folder}"
    raise DataError(what if is_named else f"{what}, and no photo", remedy=suggest(name, present))


def _split(folder: Path, images: str, masks: str | None) -> Split:
    names = MASK_FOLDERS if masks is None else (masks,)
    there = [folder / name for name in names if (folder / name).is_dir()]
    if masks is not None and not there:
        present = sorted(path.name for path in folder.iterdir() if path.is_dir())
        raise DataError(f"there is no folder '{masks}' in {folder}", remedy=suggest(masks, present))
    return Split(folder.resolve().name, folder / images, there[0] if there else None)


def _pictures(folder: Path) -> list[Path]:
    found = []
    for place, below, names in os.walk(folder):
        # Changing the list in place is how os.walk is told where not to go.
        below[:] = sorted(name for name in below if name[0] != ".")
        found += [Path(place, name) for name in sorted(names) if name[0] != "." and is_image_path(name)]
    return sorted(found)
