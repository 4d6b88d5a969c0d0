"""What a run's recipe puts around its network, as a predictor file beside the exported bundle."""

from __future__ import annotations

from pathlib import Path

from figureground.runtime.catalogue import load
from figureground.runtime.predictor import SUFFIX, save_predictor
from figureground.train import Recipe


def export_inference(run: Path, bundle: Path) -> Path | None:
    """Write the predictor file of an exported run: the bundle with what the recipe's `predict` puts around it.

    It has the bundle's name and threshold, and refers to the bundle by its file name, so both can be moved together.

    Args:
        run: the folder that training made.
        bundle: the file that `export_run` wrote.

    Returns:
        The file, the bundle's with the suffix `.json`; None where the recipe puts nothing around the network.

    Raises:
        RecipeError: the folder holds no run.
        BundleError: the file is no bundle.
        OutputError: the file cannot be written.
    """
    recipe = Recipe.read(run / "recipe.yaml")
    if not recipe.inference.changes_answers:
        return None
    network = load(bundle)
    whole = recipe.inference.around([network]).renamed(network.name, network.threshold)
    path = bundle.with_suffix(SUFFIX)
    save_predictor(whole, path, chosen={"by": "the recipe's predict", "recipe": recipe.name})
    return path
