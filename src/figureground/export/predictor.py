"""An ensemble of bundles as one bundle: one ONNX graph that holds its networks and takes their mean.

Bundles, their mirrored and scaled views, and weighted means of them can be joined, one inside the other. Tiles, crops
and refinements cannot. A network that is asked for the photo and its mirror image runs once, on a batch of both, and
its weights are in the file once, whatever it is asked for. Where not all see a photo at one size, the bundle is given a
larger one, and the graph resizes it for each and brings the maps to the largest of their sizes, as `Ensemble` does.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from figureground import images
from figureground.errors import NetworkError
from figureground.export.joining import Joiner
from figureground.export.parity import TOLERANCE
from figureground.export.resampling import network_size, resized_picture
from figureground.export.run import parity_pictures
from figureground.runtime.bundle import Bundle
from figureground.runtime.catalogue import load
from figureground.runtime.ensemble import Ensemble
from figureground.runtime.onnx_segmenter import OnnxSegmenter
from figureground.runtime.segmenter import Segmenter
from figureground.runtime.sizing import Sizing
from figureground.runtime.views import View

Pixels = NDArray[np.uint8]

_ROOM = 1.5
"""Sides of the photo that a resizing model is given, relative to what its largest member sees."""


def export_predictor(
    predictor: Path | Segmenter,
    output: Path,
    *,
    name: str | None = None,
    report: Path | None = None,
    card: Mapping[str, Any] | None = None,
    threshold: float | None = None,
    photos: Path | None = None,
) -> Bundle:
    """Export an ensemble to a bundle file.

    Args:
        predictor: a predictor file, or a segmenter made of bundles.
        output: the bundle to write.
        name: of the network; the predictor's by default.
        report: where to write the parity report as JSON.
        card: what people should know; the cards of the members are under `members` in any case.
        threshold: probability from which a pixel is in the mask; the predictor's by default.
        photos: folder of pictures to measure parity on; the bundled photo and noise by default.

    The bundle's `peak` is the weighted mean of the members': it drops unsure areas from the mean. An ensemble of logits
    does so too; in one of probabilities the members drop them each on its own. Parity is measured without either.

    Raises:
        NetworkError: a member that cannot be joined, or the joined model does not compute what the ensemble does.
        DataError: no pictures in `photos`.
        OutputError: the bundle or the report cannot be written.
    """
    segmenter = predictor if isinstance(predictor, Segmenter) else load(predictor)
    members = _members(segmenter)
    model = joined(segmenter)
    sizing = _sizing(segmenter)
    found = _parity(segmenter, model, parity_pictures(photos, sizing))
    if not found["probability_max"] <= TOLERANCE:
        raise NetworkError(
            f"the joined model differs from the ensemble by {found['probability_max']:.1e} in a probability",
            remedy=f"at most {TOLERANCE:.0e} is allowed; nothing was written",
        )
    facts = {
        "description": f"{segmenter.name}, in one file",
        "members": [{"name": one.bundle.name, "sha256": one.bundle.sha256, "card": one.bundle.card} for one in members],
        "parity": {"joined": found},
        **(card or {}),
    }
    bundle = Bundle.create(
        model,
        name=name or segmenter.name,
        labels=segmenter.labels,
        sizing=sizing,
        threshold=segmenter.threshold if threshold is None else threshold,
        peak=_peak(segmenter),
        card=facts,
    )
    bundle.save(output)
    if report is not None:
        images.write_bytes(json.dumps(facts["parity"], indent=1).encode() + b"\n", report)
    return bundle


def joined(segmenter: Segmenter) -> bytes:
    """The ONNX model, with a bundle's interface, of bundles, their views and means of these.

    Raises:
        NetworkError: a member that cannot be joined.
    """
    asked: dict[_Run, tuple[OnnxSegmenter, set[bool]]] = {}
    for run, network, mirrored in _runs(segmenter):
        asked.setdefault(run, (network, set()))[1].add(mirrored)
    joiner = Joiner(segmenter.labels.flip_permutation())
    pictures: dict[tuple[Sizing, tuple[float, ...]], str] = {}
    for run, (network, turns) in asked.items():
        seen = (network.bundle.sizing, run.scales)
        if seen not in pictures:
            pictures[seen] = "image" if not _resizes(segmenter) else _resized(joiner, *seen)
        joiner.add(run, network.bundle.model_bytes, turns, pictures[seen])
    model = joiner.model(_emit(joiner, segmenter, (), _resizes(segmenter), mirrored=False))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


class _Run(NamedTuple):
    """A bundle at the scales of the views around it, the innermost first."""

    sha256: str
    scales: tuple[float, ...]


def _resized(joiner: Joiner, sizing: Sizing, scales: tuple[float, ...]) -> str:
    return resized_picture(joiner, "image", network_size(joiner, "image", sizing, scales))


def _resizes(segmenter: Segmenter) -> bool:
    """Whether its members see photos at different sizes, or at another than their bundle's."""
    seen = {(network.bundle.sizing, run.scales) for run, network, _ in _runs(segmenter)}
    return len(seen) > 1 or any(scales for _, scales in seen)


