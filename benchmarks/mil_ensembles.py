"""What each step beyond a single network brings on the MIL photos, with milliseconds and 95 % intervals.

DATA holds `train/` and `valid/`, each with `images/` and `masks/`. Thresholds, weights and refinements are chosen on
the photos of `train/` that the shipped networks' trainings kept away from themselves, and everything is measured on
`valid/`, on which nothing is chosen. Each refinement stands on its own after the first network, then several together;
the dense CRF at the network's full size takes a second or more for each photo. The published numbers on these photos
are 0.9594 mean Dice for the best single network and 0.9661 for four networks with post-processing.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground import Ensemble, Segmenter, augmented, load, save_predictor
from figureground.data.sources import held_out
from figureground.evaluate import REFINEMENTS, Pair, Refinement, Report, evaluate, find_pairs, tune
from figureground.evaluate.curves import THRESHOLDS, best_threshold, bootstrap
from figureground.evaluate.goals import FigureGoal
from figureground.evaluate.refining import refined_scores
from figureground.runtime.refined import Refined
from table import show

NETWORKS = ("person", "person-fast")
METRIC = "dice_image_mean"
GOAL = FigureGoal(METRIC)
CLEAN = "holes:max_area=0.01,specks"
WEAK = "crf:weight=3:smooth_weight=1"
ALONE = {
    "guided filter": "guided:zoom=4",
    "soft erosion": "erode",
    "hole filling": "holes:max_area=0.01",
    "speck removal": "specks",
    "unsure areas": "sure",
    "largest person": "largest",
    "smoothing CRF": "smooth",
    "dense CRF on a small copy": "coarse",
    "dense CRF": "crf",
    "weaker dense CRF": WEAK,
}
TOGETHER = {
    "holes and specks": CLEAN,
    "holes, specks, guided filter": f"{CLEAN},guided:zoom=4",
    "small dense CRF, holes, specks, guided filter": f"coarse,{CLEAN},guided:zoom=4",
    "weaker dense CRF, holes, specks, guided filter": f"{WEAK},{CLEAN},guided:zoom=4",
    "weaker dense CRF, holes, specks, erosion, guided filter": f"{WEAK},{CLEAN},erode,guided:zoom=4",
}
"""The steps of each row, as `--refine` takes them."""


@dataclass(frozen=True)
class Step:
    """One row of the table: what is measured, under its own threshold."""

    label: str
    segmenter: Segmenter


def with_best_threshold(label: str, segmenter: Segmenter, pairs: Sequence[Pair]) -> Step:
    """The segmenter with the threshold that is best on `pairs`."""
    ((tallies, _),) = refined_scores(segmenter, [()], pairs, GOAL)
    at = best_threshold(GOAL.score(tallies))
    return Step(label, segmenter.renamed(segmenter.name, float(THRESHOLDS[at])))


def refined_steps(base: Segmenter, chains: dict[str, str], pairs: Sequence[Pair]) -> list[Step]:
    """`base` with each row of refinements after it, under its best threshold; `base` is run once for each photo."""
    rows = {name: Refinement(steps, partial(Refined, steps=steps)) for name, steps in chains.items()}
    scored = refined_scores(base, [(row,) for row in rows.values()], pairs, GOAL)
    found = []
    for (name, row), (tallies, _) in zip(rows.items(), scored, strict=True):
        threshold = float(THRESHOLDS[best_threshold(GOAL.score(tallies))])
        segmenter = row.wrap(base)
        found.append(Step(f"{base.name}, {name}", segmenter.renamed(segmenter.name, threshold)))
    return found


def steps_of(networks: Sequence[Segmenter], pairs: Sequence[Pair], budget_ms: float, cache: Path | None) -> list[Step]:
    """Every row of the table; what there is to choose is chosen on `pairs`."""
    steps = [Step(f"{network.name}, as shipped", network) for network in networks]
    singles = [with_best_threshold(f"{network.name}, threshold chosen", network, pairs) for network in networks]
    steps += singles
    steps += [with_best_threshold(f"{network.name}, mirror image", augmented(network), pairs) for network in networks]
    if len(networks) > 1:
        steps.append(with_best_threshold("equal mean of all", Ensemble(networks), pairs))
        mirrored = augmented(Ensemble(networks))
        steps.append(with_best_threshold("equal mean of all, mirror image", mirrored, pairs))
    mixed = tune(networks, pairs, budget_ms=budget_ms, metric=METRIC, cache=cache).winner.segmenter
    steps.append(Step(f"tuned within {budget_ms:g} ms, no refinement: {mixed.name}", mixed))
    steps += refined_steps(networks[0], {**ALONE, **TOGETHER}, pairs)
    return steps + refined_steps(mixed, {name: name for name in REFINEMENTS}, pairs)


def counts_of(report: Report) -> NDArray[np.int64]:
    """(photos, 3): true positives, false positives, false negatives."""
    return np.array([(one.counts.tp, one.counts.fp, one.counts.fn) for one in report.per_image], dtype=np.int64)


def row(step: Step, report: Report, reference: Report, seed: int) -> dict[str, Any]:
    """A step as a row of the table; its lead is over `reference`."""
    low, high = bootstrap(counts_of(report), None, GOAL.score, seed=seed)
    lead = bootstrap(counts_of(report), counts_of(reference), GOAL.score, seed=seed)
    return {
        "step": step.label,
        "threshold": step.segmenter.threshold,
        "dice": report.summary[METRIC],
        "dice_95": f"{low:.4f} to {high:.4f}",
        "lead_95": f"{lead[0]:+.4f} to {lead[1]:+.4f}",
        "iou_dataset": report.summary["iou_dataset"],
        "boundary_f": report.summary["boundary_f"],
        "ms": 1000 / report.summary["images_per_second"],
    }


def main() -> None:
    """Choose on the held-out photos, measure on the validation photos, print a row for each step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument(
        "--network", action="append", metavar="NAME|FILE", help="the best first  [default: person, person-fast]"
    )
    parser.add_argument("--share", type=float, default=0.05, help="of train/, held out as in the networks' recipes")
    parser.add_argument("--budget-ms", type=float, default=100.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, help="take so many photos of each folder")
    parser.add_argument("--cache", type=Path, help="keep the networks' answers here")
    parser.add_argument("--output", type=Path, help="write the winner as a predictor file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    held = [pair for pair in find_pairs(options.data / "train") if held_out(pair.stem, options.share)][: options.limit]
    valid = find_pairs(options.data / "valid")[: options.limit]
    networks = [load(name, threads=options.threads) for name in options.network or NETWORKS]
    steps = steps_of(networks, held, options.budget_ms, options.cache)
    tuning = tune(
        networks, held, budget_ms=options.budget_ms, metric=METRIC, refinements=REFINEMENTS, cache=options.cache
    )
    winner = tuning.winner.segmenter
    steps.append(Step(f"tuned within {options.budget_ms:g} ms: {winner.name}", winner))
    reports = [evaluate(step.segmenter, valid) for step in steps]
    rows = [row(step, report, reports[0], options.seed) for step, report in zip(steps, reports, strict=True)]
    show(f"chosen on {len(held)} photos, measured on {len(valid)}", rows, as_json=options.json)
    if options.output is not None:
        save_predictor(winner.renamed(options.output.stem, winner.threshold), options.output, chosen=tuning.facts)


if __name__ == "__main__":
    main()
