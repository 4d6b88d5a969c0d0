"""The steps of a search for the best combination of segmenters; `tuning` says in which order and why."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from figureground.evaluate.curves import THRESHOLDS, best_threshold
from figureground.evaluate.goals import Goal
from figureground.evaluate.mixing import Weights, greedy_selection, pattern_search
from figureground.evaluate.pairs import Pair
from figureground.evaluate.refining import Refinement, refined_scores
from figureground.evaluate.view_cache import Mixture, ViewCache
from figureground.runtime.ensemble import Ensemble, Mean
from figureground.runtime.predictor import describe
from figureground.runtime.segmenter import Segmenter
from figureground.runtime.views import views as views_of

Say = Callable[[str, int, int], None]
"""Told (what is being done, steps done, steps in all)."""

_MEANS: tuple[Mean, ...] = ("probability", "logit")
_PARTS = (0.35, 0.6, 1.0)
"""Parts of the budget for which views are selected, so that the front has something for those in a hurry."""
_LEFT_FOR_A_LOOK = (1.0, 0.5, 0.2)
"""Parts of the budget whose best mixtures are to look closer: people first takes about twice the time, tiles more."""
_LEFT_FOR_STEPS = (1.0, 0.5)
"""Parts of the budget whose best candidates are refined."""
_LEARNED = 3
"""Ensembles whose weights are learned: the best ones by equal or greedy weights."""
_ALL_SUBSETS = 4
"""Up to so many networks every subset of them is averaged; of more, pairs and all."""


@dataclass(frozen=True)
class Candidate:
    """A mixture and what is done to it, with its score at its best threshold and its estimated time for a photo.

    The score of one with steps is estimated too: steps that ask where the figure is went by the mixture's threshold.
    """

    mixture: Mixture
    steps: tuple[Refinement, ...]
    score: float
    threshold: float
    milliseconds: float


class Search:
    """Candidates made of the views of some networks, scored on photos with known masks.

    Args:
        networks: what the views are made of.
        pairs: photos and masks.
        folder: where answers are kept.
        goal: what is to be high.
        flip: whether mirror images are asked about.
        scales: of those networks that take several sizes.
        say: told how far it is.
    """

    def __init__(
        self,
        networks: Sequence[Segmenter],
        pairs: Sequence[Pair],
        folder: Path,
        *,
        goal: Goal,
        flip: bool,
        scales: tuple[float, ...],
        say: Say,
    ) -> None:
        self.candidates: dict[tuple[Mixture, tuple[Refinement, ...]], Candidate] = {}
        self._pairs, self._goal, self._say = pairs, goal, say
        self._views: list[Segmenter] = []
        self._groups: list[list[int]] = []
        self._turns = 2 if flip else 1
        for network in networks:
            possible = scales if network.fitting_size(64, 64) is not None else (1.0,)
            found = views_of(network, flip=flip, scales=possible)
            self._groups.append(list(range(len(self._views), len(self._views) + len(found))))
            self._views += found
        self._mirrored = {index for group in self._groups for index in group[1::2]} if flip else set()
        keys = [json.dumps(describe(view, Path()), sort_keys=True) for view in self._views]
        self._cache = ViewCache(self._views, keys, pairs, folder, goal)

    def fill(self) -> None:
        """Run every view on every photo."""
        self._cache.fill(lambda done, count: self._say("running the networks", done, count))

    def single_scores(self) -> None:
        """Score each view alone, but for mirrored ones: they are no better than plain ones, only luckier."""
        alone = [(index,) for group in self._groups for index in group[:: self._turns]]
        self._score(_mixtures(alone, len(self._views)))

    def combine(self, budget: float) -> None:
        """Score plain means, then select views and learn weights within `budget` milliseconds."""
        self._score(_mixtures(self._plain_sets(), len(self._views)))
        for mean in _MEANS:
            for part in _PARTS:
                greedy_selection(self._scores_of(mean), self._cost_of(mean), len(self._views), part * budget)
        starts: dict[tuple[tuple[int, ...], Mean], Mixture] = {}
        for found in self.within(budget):
            if len(found.mixture.used) > 1:
                # Other weights of the same views lead to the same place.
                starts.setdefault((found.mixture.used, found.mixture.mean), found.mixture)
        for mixture in list(starts.values())[:_LEARNED]:
            pattern_search(self._scores_of(mixture.mean), mixture.weights)

    def look_closer(self, menu: Mapping[str, Refinement], budget: float) -> None:
        """Try each closer look with the best candidate, and with the best that leave time for a second look."""
        for base in self._bases(_LEFT_FOR_A_LOOK, budget):
            self._refined(base, [(look,) for look in menu.values()])

    def refine(self, menu: Mapping[str, Refinement], budget: float) -> None:
        """Try each refinement of the best candidate and of the best for half the budget, then a second one on top."""
        for base in self._bases(_LEFT_FOR_STEPS, budget):
            best = base
            for _ in range(2):
                tried = [(*best.steps, step) for step in menu.values() if step not in best.steps]
                affordable = [found for found in self._refined(base, tried) if found.milliseconds <= budget]
                better = max(affordable, key=lambda found: found.score, default=best)
                if better.score <= best.score:
                    break
                best = better

    def _bases(self, parts: Sequence[float], budget: float) -> list[Candidate]:
        """The best candidate within each part of the budget, none of them twice."""
        found = [self.within(part * budget)[:1] for part in parts]
        return list(dict.fromkeys(one for best in found for one in best))

    def within(self, budget: float) -> list[Candidate]:
        """Candidates within the budget, the best first; of equal ones the quickest."""
        found = [one for one in self.candidates.values() if one.milliseconds <= budget]
        return sorted(found, key=lambda one: (-one.score, one.milliseconds))

    def singles(self, budget: float) -> list[Candidate]:
        """The networks alone that are within the budget, the best first."""
        firsts = {(group[0],) for group in self._groups}
        return [one for one in self.within(budget) if not one.steps and one.mixture.used in firsts]

    def built(self, candidate: Candidate) -> Segmenter:
        """The segmenter of a candidate, with its threshold."""
        segmenter = self._mixed(candidate.mixture, candidate.threshold)
        for step in candidate.steps:
            segmenter = step.wrap(segmenter)
        return segmenter.renamed(segmenter.name, candidate.threshold)

    def _mixed(self, mixture: Mixture, threshold: float) -> Segmenter:
        """The mean alone. Refinements that ask where the figure is take its threshold."""
        if len(mixture.used) == 1:
            view = self._views[mixture.used[0]]
            return view.renamed(view.name, threshold)
        members = [self._views[index] for index in mixture.used]
        shares = [round(mixture.weights[index] / sum(mixture.weights), 4) for index in mixture.used]
        name = " + ".join(f"{share:.2g} {member.name}" for share, member in zip(shares, members, strict=True))
        prefix = "logits of " if mixture.mean == "logit" else ""
        return Ensemble(members, shares, mean=mixture.mean, name=prefix + name, threshold=threshold)

    def _plain_sets(self) -> list[tuple[int, ...]]:
        """Views to average with equal weights: a network's turns, its scales, both; several networks."""
        sets: list[tuple[int, ...]] = []
        for group in self._groups:
            sets += [tuple(group[: self._turns]), tuple(group[:: self._turns]), tuple(group)]
        count = len(self._groups)
        for number in range(2, count + 1) if count <= _ALL_SUBSETS else (2, count):
            for chosen in combinations(self._groups, number):
                sets.append(tuple(group[0] for group in chosen))
                sets.append(tuple(index for group in chosen for index in group[: self._turns]))
        return sets

    def _score(self, mixtures: Iterable[Mixture]) -> list[Candidate]:
        wanted = list(mixtures)
        fresh = [mixture for mixture in dict.fromkeys(wanted) if (mixture, ()) not in self.candidates]
        if fresh:
            self._say(f"combining, {len(self.candidates) + len(fresh)} candidates", 1, 1)
            for mixture, tallies in zip(fresh, self._cache.tallies(fresh), strict=True):
                self._keep(mixture, (), tallies, self._cache.cost(mixture))
        return [self.candidates[mixture, ()] for mixture in wanted]

    def _refined(self, base: Candidate, tried: Sequence[tuple[Refinement, ...]]) -> list[Candidate]:
        if not tried:
            return []
        # Estimates: steps that ask where the figure is go by the threshold of `base` here, and by the one that is found
        # when they are built. To score them by that would take a second run over the photos; the front is measured as
        # it is built.
        counted = refined_scores(
            self._mixed(base.mixture, base.threshold),
            tried,
            self._pairs,
            self._goal,
            lambda done, count: self._say("refining", done, count),
        )
        plain = self._cache.cost(base.mixture)
        return [
            self._keep(base.mixture, steps, tallies, plain + extra)
            for steps, (tallies, extra) in zip(tried, counted, strict=True)
        ]

    def _keep(
        self, mixture: Mixture, steps: tuple[Refinement, ...], tallies: NDArray[Any], milliseconds: float
    ) -> Candidate:
        scores = self._goal.score(tallies)
        at = best_threshold(scores)
        found = Candidate(mixture, steps, float(scores[at]), float(THRESHOLDS[at]), milliseconds)
        self.candidates[mixture, steps] = found
        return found

    def _scores_of(self, mean: Mean) -> Callable[[Sequence[Weights]], list[float]]:
        return lambda many: [found.score for found in self._score(Mixture(weights, mean) for weights in many)]

    def _cost_of(self, mean: Mean) -> Callable[[Weights], float]:
        def cost(weights: Weights) -> float:
            mixture = Mixture(weights, mean)
            lone_mirror = len(mixture.used) == 1 and mixture.used[0] in self._mirrored
            return math.inf if lone_mirror else self._cache.cost(mixture)

        return cost


def _mixtures(sets: Iterable[tuple[int, ...]], views: int) -> list[Mixture]:
    """Equal weights for each set of views, as a mean of probabilities and, of several views, one of logits."""
    found = []
    for one in dict.fromkeys(tuple(sorted(set(one))) for one in sets):
        weights = tuple(float(index in one) for index in range(views))
        found += [Mixture(weights, mean) for mean in (_MEANS if len(one) > 1 else _MEANS[:1])]
    return found
