"""The best segmenter that can be made of given ones within a time for each photo, chosen on photos with known masks.

The order of the search, each step with what the one before found:

1. every network, plain, mirrored and at each scale, runs once over the photos; its answers are kept (`ViewCache`);
2. single views, test-time augmentation, plain means of networks, greedy selection with replacement, and weights moved
   so that the metric itself rises (`mixing`): all from the kept answers, all at every threshold;
3. where asked for, closer looks (people first, tiles) with the best of those;
4. refinements of the best of those, each alone, then each on top of the best one;
5. the Pareto front, quality against milliseconds, is measured again as any segmenter is: from file to mask.

Who chooses on some photos is too pleased with the choice on those: measure the winner on others.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from figureground.checks import ArgumentError, require_in_range, require_whole
from figureground.errors import DataError
from figureground.evaluate.curves import bootstrap
from figureground.evaluate.goals import Goal, goal_of
from figureground.evaluate.pairs import Pair
from figureground.evaluate.parts import PartsReport
from figureground.evaluate.refining import Refinement
from figureground.evaluate.run import Report
from figureground.evaluate.search import Candidate, Say, Search
from figureground.images import make_folder
from figureground.labels import LabelTree
from figureground.runtime.ensemble import Ensemble
from figureground.runtime.predictor import describe
from figureground.runtime.segmenter import Segmenter

_MEASURED = 8
"""Points of the front that are measured again, at most."""


@dataclass(frozen=True)
class Choice:
    """One segmenter of the front, measured on the photos it was chosen on.

    Attributes:
        segmenter: with the threshold that suits it best.
        score: by the metric that was tuned for.
        interval: the middle 95 % of the score when the photos are drawn anew.
        milliseconds: mean for one photo, from file to mask.
        report: the whole evaluation; of parts where they were tuned for.
        counts: the pixels of each photo that the score is made of, (photos, ...).
    """

    segmenter: Segmenter
    score: float
    interval: tuple[float, float]
    milliseconds: float
    report: Report | PartsReport = field(repr=False)
    counts: NDArray[np.int64] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the report."""
        return {
            "name": self.segmenter.name,
            "threshold": self.segmenter.threshold,
            "score": self.score,
            "interval": list(self.interval),
            "milliseconds": self.milliseconds,
        }


