"""Several recipes one after the other: a run folder for each, to be compared."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from figureground.errors import RecipeError, within
from figureground.train.divergence import DivergedError
from figureground.train.recipe import Recipe
from figureground.train.run import check_recipe, run

__all__ = ["COMPARISON", "Series", "run_series"]

COMPARISON = "comparison"
"""The folder of the table, beside the run folders; no recipe may have its name."""


@dataclass(frozen=True)
class Series:
    """What became of the recipes, in their order.

    Attributes:
        finished: the run folders of those that were trained to their end.
        diverged: folder and error of those whose loss became infinite or no number.
    """

    finished: tuple[Path, ...]
    diverged: tuple[tuple[Path, DivergedError], ...]


def run_series(recipes: Sequence[Path], overrides: Sequence[str] = (), *, output: Path = Path("runs")) -> Series:
    """Train recipes in their order, each in the folder of its name under `output`.

    Before the first one is trained, everything that a training would refuse is looked for in all of them. Called
    again, finished runs are left as they are, and one that was interrupted goes on. A loss that diverges is told of on
    stderr and does not keep the others back.

    Args:
        recipes: the YAML files, at least one.
        overrides: `key=value` changes to all of them.
        output: the folder of the run folders.

    Raises:
        RecipeError: a recipe is wrong, two have one name, or a folder holds another recipe's run.
        DataError: photos or masks of a recipe are not as it says.
        OutputError, InterruptedRun and others: as `run` raises them.
    """
    read = [(Path(path), Recipe.read(Path(path), list(overrides))) for path in recipes]
    finished, diverged = [], []
    for path, folder in _folders(read, output):
        try:
            finished.append(run(path, list(overrides), output=folder, resume=True))
        except DivergedError as error:
            sys.stderr.write(f"{folder.name}: {error}\n")
            diverged.append((folder, error))
    return Series(tuple(finished), tuple(diverged))


def _folders(recipes: Sequence[tuple[Path, Recipe]], output: Path) -> list[tuple[Path, Path]]:
    """Each recipe's file with its run folder; all of them are checked."""
    if not recipes:
        raise RecipeError("no recipes were given", remedy="name at least one")
    names = Counter(recipe.name for _, recipe in recipes)
    for name, count in names.items():
        if count > 1:
            raise RecipeError(f"two recipes have the name '{name}'", remedy="give each a name of its own")
        if name == COMPARISON:
            raise RecipeError(f"a recipe has the name '{name}', as the folder of the table", remedy="rename it")
    for path, recipe in recipes:
        with within(path):
            check_recipe(recipe, output / recipe.name)
    return [(path, output / recipe.name) for path, recipe in recipes]