def _sizing(segmenter: Segmenter) -> Sizing:
    """The rule for the photo that the joined model is given: the members' own, or one that is large enough for all."""
    rules = [(network.bundle.sizing, run.scales) for run, network, _ in _runs(segmenter)]
    if not _resizes(segmenter):
        return rules[0][0]
    area = max(sizing.area * math.prod(scales) ** 2 for sizing, scales in rules)
    aspect = max(sizing.max_aspect for sizing, _ in rules)
    return Sizing(area=round(area * _ROOM**2), multiple=1, max_aspect=aspect)


def _emit(joiner: Joiner, segmenter: Segmenter, scales: tuple[float, ...], resizes: bool, *, mirrored: bool) -> str:
    """The name of the logits of `segmenter`, asked about the photo or its mirror image and turned back."""
    if isinstance(segmenter, OnnxSegmenter):
        return joiner.logits(_Run(segmenter.bundle.sha256, scales), mirrored=mirrored)
    if isinstance(segmenter, View):
        return _emit(
            joiner, segmenter.inner, _around(segmenter, scales), resizes, mirrored=mirrored != segmenter.mirrored
        )
    assert isinstance(segmenter, Ensemble)
    maps = [_emit(joiner, member, scales, resizes, mirrored=mirrored) for member, _ in segmenter.asked]
    weights = [weight for _, weight in segmenter.asked]
    logit = segmenter.mean == "logit"
    if resizes and len(maps) > 1:
        size = joiner.largest_size(maps)
        enlarged = joiner.enlarged_logits if logit else joiner.enlarged_probabilities
        maps = [enlarged(one, size) for one in maps]
    return joiner.mean_of_logits(maps, weights) if logit else joiner.mean(maps, weights)


def _around(view: View, scales: tuple[float, ...]) -> tuple[float, ...]:
    return scales if view.scale == 1 else (view.scale, *scales)


def _runs(
    segmenter: Segmenter, scales: tuple[float, ...] = (), *, mirrored: bool = False
) -> Iterator[tuple[_Run, OnnxSegmenter, bool]]:
    """Every run of a bundle, the bundle, and whether it is about the mirror image."""
    if isinstance(segmenter, OnnxSegmenter) and segmenter.bundle.depth is None:
        yield _Run(segmenter.bundle.sha256, scales), segmenter, mirrored
    elif isinstance(segmenter, View):
        yield from _runs(segmenter.inner, _around(segmenter, scales), mirrored=mirrored != segmenter.mirrored)
    elif type(segmenter) is Ensemble:
        for member, _ in segmenter.asked:
            yield from _runs(member, scales, mirrored=mirrored)
    else:
        raise NetworkError(
            f"'{segmenter.name}' cannot be in one ONNX file",
            remedy="only bundles that want no depth map, their views and means of these can; a predictor file takes it",
        )


def _members(segmenter: Segmenter) -> list[OnnxSegmenter]:
    """The bundles of an ensemble, each once."""
    return list({network.bundle.sha256: network for _, network, _ in _runs(segmenter)}.values())


def _peak(segmenter: Segmenter) -> float:
    if isinstance(segmenter, OnnxSegmenter):
        return segmenter.bundle.peak
    if isinstance(segmenter, View):
        return _peak(segmenter.inner)
    assert isinstance(segmenter, Ensemble)
    return sum(weight * _peak(member) for member, weight in segmenter.asked)


def _without_peak(segmenter: Segmenter) -> Segmenter:
    if isinstance(segmenter, OnnxSegmenter):
        return OnnxSegmenter(dataclasses.replace(segmenter.bundle, peak=0.0))
    if isinstance(segmenter, View):
        return View(_without_peak(segmenter.inner), scale=segmenter.scale, mirrored=segmenter.mirrored)
    assert isinstance(segmenter, Ensemble)
    return Ensemble([_without_peak(one) for one in segmenter.members], segmenter.weights, mean=segmenter.mean)


def _parity(segmenter: Segmenter, model: bytes, pictures: Sequence[Pixels]) -> dict[str, Any]:
    """The largest difference of a probability, and the share of pixels that went to another class."""
    members = _members(segmenter)
    bundle = dataclasses.replace(members[0].bundle, model_bytes=model, sizing=_sizing(segmenter), peak=0.0)
    # An ensemble of one resizes the picture to what the one asks for.
    one, many = OnnxSegmenter(bundle), Ensemble([_without_peak(segmenter)])
    largest, changed, pixels = 0.0, 0, 0
    for picture in pictures:
        got, wanted = one.probabilities(picture), many.probabilities(picture)
        difference = np.abs(got - wanted)
        # NaN is no number that is small.
        largest = max(largest, float(np.where(np.isnan(difference), np.inf, difference).max()))
        changed += int((_classes(got) != _classes(wanted)).sum())
        pixels += got[0].size
    return {"pictures": len(pictures), "probability_max": largest, "pixels_changed": changed / pixels}


def _classes(leaves: NDArray[np.float32]) -> NDArray[np.intp]:
    return np.asarray(np.concatenate([1 - leaves.sum(axis=0, keepdims=True), leaves]).argmax(axis=0))
