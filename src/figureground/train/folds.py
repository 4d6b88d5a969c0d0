"""Cross-validation: one run for each fold of the photos, and a table of what they reached."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Sequence
from pathlib import Path

from figureground import images
from figureground.errors import RecipeError
from figureground.train.recipe import Recipe
from figureground.train.run import run

TABLE = "folds.csv"
PAGE = "folds.md"

Scores = dict[str, float]


def run_folds(
    recipe_path: Path,
    overrides: Sequence[str] = (),
    *,
    count: int,
    output: Path | None = None,
    resume: bool = False,
) -> Path:
    """Train a recipe `count` times, each time with another fold of the photos held out; returns the folder.

    The sources that hold something out hold out a fold instead of their share; the others only train. The folder,
    `runs/<recipe's name>-folds` unless `output` is given, gets a run folder `fold_0`, `fold_1`, ... for each, and the
    scores of all with their mean and spread as `folds.csv` and `folds.md`.

    Args:
        recipe_path: the YAML file.
        overrides: `key=value` changes to it.
        count: of folds, at least 2.
        output: the folder.
        resume: go on where an earlier call was interrupted; finished folds are left as they are.

    Raises:
        RecipeError: the recipe is wrong, or the folder holds another run; and whatever else a run raises.
    """
    recipe = Recipe.read(Path(recipe_path), [*overrides, f"data.folds={{count: {count}}}"])
    if not any(source.hold_out for source in recipe.data.sources):
        raise RecipeError("no source takes part in the folds", remedy="set hold_out of one, 0.2 say")
    folder = output or Path("runs") / f"{recipe.name}-folds"
    found: list[dict[str, Scores]] = []
    for fold in range(count):
        of_fold = [*overrides, f"data.folds={{count: {count}, fold: {fold}}}"]
        done = run(Path(recipe_path), of_fold, output=folder / f"fold_{fold}", resume=resume)
        found.append(run_scores(done))
    rows = _rows(found)
    images.write_bytes(_as_csv(rows).encode(), folder / TABLE)
    images.write_bytes(_as_markdown(rows, count).encode(), folder / PAGE)
    return folder


def run_scores(folder: Path) -> dict[str, Scores]:
    """The scores of a run folder's `best` and `last` weights: name -> score, from its `metrics.csv`.

    Of an epoch that was validated twice, because the run was interrupted, the later numbers count.
    """
    by_epoch: dict[int, Scores] = {}
    with (folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["name"].startswith("val/"):
                scores = by_epoch.setdefault(int(float(row["epoch"])), {})
                scores[row["name"].removeprefix("val/")] = float(row["value"])
    # The first of equal scores, as the run itself chose.
    best = max(sorted(by_epoch), key=lambda epoch: by_epoch[epoch]["score"])
    return {"best": by_epoch[best], "last": by_epoch[max(by_epoch)]}


def _rows(found: list[dict[str, Scores]]) -> list[list[str]]:
    """A line for each score of the best and of the last weights: the folds', their mean and standard deviation.

    A score that a fold lacks, because no photo of a source fell into it, is left empty and out of the mean.
    """
    rows = []
    for weights in ("best", "last"):
        names = dict.fromkeys(name for fold in found for name in fold[weights])
        for name in sorted(names, key=lambda name: name != "score"):
            given = [fold[weights].get(name) for fold in found]
            values = [value for value in given if value is not None]
            spread = statistics.stdev(values) if len(values) > 1 else None
            shown = [*given, statistics.fmean(values), spread]
            rows.append([weights, name, *("" if value is None else f"{value:.4f}" for value in shown)])
    return rows


def _heading(columns: int) -> list[str]:
    return ["weights", "score", *(f"fold {fold}" for fold in range(columns - 4)), "mean", "deviation"]


def _as_csv(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([_heading(len(rows[0])), *rows])
    return text.getvalue()


def _as_markdown(rows: list[list[str]], count: int) -> str:
    heading = _heading(count + 4)
    lines = [heading, ["---", "---", *["---:"] * (count + 2)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
