"""Sources of pictures with depth: maps from files, from an estimator's cache, estimated anew, or unknown everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from figureground import images
from figureground.data.depth_specs import DepthSpec
from figureground.data.sources import EmptySource, PairSource, Sample, Source
from figureground.data.specs import SourceSpec
from figureground.depth.cache import DepthCache
from figureground.errors import DataError
from figureground.images import DEPTH_SUFFIXES, DepthValues

Depth = NDArray[np.float32]

_SHAPE_TOLERANCE = 0.02
"""How much the shape (width / height) of a map may differ from its picture's: sizes are rounded."""


class Maps(Protocol):
    """Where a source's depth comes from."""

    def __call__(self, index: int, sample: Sample) -> Depth:
        """Normalised depth (h, w) of any size for the sample of that number."""
        ...


@dataclass(frozen=True)
class DepthSource:
    """The samples of another source with their depth."""

    inner: Source
    maps: Maps

    @property
    def name(self) -> str:
        """The inner source's."""
        return self.inner.name

    def __len__(self) -> int:
        """How many samples there are."""
        return len(self.inner)

    def read(self, index: int, rng: np.random.Generator) -> Sample:
        """The inner source's sample, with depth."""
        sample = self.inner.read(index, rng)
        return replace(sample, depth=self.maps(index, sample))


@dataclass(frozen=True)
class FileMaps:
    """Maps in files, one for each sample."""

    paths: tuple[Path, ...]
    values: DepthValues

    def __call__(self, index: int, sample: Sample) -> Depth:
        """The file of that number, normalised."""
        return images.normalised_depth(images.read_depth(self.paths[index]), self.values)


@dataclass(frozen=True)
class KeptMaps:
    """Estimated maps of photos, from the cache."""

    photos: tuple[Path, ...]
    cache: DepthCache

    def __call__(self, index: int, sample: Sample) -> Depth:
        """What the cache has for the photo of that number, or computes for it."""
        return self.cache(self.photos[index])


@dataclass(frozen=True)
class FreshMaps:
    """Maps estimated anew each time, for pictures that are made up anew each time."""

    cache: DepthCache

    def __call__(self, index: int, sample: Sample) -> Depth:
        """What the estimator says about the picture, at the size at which it sees photos too."""
        picture = np.ascontiguousarray(sample.image)
        return self.cache.estimator(images.resize(picture, self.cache.fit(*picture.shape[:2])))


@dataclass(frozen=True)
class UnknownMaps:
    """No depth: 0, which stands for what is not known."""

    def __call__(self, index: int, sample: Sample) -> Depth:
        """One zero, which is resized to whatever is needed."""
        return np.zeros((1, 1), dtype=np.float32)


def source_with_depth(
    source: Source, spec: SourceSpec, depth: DepthSpec, root: Path, cache: DepthCache | None
) -> DepthSource:
    """`source` with the depth that the recipe says.

    Args:
        source: what was built from `spec`.
        spec: its description.
        depth: the recipe's section.
        root: the folder that paths start from.
        cache: of the estimator, where there is one.

    Raises:
        DataError: a photo without a depth map, or with one of another shape.
    """
    photos = photos_of(source)
    if spec.depth is False:
        return DepthSource(source, UnknownMaps())
    if cache is not None:
        return DepthSource(source, FreshMaps(cache) if photos is None else KeptMaps(photos, cache))
    if not isinstance(spec.depth, str) or photos is None:
        raise DataError(f"source '{spec.name}' has no depth maps", remedy=_REMEDY)
    return DepthSource(source, FileMaps(_matched(photos, root / spec.depth), depth.values))


_REMEDY = "name their folder in 'depth', set 'depth: false' where they are unknown, or give an estimator"


def photos_of(source: Source) -> tuple[Path, ...] | None:
    """The photo files of a source, one for each sample; None where pictures are made up."""
    if isinstance(source, PairSource):
        return tuple(photo for photo, _ in source.pairs)
    return source.paths if isinstance(source, EmptySource) else None


def unwrapped(source: Source) -> Source:
    """The source itself, without the depth that was added to it."""
    return source.inner if isinstance(source, DepthSource) else source


def _matched(photos: Sequence[Path], folder: Path) -> tuple[Path, ...]:
    """The depth map of each photo, by its stem."""
    if not folder.is_dir():
        raise DataError(f"no folder {folder}", remedy="check data.root and the source's depth")
    found = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in DEPTH_SUFFIXES}
    missing = [photo for photo in photos if photo.stem not in found]
    if missing:
        raise DataError(
            f"{len(missing)} photos have no depth map in {folder}, first {missing[0].name}",
            remedy=f"maps have the photo's stem and end in {', '.join(sorted(DEPTH_SUFFIXES))}",
        )
    for photo in photos:
        check_shape(found[photo.stem], images.depth_size(found[photo.stem]), images.size(photo))
    return tuple(found[photo.stem] for photo in photos)


def check_shape(path: Path, depth: tuple[int, int], picture: tuple[int, int]) -> None:
    """DataError for a map of another shape than its picture; it may have another size."""
    if abs(depth[1] / depth[0] / (picture[1] / picture[0]) - 1) > _SHAPE_TOLERANCE:
        raise DataError(
            f"{path} is {depth[1]}x{depth[0]}, its picture {picture[1]}x{picture[0]}: another shape",
            remedy="crop or turn the depth map as the picture",
        )
