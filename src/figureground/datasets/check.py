"""What is wrong with folders of photos and masks, before a training or an evaluation stumbles over it.

| kind | serious | what it is |
| --- | --- | --- |
| `unreadable` | yes | a photo or mask that cannot be read to its end |
| `no mask` | yes | a photo without a mask |
| `size` | yes | a mask of another size than its photo |
| `values` | yes | mask values that the label tree does not have; without a tree, a mask in colour |
| `lossy` | yes | a mask in a lossy format, in which zero is not exactly zero |
| `same name` | yes | two files of one stem in one folder |
| `duplicate` | between splits | files that are the same byte for byte |
| `near-duplicate` | between splits | photos that are the same picture to the eye, mirrored or not |
| `no photo` | no | a mask without a photo |
| `inner` | no | numbers of inner nodes of the tree: right for evaluation, but training on leaf numbers refuses them |
| `grey` | no | without a tree, and not in `parts/`: a mask with more than two values, all but 0 of which are figure |
| `empty`, `full` | no | a mask that is background, or figure, everywhere |
| `alpha` | no | a mask of one value whose alpha channel, which is passed over, is not of one value |
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground import images
from figureground.datasets.folders import PART_MAPS, Split, stem_below
from figureground.datasets.masks import has_shape_in_alpha, read_values
from figureground.datasets.similar import Looks, groups, look_at, similar
from figureground.errors import FiguregroundError
from figureground.images.formats import open_header
from figureground.labels import LabelTree

__all__ = ["Findings", "Problem", "check"]

IGNORE = 255
_LOOKED_AT = 64
"""Pixels on the short side of a photo that its hash is taken from; a JPEG is decoded no larger than needed."""
_THREADS = 2


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: its kind, whether numbers would be wrong because of it, the files and a sentence."""

    kind: str
    serious: bool
    files: tuple[str, ...]
    message: str


@dataclass(frozen=True)
class Findings:
    """What a check found.

    splits: photos and masks of each split, by name.
    problems: all of them, split by split, duplicates last.
    """

    splits: dict[str, dict[str, int]]
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing serious was found."""
        return not any(problem.serious for problem in self.problems)

    def counts(self) -> dict[str, int]:
        """How many problems of each kind there are, the most frequent first."""
        return dict(Counter(problem.kind for problem in self.problems).most_common())

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, ready for JSON."""
        problems = [asdict(problem) for problem in self.problems]
        return {"ok": self.ok, "splits": self.splits, "counts": self.counts(), "problems": problems}


@dataclass
class _Photo:
    """What was seen of one photo."""

    split: str
    path: Path
    digest: bytes = b""
    looks: Looks | None = None
    problems: list[Problem] = field(default_factory=list)


def check(
    splits: Sequence[Split],
    *,
    labels: LabelTree | None = None,
    distance: int = 8,
    progress: Callable[[], None] | None = None,
) -> Findings:
    """Read every photo and mask of `splits`, compare the photos of all of them, and say what is wrong.

    Args:
        splits: see `find_splits`.
        labels: the tree whose numbers the masks hold (255 is not counted); None: any value but 0 is figure.
        distance: places in which the hashes of near-duplicates differ at most, 0 to 32; see `similar`.
        progress: called after each photo and its mask.

    Raises:
        ArgumentError: the distance is out of range.
    """
    seen: list[_Photo] = []
    problems: list[Problem] = []
    counts: dict[str, dict[str, int]] = {}
    for split in splits:
        photos, masks = split.photo_files(), split.mask_files()
        counts[split.name] = {"photos": len(photos), "masks": len(masks)}
        problems += _names(split, photos, masks)
        by_stem = {stem_below(path, split.masks): path for path in masks} if split.masks else {}
        partners = [by_stem.get(stem_below(photo, split.photos)) for photo in photos]
        with ThreadPoolExecutor(_THREADS) as pool:
            for photo in pool.map(partial(_look, split.name, labels), photos, partners):
                seen.append(photo)
                problems += photo.problems
                if progress is not None:
                    progress()
    return Findings(counts, (*problems, *_twins(seen, distance)))


def _names(split: Split, photos: list[Path], masks: list[Path]) -> Iterator[Problem]:
    """What the names of the files tell."""
    photo_stems = {stem_below(path, split.photos) for path in photos}
    yield from _clashes(photos, split.photos)
    if split.masks is None:
        return
    yield from _clashes(masks, split.masks)
    mask_stems = {stem_below(path, split.masks) for path in masks}
    for path in photos:
        stem = stem_below(path, split.photos)
        if stem not in mask_stems:
            message = f"{path} has no mask; there is no {split.masks / stem}.png"
            yield Problem("no mask", True, (str(path),), message)
    for path in masks:
        if stem_below(path, split.masks) not in photo_stems:
            yield Problem("no photo", False, (str(path),), f"the mask {path} belongs to no photo")


