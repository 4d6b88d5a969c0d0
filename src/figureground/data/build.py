"""From the recipe's description of sources to sources that can be read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path

from figureground.data.sources import (
    CompositeSource,
    EmptySource,
    PairSource,
    Source,
    check_sizes,
    held_out,
    in_fold,
    match_pairs,
    picture_files,
    split,
)
from figureground.data.specs import Folds, SourceSpec
from figureground.errors import DataError, within
from figureground.labels import LabelTree


def build_sources(
    specs: Sequence[SourceSpec], root: Path, *, labels: LabelTree, folds: Folds | None = None
) -> tuple[list[Source], list[Source]]:
    """The training parts of all sources, and the held-out parts that are not empty.

    What one source holds out, no composite uses as a background, so that it stays unseen. With `folds` the sources
    that hold something out hold out that fold.

    Raises:
        DataError: as `build_source`.
    """
    held, training = [], []
    for number, spec in enumerate(specs):
        with within(f"data.sources.{number}"):
            built = build_source(spec, root, held=True, labels=labels, folds=folds)
        held += [built] if built else []
    unseen = {path for source in held if isinstance(source, EmptySource) for path in source.paths}
    for number, spec in enumerate(specs):
        with within(f"data.sources.{number}"):
            built = build_source(spec, root, held=False, labels=labels, without=unseen, folds=folds)
        training += [built] if built else []
    return training, held


def build_source(
    spec: SourceSpec,
    root: Path,
    *,
    held: bool,
    labels: LabelTree,
    without: Collection[Path] = (),
    folds: Folds | None = None,
) -> Source | None:
    """The training part of a source, or its held-out part; None where the held-out part is empty.

    Args:
        spec: the recipe's description.
        root: the folder that its paths start from.
        held: the held-out part rather than the training part.
        labels: the label tree; masks may hold no higher number than it has leaves.
        without: pictures that a composite must not use.
        folds: the fold to hold out instead of the description's share, where that is above 0.

    Raises:
        DataError: a folder is missing or empty, a picture has no mask or one of another size, a mask has numbers that
            the tree does not have (of more than 2000 masks so many are looked at), all masks are empty, or nothing is
            left.
        LabelError: `any_value_is` names a label that the tree does not have.
    """
    source: Source
    if spec.kind == "pairs":
        source = _pairs(spec, root, held, labels, _decider(spec, folds))
    elif spec.kind == "empty":
        source = EmptySource(spec.name, split(picture_files(root / str(spec.images)), _decider(spec, folds), held=held))
    else:
        source = _composite(spec, root, held, labels, without)
    if len(source) > 0:
        return source
    if held:
        return None
    raise DataError(f"source '{spec.name}' has nothing left to train on", remedy="lower its hold_out")


def _decider(spec: SourceSpec, folds: Folds | None) -> Callable[[str], bool]:
    """Whether the file of a stem is held out."""
    if folds is not None and spec.hold_out > 0:
        return partial(in_fold, fold=folds.fold, count=folds.count)
    return partial(held_out, share=spec.hold_out)


def _pairs(spec: SourceSpec, root: Path, held: bool, labels: LabelTree, is_held: Callable[[str], bool]) -> Source:
    value = _meant(spec, labels)
    pairs = match_pairs(root / str(spec.images), root / str(spec.masks))
    kept = tuple(pair for pair in pairs if is_held(pair[0].stem) == held)
    check_sizes(kept)
    source = PairSource(spec.name, kept, value, len(labels.leaves))
    source.check_numbers()
    if kept and not held and not source.shows_somebody():
        raise DataError(
            f"source '{spec.name}': none of its {len(kept)} masks shows anybody",
            remedy="write kind: empty where nobody is in the photos; with any_value_is_leaf: false, 255 is not counted "
            "and leaves are numbered from 1",
        )
    return source


def _meant(spec: SourceSpec, labels: LabelTree) -> int | None:
    """The number of the label that any non-zero mask value stands for; None where the masks hold leaf numbers."""
    if spec.any_value_is is not None:
        labels.index(spec.any_value_is)
        return labels.mask_values()[spec.any_value_is]
    if not spec.any_value_is_leaf:
        return None
    if len(labels.leaves) > 1:
        raise DataError(
            f"source '{spec.name}' takes any value as the only leaf, "
            f"but the label tree has {len(labels.leaves)} leaves",
            remedy="set any_value_is to the label that is meant, or any_value_is_leaf to false and number the leaves "
            "from 1 in the masks",
        )
    return 1


def _composite(spec: SourceSpec, root: Path, held: bool, labels: LabelTree, without: Collection[Path]) -> Source:
    # Made-up pictures say little about real ones, so none are held out.
    value = _meant(spec, labels)
    if value is None:
        raise DataError(f"source '{spec.name}' pastes people without parts", remedy="set any_value_is to their label")
    people = () if held else tuple(picture_files(root / str(spec.people)))
    backgrounds = [path for folder in spec.backgrounds for path in picture_files(root / folder) if path not in without]
    if not backgrounds:
        raise DataError(f"source '{spec.name}' has no backgrounds that are not held out", remedy="lower the hold_out")
    return CompositeSource(spec.name, people, tuple(backgrounds), value)
