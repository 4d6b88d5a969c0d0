"""Sources of training pictures: folders of pairs, folders without people, and people pasted on backgrounds.

A source is a sequence of `Sample`s: an RGB picture and an index map of its leaves. Reading happens on access, so a
source holds paths only and is cheap to send to worker processes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground import images
from figureground.data.placing import Place
from figureground.errors import DataError
from figureground.losses import IGNORE

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Sample:
    """A picture (H, W, 3) uint8 and its target (H, W) uint8: 0 background, k + 1 leaf k, 255 not counted.

    `depth`, where the network sees it, is normalised float32 (h, w) of any size over the same view, 0 where unknown.
    """

    image: Pixels
    target: Pixels
    depth: NDArray[np.float32] | None = None


class Source(Protocol):
    """Samples by number. `rng` is for sources that make up a picture; the same state gives the same picture."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    def __len__(self) -> int:
        """How many different samples there are."""
        ...

    def read(self, index: int, rng: np.random.Generator) -> Sample:
        """The sample of that number."""
        ...


@dataclass(frozen=True)
class PairSource:
    """Pictures with a mask each, of the same stem.

    Attributes:
        name: what reports call it.
        pairs: (picture, mask) paths.
        value: what any non-zero mask value stands for, by `LabelTree.mask_values`; None where mask values are leaf
            numbers counted from 1, and 255 is not counted.
        leaves: of the label tree.
    """

    name: str
    pairs: tuple[tuple[Path, Path], ...]
    value: int | None = 1
    leaves: int = 1

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self.pairs)

    def read(self, index: int, rng: np.random.Generator) -> Sample:
        """Picture and mask of that number; DataError where the mask does not fit picture or labels."""
        image_path, mask_path = self.pairs[index]
        image = images.read(image_path)
        target = read_index_map(mask_path)
        if target.shape != image.shape[:2]:
            raise _misfit(mask_path, target.shape, image.shape)
        if self.value is not None:
            return Sample(image, np.where(target > 0, self.value, 0).astype(np.uint8))
        self._check_numbers(mask_path, target)
        return Sample(image, target.astype(np.uint8))

    def check_numbers(self, count: int = 2000) -> None:
        """DataError where a mask, or of more than `count` one of so many evenly spread, holds numbers of no leaf."""
        if self.value is None:
            for _, mask_path in self.pairs[:: -(-len(self.pairs) // count) or 1]:
                self._check_numbers(mask_path, read_index_map(mask_path))

    def shows_somebody(self) -> bool:
        """Whether any mask has a pixel of a leaf; they are read until one does."""
        for _, mask_path in self.pairs:
            values = read_index_map(mask_path)
            if ((values > 0) if self.value is not None else (values > 0) & (values != IGNORE)).any():
                return True
        return False

    def _check_numbers(self, mask_path: Path, target: NDArray[np.integer[Any]]) -> None:
        highest = int(target.max(initial=0, where=target != IGNORE))
        if highest > self.leaves:
            raise DataError(
                f"{mask_path} has the value {highest}, but the label tree has {self.leaves} leaves",
                remedy="masks hold 0 for background, leaf numbers from 1, or 255 for pixels that are not counted",
            )


@dataclass(frozen=True)
class EmptySource:
    """Pictures without people: the target is background everywhere."""

    name: str
    paths: tuple[Path, ...]

    def __len__(self) -> int:
        """How many pictures there are."""
        return len(self.paths)

    def read(self, index: int, rng: np.random.Generator) -> Sample:
        """The picture of that number with an empty target."""
        image = images.read(self.paths[index])
        return Sample(image, np.zeros(image.shape[:2], np.uint8))


@dataclass(frozen=True)
class CompositeSource:
    """Cut-out people (RGBA files) pasted on backgrounds: one to three of them, scaled, mirrored, sometimes cropped.

    Alpha of one half or more is person, `value` in the target. The background is drawn anew each time.
    """

    name: str
    people: tuple[Path, ...]
    backgrounds: tuple[Path, ...]
    value: int = 1

    def __len__(self) -> int:
        """How many cut-out people there are."""
        return len(self.people)

    def read(self, index: int, rng: np.random.Generator) -> Sample:
        """The person of that number, and perhaps others, on a random background."""
        background = images.read(self.backgrounds[rng.integers(len(self.backgrounds))])
        canvas = Image.fromarray(background)
        target = Image.new("L", canvas.size)
        chosen = [index, *rng.integers(len(self.people), size=int(rng.choice([0, 0, 1, 2])))]
        for person in chosen:
            _paste(canvas, target, _read_cutout(self.people[person]), rng)
        hard = np.where(np.asarray(target) >= 128, self.value, 0).astype(np.uint8)
        return Sample(np.asarray(canvas), hard)


def _read_cutout(path: Path) -> Image.Image:
    try:
        with Image.open(path) as opened:
            return opened.convert("RGBA")
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{path} cannot be read as a cut-out: {error}", remedy="save it again as a PNG") from error


def _paste(canvas: Image.Image, target: Image.Image, cutout: Image.Image, rng: np.random.Generator) -> None:
    place = Place.draw(canvas.size, cutout.size, rng)
    person = place.fitted(cutout, Image.Resampling.BILINEAR)
    alpha = person.getchannel("A")
    canvas.paste(person.convert("RGB"), (place.left, place.top), alpha)
    target.paste(255, (place.left, place.top), alpha)


def read_index_map(path: Path) -> NDArray[np.integer[Any]]:
    """The values of a mask file as they are stored, (H, W): of a palette file the indices, of one bit a pixel 0 or 255.

    Of a picture in colours, which can only say where somebody is, the highest value of the three.

    Raises:
        ImageError: not an image, or a damaged one.
        DataError: the file cannot be opened, or holds fractions.
    """
    stored = images.read_stored(path)
    values = stored if stored.ndim == 2 else stored.max(axis=-1)
    if values.dtype.kind == "f":
        raise DataError(f"{path} holds numbers that are no labels", remedy="save it as an 8-bit PNG")
    return values * np.uint8(255) if values.dtype == bool else values


def held_out(stem: str, share: float) -> bool:
    """Whether a file belongs to the held-out share: decided by its name alone, so it never changes sides."""
    return _lot(stem) < share * 10_000


def in_fold(stem: str, fold: int, count: int) -> bool:
    """Whether a file belongs to one of `count` folds, numbered from 0: decided by its name alone."""
    return _lot(stem) * count // 10_000 == fold


def _lot(stem: str) -> int:
    """A number from 0 to 9999 that a name draws, also one that is not valid UTF-8."""
    return zlib.crc32(stem.encode(errors="surrogateescape")) % 10_000


def picture_files(folder: Path) -> list[Path]:
    """The pictures directly in a folder, sorted by name; DataError where there are none."""
    if not folder.is_dir():
        raise DataError(f"no folder {folder}", remedy="check data.root and the paths of the recipe")
    # Names that start with a dot are what file managers leave behind.
    found = sorted(path for path in folder.iterdir() if images.is_image_path(path) and path.name[0] != ".")
    if not found:
        raise DataError(f"no pictures in {folder}", remedy="check the path")
    return found


def match_pairs(images_folder: Path, masks_folder: Path) -> list[tuple[Path, Path]]:
    """(picture, mask) paths of equal stems.

    Raises:
        DataError: a picture has no mask or a lossy one, or two pictures or two masks share a stem.
    """
    masks, by_stem = _by_stem(masks_folder), _by_stem(images_folder)
    pictures = list(by_stem.values())
    missing = [path for path in pictures if path.stem not in masks]
    if missing:
        raise DataError(
            f"{len(missing)} pictures in {images_folder} have no mask in {masks_folder}, first {missing[0].name}",
            remedy="add the masks or move the pictures away",
        )
    return [(path, images.check_lossless(masks[path.stem])) for path in pictures]


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in picture_files(folder):
        if found.setdefault(path.stem, path) != path:
            raise DataError(f"{found[path.stem]} and {path} have one stem", remedy="rename one of them")
    return found


def check_sizes(pairs: Sequence[tuple[Path, Path]]) -> None:
    """DataError for the first mask that is not as large as its picture, from the files' headers alone.

    Reading a pair checks this too; done for all before training starts, it does not end a training at night.
    """
    for image_path, mask_path in pairs:
        picture = images.size(image_path)
        try:
            with Image.open(mask_path) as opened:
                mask = (opened.height, opened.width)
        except (OSError, ValueError, SyntaxError) as error:
            raise DataError(f"{mask_path} cannot be read as a mask: {error}", remedy="save it again") from error
        if picture != mask:
            raise _misfit(mask_path, mask, picture)


def _misfit(path: Path, mask: Sequence[int], picture: Sequence[int]) -> DataError:
    return DataError(
        f"{path} is {mask[1]}x{mask[0]}, its picture {picture[1]}x{picture[0]}",
        remedy="make the mask as large as the picture",
    )


def split(items: Sequence[Path], is_held: Callable[[str], bool], *, held: bool) -> tuple[Path, ...]:
    """The held-out part of `items`, or the rest; `is_held` decides by the stem."""
    return tuple(item for item in items if is_held(item.stem) == held)
