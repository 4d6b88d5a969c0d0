"""An ensemble of bundles as one bundle: one ONNX graph that holds its networks and takes their mean.

What sees a photo at the sizing rule of one bundle can be joined: bundles with the same rule, their mirrored views, and
weighted means of them, one inside the other. Other scales, tiles, crops and refinements cannot. A network that is asked
for the photo and its mirror image runs once, on a batch of both, and its weights are in the file once.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from figureground import images
from figureground.errors import NetworkError
from figureground.export.joining import Joiner
from figureground.export.parity import TOLERANCE
from figureground.export.run import parity_pictures
from figureground.runtime.bundle import Bundle
from figureground.runtime.catalogue import load
from figureground.runtime.ensemble import Ensemble
from figureground.runtime.onnx_segmenter import OnnxSegmenter
from figureground.runtime.segmenter import Segmenter
from figureground.runtime.views import View

Pixels = NDArray[np.uint8]


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

    The bundle's `peak` is the weighted mean of the members': they drop unsure areas each on its own, the bundle drops
    them from the mean. Parity is measured without either.

    Raises:
        NetworkError: a member that cannot be joined, or the joined model does not compute what the ensemble does.
        DataError: no pictures in `photos`.
        OutputError: the bundle or the report cannot be written.
    """
    segmenter = predictor if isinstance(predictor, Segmenter) else load(predictor)
    members = _members(segmenter)
    model = joined(segmenter)
    sizing = members[0].bundle.sizing
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
    """The ONNX model, with a bundle's interface, of an ensemble of bundles of one sizing rule.

    Raises:
        NetworkError: a member that cannot be joined.
    """
    sizings = {one.bundle.sizing for one in _members(segmenter)}
    if len(sizings) > 1:
        areas = ", ".join(sorted(f"{sizing.area} px in multiples of {sizing.multiple}" for sizing in sizings))
        raise NetworkError(f"the members see photos at different sizes: {areas}", remedy="join bundles of one sizing")
    joiner = Joiner(segmenter.labels.flip_permutation())
    for one in _members(segmenter):
        joiner.ask(one.bundle.sha256, _mirrors(segmenter, one))
    for one in _members(segmenter):
        joiner.add(one.bundle.sha256, one.bundle.model_bytes)
    model = joiner.model(_emit(joiner, segmenter, mirrored=False))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _emit(joiner: Joiner, segmenter: Segmenter, *, mirrored: bool) -> str:
    """The name of the logits of `segmenter`, asked about the photo or its mirror image and turned back."""
    if isinstance(segmenter, OnnxSegmenter):
        return joiner.logits(segmenter.bundle.sha256, mirrored=mirrored)
    if isinstance(segmenter, View):
        return _emit(joiner, segmenter.inner, mirrored=mirrored != segmenter.mirrored)
    assert isinstance(segmenter, Ensemble)
    maps = [_emit(joiner, member, mirrored=mirrored) for member, _ in segmenter.asked]
    weights = [weight for _, weight in segmenter.asked]
    return joiner.mean_of_logits(maps, weights) if segmenter.mean == "logit" else joiner.mean(maps, weights)


def _members(segmenter: Segmenter) -> list[OnnxSegmenter]:
    """The bundles of an ensemble, each once."""
    if isinstance(segmenter, OnnxSegmenter) and segmenter.bundle.depth is None:
        return [segmenter]
    if isinstance(segmenter, View) and segmenter.scale == 1:
        return _members(segmenter.inner)
    if type(segmenter) is Ensemble:
        found = [one for member, _ in segmenter.asked for one in _members(member)]
        return list({one.bundle.sha256: one for one in found}.values())
    raise NetworkError(
        f"'{segmenter.name}' cannot be in one ONNX file",
        remedy="only bundles of one sizing that want no depth map, their mirrored views and means of these can; "
        "a predictor file takes it",
    )


def _mirrors(segmenter: Segmenter, wanted: OnnxSegmenter, *, mirrored: bool = False) -> set[bool]:
    """Whether `wanted` is asked about the photo (False), its mirror image (True), or both."""
    if isinstance(segmenter, OnnxSegmenter):
        return {mirrored} if segmenter.bundle.sha256 == wanted.bundle.sha256 else set()
    if isinstance(segmenter, View):
        return _mirrors(segmenter.inner, wanted, mirrored=mirrored != segmenter.mirrored)
    assert isinstance(segmenter, Ensemble)
    return set().union(*(_mirrors(member, wanted, mirrored=mirrored) for member, _ in segmenter.asked))


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
        return View(_without_peak(segmenter.inner), mirrored=segmenter.mirrored)
    assert isinstance(segmenter, Ensemble)
    return Ensemble([_without_peak(one) for one in segmenter.members], segmenter.weights, mean=segmenter.mean)


def _parity(segmenter: Segmenter, model: bytes, pictures: Sequence[Pixels]) -> dict[str, Any]:
    """The largest difference of a probability, and the share of pixels that went to another class."""
    members = _members(segmenter)
    bundle = dataclasses.replace(members[0].bundle, model_bytes=model, peak=0.0)
    one, many = OnnxSegmenter(bundle), _without_peak(segmenter)
    largest, changed, pixels = 0.0, 0, 0
    for picture in pictures:
        got, wanted = one.probabilities(picture), many.probabilities(picture)
        difference = np.abs(got - wanted)
        # NaN is no number that is small.
        largest = max(largest, float(np.where(np.isnan(difference), np.inf, difference).max()))
        changed += int((_classes(got) != _classes(wanted)).sum())
        pixels += picture.shape[0] * picture.shape[1]
    return {"pictures": len(pictures), "probability_max": largest, "pixels_changed": changed / pixels}


def _classes(leaves: NDArray[np.float32]) -> NDArray[np.intp]:
    return np.asarray(np.concatenate([1 - leaves.sum(axis=0, keepdims=True), leaves]).argmax(axis=0))
