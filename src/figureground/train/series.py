"""Several recipes one after the other: a run folder for each, to be compared."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from figureground.errors import RecipeError
from figureground.train.divergence import DivergedError
from figureground.train.recipe import Recipe
from figureground.train.run import run

__all__ = ["run_series"]


def run_series(recipes: Sequence[Path], overrides: Sequence[str] = (), *, output: Path = Path("runs")) -> list[Path]:
    """Train recipes in their order, each in the folder of its name under `output`; returns the folders of all.

    Every recipe is read before the first one is trained. Called again, finished runs are left as they are, and one
    that was interrupted goes on. A run whose loss diverges is told of on stderr and does not keep the others back.

    Args:
        recipes: the YAML files, at least one.
        overrides: `key=value` changes to all of them.
        output: the folder of the run folders.

    Raises:
        RecipeError: a recipe is wrong, two have one name, or a folder holds another recipe's run.
        DivergedError: after the last recipe, where the loss of one became infinite or no number.
    """
    named = Counter(Recipe.read(Path(path), list(overrides)).name for path in recipes)
    if not named:
        raise RecipeError("a series of no recipes", remedy="name at least one")
    twice = [name for name, count in named.items() if count > 1]
    if twice:
        raise RecipeError(f"two recipes have the name '{twice[0]}'", remedy="give each a name of its own")
    folders = [output / name for name in named]
    failed: DivergedError | None = None
    for path, folder in zip(recipes, folders, strict=True):
        try:
            run(Path(path), list(overrides), output=folder, resume=True)
        except DivergedError as error:
            failed = failed or error
            sys.stderr.write(f"{folder.name}: {error}\n")
    if failed is not None:
        raise failed
    return folders
