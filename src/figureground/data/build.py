"""From the recipe's description of sources to sources that can be read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from figureground.data.sources import (
    CompositeSource,
    EmptySource,
    PairSource,
    Source,
    check_sizes,
    held_out,
    match_pairs,
    picture_files,
    split,
)
from figureground.data.specs import SourceSpec
from figureground.errors import DataError


def build_sources(specs: Sequence[SourceSpec], root: Path, *, leaves: int) -> tuple[list[Source], list[Source]]:
    """The training parts of all sources, and the held-out parts that are not empty.

    What one source holds out, no composite uses as a background, so that it stays unseen.

    Raises:
        DataError: as `build_source`.
    """
    held = [built for spec in specs if (built := build_source(spec, root, held=True, leaves=leaves))]
    unseen = {path for source in held if isinstance(source, EmptySource) for path in source.paths}
    training = [build_source(spec, root, held=False, leaves=leaves, without=unseen) for spec in specs]
    return [source for source in training if source], held


def build_source(
    spec: SourceSpec, root: Path, *, held: bool, leaves: int = 1, without: Collection[Path] = ()
) -> Source | None:
    """The training part of a source, or its held-out part; None where the held-out part is empty.

    Args:
        spec: the recipe's description.
        root: the folder that its paths start from.
        held: the held-out part rather than the training part.
        leaves: of the label tree; masks may hold no higher number.
        without: pictures that a composite must not use.

    Raises:
        DataError: a folder is missing or empty, a picture has no mask or one of another size, or nothing is left.
    """
    source: Source
    if spec.kind == "pairs":
        source = _pairs(spec, root, held, leaves)
    elif spec.kind == "empty":
        source = EmptySource(spec.name, split(picture_files(root / str(spec.images)), spec.hold_out, held=held))
    else:
        source = _composite(spec, root, held, without)
    if len(source) > 0:
        return source
    if held:
        return None
    raise DataError(f"source '{spec.name}' has nothing left to train on", remedy="lower its hold_out")


def _pairs(spec: SourceSpec, root: Path, held: bool, leaves: int) -> Source:
    if spec.any_value_is_leaf and leaves > 1:
        raise DataError(
            f"source '{spec.name}' takes any value as the only leaf, but the label tree has {leaves} leaves",
            remedy="set its any_value_is_leaf to false and number the leaves from 1 in the masks",
        )
    pairs = match_pairs(root / str(spec.images), root / str(spec.masks))
    kept = tuple(pair for pair in pairs if held_out(pair[0].stem, spec.hold_out) == held)
    check_sizes(kept)
    return PairSource(spec.name, kept, spec.any_value_is_leaf, leaves)


def _composite(spec: SourceSpec, root: Path, held: bool, without: Collection[Path]) -> Source:
    # Made-up pictures say little about real ones, so none are held out.
    people = () if held else tuple(picture_files(root / str(spec.people)))
    backgrounds = [path for folder in spec.backgrounds for path in picture_files(root / folder) if path not in without]
    if not backgrounds:
        raise DataError(f"source '{spec.name}' has no backgrounds that are not held out", remedy="lower the hold_out")
    return CompositeSource(spec.name, people, tuple(backgrounds))