@dataclass(frozen=True)
class Tuning:
    """What came out of a search.

    Attributes:
        winner: the best choice within the budget.
        front: the Pareto front by ascending milliseconds; the last may be beyond the budget.
        facts: how it was chosen, as plain values: what a predictor file keeps. `baseline` is the best network alone at
            its best threshold, `lead` the middle 95 % of the winner's lead over it.
    """

    winner: Choice
    front: tuple[Choice, ...]
    facts: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the facts, the winner and the front."""
        return {**self.facts, "winner": self.winner.to_dict(), "front": [choice.to_dict() for choice in self.front]}


def tune(
    networks: Sequence[Segmenter],
    pairs: Sequence[Pair],
    *,
    budget_ms: float = 100.0,
    metric: str = "dice_image_mean",
    flip: bool = True,
    scales: Sequence[float] = (1.0,),
    refinements: Mapping[str, Refinement] | None = None,
    closer: Mapping[str, Refinement] | None = None,
    labels: LabelTree | None = None,
    cache: Path | None = None,
    seed: int = 0,
    say: Say | None = None,
) -> Tuning:
    """Search for the best combination of `networks` that takes at most `budget_ms` for a photo.

    Args:
        networks: segmenters that `load` gave, or made of such, with one label tree, none of them twice. Of different
            ones with one name the second is called "name (2)" in what is told.
        pairs: photos and masks, or index maps for a metric of parts, to choose on; see `find_pairs`.
        budget_ms: milliseconds for one photo, from file to mask, on this machine as it is now; at most 1e9.
        metric: of person against background: `dice_image_mean`, `iou_image_mean`, `dice_dataset` or `iou_dataset`; of
            parts: `iou_leaves`, or `iou_level0` and so on from the roots down, the mean IoU over a level's labels.
        flip: whether mirror images may be asked about too.
        scales: at which scales those networks that take several sizes may be asked.
        refinements: what may be done after the mean, by name; nothing when None.
        closer: how the mean may look closer before it is refined, by name, see `closer_looks`; not at all when None.
        labels: for a metric of parts, the tree in whose numbers the truth is written; the networks' own when None.
        cache: folder that keeps the networks' answers for the next search; they are forgotten when None.
        seed: of the draws that the intervals come from, at least 0. The search itself draws nothing.
        say: told (what is being done, steps done, steps in all).

    Raises:
        ArgumentError: an option out of range, or a network given twice.
        NetworkError: a metric of parts for networks without.
        PredictorError: a network that a predictor file could not describe.
        DataError: no photos, a mask that cannot be used, which is told before any network runs, or no network within
            the budget.
        ImageError: a photo that cannot be read.
        OutputError: the cache cannot be written.
    """
    _check(networks, pairs, budget_ms, seed)
    networks = _told_apart(networks)
    goal = goal_of(metric, networks[0], labels)
    tell = say or _silent
    with ExitStack() as stack:
        folder = cache or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="figureground-tune-")))
        make_folder(folder)
        search = Search(networks, pairs, folder, goal=goal, flip=flip, scales=tuple(scales), say=tell)
        search.fill()
        single, baseline = _baseline(search, pairs, budget_ms, goal, seed)
        search.combine(budget_ms)
        search.look_closer(closer or {}, budget_ms)
        search.refine(refinements or {}, budget_ms)
    choices = [baseline]
    candidates = [one for one in _to_measure(list(search.candidates.values()), budget_ms) if one != single]
    for done, candidate in enumerate(candidates):
        tell("measuring the front", done, len(candidates))
        choices.append(_measured(search.built(candidate), pairs, goal, seed))
    winner = max((one for one in choices if one.milliseconds <= budget_ms), key=lambda one: one.score)
    facts = {
        "by": "figureground tune",
        "metric": metric,
        "score": winner.score,
        "interval": list(winner.interval),
        "milliseconds": winner.milliseconds,
        "budget_ms": budget_ms,
        "baseline": baseline.to_dict(),
        "lead": list(bootstrap(winner.counts, baseline.counts, goal.score, seed=seed)),
        "photos": len(pairs),
        "data": fingerprint(pairs),
        "networks": [network.name for network in networks],
        "flip": flip,
        "scales": list(scales),
        "refinements": list(refinements or {}),
        "closer": list(closer or {}),
        "candidates": len(search.candidates),
        "seed": seed,
    }
    return Tuning(winner, tuple(_front(choices)), facts)


def fingerprint(pairs: Sequence[Pair]) -> str:
    """One hash of all photos and masks: what they are called below their folders, and every byte in them."""
    digest = hashlib.sha256()
    for pair in sorted(pairs, key=lambda pair: pair.stem):
        digest.update(pair.stem.encode("utf-8", "surrogateescape"))
        for file in (pair.image, pair.mask):
            digest.update(hashlib.sha256(file.read_bytes() if file is not None else b"").digest())
    return digest.hexdigest()


class _Point(Protocol):
    """Anything with a score and a time."""

    @property
    def score(self) -> float: ...
    @property
    def milliseconds(self) -> float: ...


_P = TypeVar("_P", bound=_Point)


def _front(points: Sequence[_P]) -> list[_P]:
    """Those of which none is both as quick and better, by ascending milliseconds."""
    front: list[_P] = []
    for point in sorted(points, key=lambda one: (one.milliseconds, -one.score)):
        if not front or point.score > front[-1].score:
            front.append(point)
    return front


def _to_measure(candidates: Sequence[Candidate], budget: float) -> list[Candidate]:
    """The estimated front, thinned out: its best points within the budget, its quickest, and the best beyond it."""
    front = _front(candidates)
    within = [one for one in front if one.milliseconds <= budget]
    beyond = [one for one in front if one.milliseconds > budget]
    return [*within[:1], *within[1:][-(_MEASURED - 2) :], *beyond[-1:]]


def _measured(segmenter: Segmenter, pairs: Sequence[Pair], goal: Goal, seed: int) -> Choice:
    found = goal.measured(segmenter, pairs)
    interval = bootstrap(found.counts, None, goal.score, seed=seed)
    milliseconds = 1000 / found.report.summary["images_per_second"]
    return Choice(segmenter, float(goal.score(found.counts)), interval, milliseconds, found.report, found.counts)


def _baseline(search: Search, pairs: Sequence[Pair], budget: float, goal: Goal, seed: int) -> tuple[Candidate, Choice]:
    """The best network alone, measured; what follows has to beat it."""
    search.single_scores()
    for candidate in search.singles(budget):
        choice = _measured(search.built(candidate), pairs, goal, seed)
        if choice.milliseconds <= budget:
            return candidate, choice
    quickest = min(search.candidates.values(), key=lambda one: one.milliseconds)
    raise DataError(
        f"no network answers within {budget:g} ms: the quickest takes about {quickest.milliseconds:.0f} ms here",
        remedy="give a larger budget or a faster network, or try again when nothing else is running",
    )


def _check(networks: Sequence[Segmenter], pairs: Sequence[Pair], budget_ms: float, seed: int) -> None:
    require_in_range("budget_ms", budget_ms, 1e-3, 1e9)
    require_whole("seed", seed, 0)
    if not pairs:
        raise DataError("there is nothing to choose on: no photos", remedy="give a folder with images/ and masks/")
    if not networks:
        raise ArgumentError("there is nothing to choose from: no networks", remedy="give at least one")
    Ensemble(networks)  # raises where the label trees differ
    described = [_content(describe(network, Path())) for network in networks]
    for place, network in enumerate(networks):
        if described[place] in described[:place]:
            raise ArgumentError(f"the network '{network.name}' is given twice", remedy="give each only once")


def _content(node: Mapping[str, Any]) -> dict[str, Any]:
    """A described segmenter without the places of its bundles, which their hashes stand for."""
    told = {key: value for key, value in node.items() if key != "network"}
    if "of" in told:
        told["of"] = _content(told["of"])
    if "members" in told:
        told["members"] = [_content(one) for one in told["members"]]
    return told


def _told_apart(networks: Sequence[Segmenter]) -> list[Segmenter]:
    """The networks, with a number behind a name that an earlier one has."""
    found: list[Segmenter] = []
    for network in networks:
        names = {one.name for one in found}
        free = (f"{network.name} ({number})" for number in count(2))
        name = network.name if network.name not in names else next(one for one in free if one not in names)
        found.append(network if name == network.name else network.renamed(name, network.threshold))
    return found


def _silent(_what: str, _done: int, _count: int) -> None:
    """Nobody wants to know."""
