"""What a training would see: the first augmented samples of a recipe, on one sheet."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from figureground import draw
from figureground.checks import require_in_range
from figureground.datasets import marked
from figureground.train.feed import Feed
from figureground.train.recipe import Recipe

__all__ = ["augmented_sheet"]


def augmented_sheet(
    recipe_path: str | Path, overrides: Sequence[str] = (), *, number: int = 36, cell: int = 200
) -> NDArray[np.uint8]:
    """The first samples of the first epoch, exactly as they will be, with their targets drawn on them.

    Args:
        recipe_path: the YAML file.
        overrides: `key=value` changes to it; `seed=1` shows others.
        number: samples on the sheet, at most; there are no more than `data.samples_per_epoch`.
        cell: width and height of the place for a sample in pixels, 32 to 4000.

    Returns:
        uint8 (H, W, 3).

    Raises:
        RecipeError: the recipe is wrong.
        DataError: the data is not as the recipe says.
        ArgumentError: a number out of range.
    """
    require_in_range("number", number, 1)
    recipe = Recipe.read(Path(recipe_path), [*overrides, "data.workers=0"])
    tree = recipe.tree
    samples = (
        (picture, target)
        for batch in Feed(recipe).train_dataloader()
        for picture, target in zip(batch[0], batch[1], strict=True)
    )
    pictures = []
    for picture, target in islice(samples, number):
        colors = np.ascontiguousarray(picture[:3].permute(1, 2, 0).numpy().astype(np.uint8))
        pictures.append(marked(colors, target.numpy(), tree))
    return draw.sheet(pictures, [str(place + 1) for place in range(len(pictures))], cell=cell)
