"""From the recipe's description of sources to sources that can be read."""

from __future__ import annotations

from pathlib import Path

from figureground.data.sources import (
    CompositeSource,
    EmptySource,
    PairSource,
    Source,
    held_out,
    match_pairs,
    picture_files,
    split,
)
from figureground.data.specs import SourceSpec
from figureground.errors import DataError


def build_source(spec: SourceSpec, root: Path, *, held: bool) -> Source | None:
    """The training part of a source, or its held-out part; None where that part is empty.

    Raises:
        DataError: a folder is missing or empty, or a picture has no mask.
    """
    builders = {"pairs": _pairs, "empty": _empty, "composite": _composite}
    source = builders[spec.kind](spec, root, held)
    if len(source) == 0:
        if held:
            return None
        raise DataError(f"source '{spec.name}' has nothing left to train on", remedy="lower its hold_out")
    return source


def _pairs(spec: SourceSpec, root: Path, held: bool) -> Source:
    pairs = match_pairs(root / str(spec.images), root / str(spec.masks))
    kept = tuple(pair for pair in pairs if held_out(pair[0].stem, spec.hold_out) == held)
    return PairSource(spec.name, kept, spec.any_value_is_leaf)


def _empty(spec: SourceSpec, root: Path, held: bool) -> Source:
    return EmptySource(spec.name, split(picture_files(root / str(spec.images)), spec.hold_out, held=held))


def _composite(spec: SourceSpec, root: Path, held: bool) -> Source:
    # Made-up pictures say little about real ones, so none are held out.
    people = () if held else tuple(picture_files(root / str(spec.people)))
    backgrounds = [path for folder in spec.backgrounds for path in picture_files(root / folder)]
    return CompositeSource(spec.name, people, tuple(backgrounds))
