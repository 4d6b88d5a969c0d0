"""Every recipe in the folder can be read, and names things that exist."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[2] / "recipes"
# A file without a name of its own is what others start from; cards are no recipes.
FILES = [path for path in sorted(FOLDER.rglob("*.yaml")) if path.parent.name != "cards"]
RECIPES = [path for path in FILES if "name" in yaml.safe_load(path.read_text(encoding="utf-8"))]


@pytest.fixture
def recipe_of(monkeypatch, tmp_path):
    recipe = pytest.importorskip("figureground.train.recipe")
    monkeypatch.setenv("FIGUREGROUND_DATA", str(tmp_path))
    return recipe.Recipe.read


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_recipe_is_read(path, recipe_of):
    recipe = recipe_of(path)
    assert recipe.name == path.stem
    assert recipe.description


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_recipe_names_what_exists(path, recipe_of):
    from figureground.losses import LOSSES
    from figureground.networks import list_networks

    recipe = recipe_of(path)
    assert recipe.network.name in list_networks()
    assert {loss.name for loss in recipe.losses} <= set(LOSSES)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_recipe_names_no_folder_of_one_machine(path, recipe_of):
    """Photos are found through FIGUREGROUND_DATA, everything else from where the command is run."""
    recipe = recipe_of(path, overrides=["data.root=photos"])
    paths = [source.images for source in recipe.data.sources if source.images] + [recipe.data.root]
    assert not [place for place in paths if Path(place).is_absolute()]


def test_every_file_is_a_recipe_or_what_one_starts_from():
    assert RECIPES
    bases = {
        (path.parent / values["base"]).resolve()
        for path in FILES
        if "base" in (values := yaml.safe_load(path.read_text(encoding="utf-8")))
    }
    assert bases >= set(FILES) - set(RECIPES)