def _clashes(paths: Iterable[Path], folder: Path) -> Iterator[Problem]:
    first: dict[str, Path] = {}
    for path in paths:
        other = first.setdefault(stem_below(path, folder), path)
        if other != path:
            yield Problem("same name", True, (str(other), str(path)), f"{other} and {path} have one name")


def _look(split: str, labels: LabelTree | None, path: Path, mask: Path | None) -> _Photo:
    photo = _Photo(split, path)
    size = None
    try:
        size = images.size(path)
        photo.looks = look_at(images.read(path, at_least=_LOOKED_AT))
        photo.digest = hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
    except (FiguregroundError, OSError) as error:
        photo.problems.append(Problem("unreadable", True, (str(path),), str(error)))
    if mask is not None:
        photo.problems += _look_at_mask(path, mask, size, labels)
    return photo


def _look_at_mask(photo: Path, mask: Path, size: tuple[int, int] | None, labels: LabelTree | None) -> Iterator[Problem]:
    files = (str(mask),)
    if images.is_lossy(mask):
        yield Problem("lossy", True, files, f"{mask} is in a lossy format; save masks as PNG")
        return
    try:
        values = read_values(mask)
    except FiguregroundError as error:
        yield Problem("values" if "colour" in str(error) else "unreadable", True, files, str(error))
        return
    if size is not None and values.shape != size:
        yield Problem("size", True, (str(photo), str(mask)), _misfit(photo, mask, values.shape, size))
    present = np.unique(values)
    figure = present[(present != 0) & ((labels is None) | (present != IGNORE))]
    if labels is not None:
        yield from _numbers(mask, figure, labels)
    # Index maps in `parts` have many values by right.
    if labels is None and figure.size > 1 and PART_MAPS not in mask.parts:
        shown = ", ".join(map(str, present[:6])) + (", ..." if len(present) > 6 else "")
        yield Problem("grey", False, files, f"{mask} has {len(present)} values ({shown}); all but 0 count as figure")
    if not figure.size:
        yield Problem("empty", False, files, f"{mask} is background everywhere")
    elif 0 not in present and (labels is None or IGNORE not in present):
        yield Problem("full", False, files, f"{mask} is figure everywhere")
    if present.size == 1 and has_shape_in_alpha(mask):
        message = f"{mask} is {present[0]} everywhere; its alpha channel is passed over, though it has a shape"
        yield Problem("alpha", False, files, message)


def _numbers(mask: Path, figure: NDArray[np.unsignedinteger[Any]], labels: LabelTree) -> Iterator[Problem]:
    """What is to say of the numbers of a mask, in ascending order and without background, in the light of a tree."""
    files = (str(mask),)
    odd = figure[figure > len(labels)]
    if odd.size:
        shown = ", ".join(map(str, odd))
        yield Problem("values", True, files, f"{mask} has {shown}, but the tree's numbers end at {len(labels)}")
    names = {value: name for name, value in labels.mask_values().items() if value > len(labels.leaves)}
    inner = ", ".join(f"{value} ({names[value]})" for value in figure.tolist() if value in names)
    if inner:
        message = f"{mask} has {inner}, of inner nodes; training with any_value_is_leaf: false refuses them"
        yield Problem("inner", False, files, message)


def _misfit(photo: Path, mask: Path, found: tuple[int, ...], size: tuple[int, int]) -> str:
    said = f"{mask} is {found[1]}x{found[0]}, its photo {size[1]}x{size[0]}"
    with open(photo, "rb") as file:
        stored = open_header(file, str(photo))
    is_turned = isinstance(stored, Image.Image) and (stored.height, stored.width) == found
    return f"{said}; the photo is turned by its EXIF orientation, save it upright" if is_turned else said


def _twins(photos: Sequence[_Photo], distance: int) -> Iterator[Problem]:
    first: dict[bytes, int] = {}
    same = [(first.setdefault(photo.digest, place), place) for place, photo in enumerate(photos) if photo.digest]
    for group in groups(len(photos), [pair for pair in same if pair[0] != pair[1]]):
        yield _twin("duplicate", "are one file", [photos[place] for place in group])
    alone = [photos[place] for place in first.values()]
    known = [photo for photo in alone if photo.looks is not None]
    for group in similar([photo.looks for photo in known if photo.looks is not None], distance=distance):
        yield _twin("near-duplicate", "look like one picture", [known[place] for place in group])


def _twin(kind: str, what: str, photos: Sequence[_Photo]) -> Problem:
    splits = list(dict.fromkeys(photo.split for photo in photos))
    paths = tuple(str(photo.path) for photo in photos)
    where = f", in the splits {', '.join(splits)}" if len(splits) > 1 else ""
    shown = ", ".join(paths[:4]) + (f" and {len(paths) - 4} more" if len(paths) > 4 else "")
    return Problem(kind, len(splits) > 1, paths, f"{shown} {what}{where}")
