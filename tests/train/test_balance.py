"""Class weights measured on the training masks, once."""

from __future__ import annotations

import inspect
import json

import numpy as np
import pytest
from PIL import Image

from figureground.data import build_sources
from figureground.datasets.balance import inverse_frequency, median_frequency
from figureground.errors import DataError, RecipeError
from figureground.losses import LOSSES
from figureground.train import Recipe, run
from figureground.train.balance import as_measured_before, measured

WEIGHTED = ["losses=[{name: cross_entropy, options: {class_weights: measured}}, {name: soft_dice}]"]
PIXELS = np.array([[60, 40, 0], [90, 0, 10], [80, 20, 0], [100, 0, 0]])


def by_hand(recipe):
    """Shares of figure and ground over the held-in masks, which all have both."""
    training, _ = build_sources(recipe.data.sources, recipe.data.root, labels=recipe.tree)
    masks = [np.asarray(Image.open(mask)) > 0 for _, mask in training[0].pairs]
    person = np.concatenate([mask.ravel() for mask in masks]).mean()
    return 1 - person, person


def test_median_frequency_is_its_definition():
    """Background is in all four masks, one leaf in two of them and the other in one."""
    background, one, other = 330 / 400, 60 / 200, 10 / 100
    assert median_frequency(PIXELS) == pytest.approx([0.3 / background, 0.3 / one, 0.3 / other])


def test_inverse_frequency_is_its_definition():
    assert inverse_frequency(PIXELS) == pytest.approx([400 / (3 * 330), 400 / (3 * 60), 400 / (3 * 10)])
    assert inverse_frequency(np.array([[5, 5, 5]])) == pytest.approx([1, 1, 1])


def test_a_class_that_is_nowhere_has_no_weight():
    pixels = np.array([[50, 50, 0]])
    assert median_frequency(pixels) == [1.0, 1.0, None]
    assert inverse_frequency(pixels) == [1.0, 1.0, None]
    assert median_frequency(np.zeros((0, 2), np.int64)) == [None, None]


@pytest.mark.parametrize("rule", ["measured", "measured_inverse"])
def test_the_weights_are_those_of_the_training_masks(tiny_recipe, capsys, rule):
    losses = ["losses=[{name: cross_entropy}, {name: focal}]", f"losses.0.options={{class_weights: {rule}}}"]
    recipe = Recipe.read(tiny_recipe, [*losses, f"losses.1.options={{alpha: {rule}}}"])
    training, _ = build_sources(recipe.data.sources, recipe.data.root, labels=recipe.tree)
    found = measured(recipe, training)
    ground, person = by_hand(recipe)
    middle = np.median([ground, person])
    expected = {"measured": [middle / ground, middle / person], "measured_inverse": [0.5 / ground, 0.5 / person]}[rule]
    assert found.losses[0].options["class_weights"] == pytest.approx(expected, abs=1e-5)
    assert found.losses[1].options["alpha"] == found.losses[0].options["class_weights"]
    told = json.loads(capsys.readouterr().err)
    assert told[rule] == dict(zip(["background", "person"], found.losses[1].options["alpha"], strict=True))


def test_a_recipe_that_asks_for_nothing_is_left_alone(tiny_recipe, capsys):
    recipe = Recipe.read(tiny_recipe)
    assert measured(recipe, []) is recipe
    assert capsys.readouterr().err == ""


def test_leaf_numbers_are_counted_and_unknown_pixels_are_not(values, recipe_file, tmp_path):
    labels = [{"name": "all", "color": [1, 1, 1]}]
    labels += [{"name": name, "color": [n, 0, 0], "parent": "all"} for n, name in enumerate(["left", "right"])]
    (tmp_path / "masks").mkdir()
    (tmp_path / "images").mkdir()
    for number, row in enumerate([[0, 0, 1, 2, 255, 255], [0, 0, 0, 1, 1, 255]]):
        Image.fromarray(np.array([row], np.uint8)).save(tmp_path / f"masks/{number}.png")
        Image.new("RGB", (6, 1)).save(tmp_path / f"images/{number}.png")
    source = {"name": "p", "images": "images", "masks": "masks", "any_value_is_leaf": False}
    whole = {"name": "w", "images": "images", "masks": "masks", "any_value_is": "all"}
    values["labels"] = {"labels": labels}
    values["data"] |= {"root": str(tmp_path), "sources": [source, whole, {**whole, "name": "q", "weight": 0}]}
    recipe = Recipe.read(recipe_file(values), WEIGHTED)
    training, _ = build_sources(recipe.data.sources, recipe.data.root, labels=recipe.tree)
    found = measured(recipe, training).losses[0].options["class_weights"]
    assert found == pytest.approx(median_frequency(np.array([[2, 1, 1], [3, 2, 0]])), abs=1e-5)


def test_what_cannot_be_measured(tiny_recipe):
    recipe = Recipe.read(tiny_recipe, ["losses=[{name: tversky, options: {alpha: measured}}]"])
    with pytest.raises(RecipeError, match=r"'alpha' of the loss 'tversky' cannot be measured; .*alpha of focal"):
        measured(recipe, [])
    with pytest.raises(DataError, match="no training mask shows background, person"):
        measured(Recipe.read(tiny_recipe, WEIGHTED), [])


def test_the_weights_of_every_loss_that_has_them_can_be_measured(tiny_recipe):
    losses = ", ".join(
        f"{{name: {name}, options: {{{'alpha' if name == 'focal' else 'class_weights'}: measured}}}}"
        for name, function in LOSSES.items()
        if name == "focal" or "class_weights" in inspect.signature(function).parameters
    )
    recipe = Recipe.read(tiny_recipe, [f"losses=[{losses}]"])
    assert len(recipe.losses) == 7
    found = measured(recipe, build_sources(recipe.data.sources, recipe.data.root, labels=recipe.tree)[0])
    assert len({str(next(iter(loss.options.values()))) for loss in found.losses}) == 1
    assert "measured" not in str(found.losses)


def test_a_resumed_run_keeps_its_weights(tiny_recipe, tmp_path):
    overrides = [*WEIGHTED, "schedule.epochs=1", "data.samples_per_epoch=4"]
    folder = run(tiny_recipe, overrides, output=tmp_path / "run")
    weights = Recipe.read(folder / "recipe.yaml").losses[0].options["class_weights"]
    assert len(weights) == 2
    text = (folder / "recipe.yaml").read_text()
    (folder / "finished.json").unlink()
    (folder / "recipe.yaml").write_text(text.replace(f"- {weights[1]}", "- 7.5"))
    run(tiny_recipe, overrides, output=folder, resume=True)
    assert Recipe.read(folder / "recipe.yaml").losses[0].options["class_weights"] == [weights[0], 7.5]


def test_the_weights_of_another_loss_are_not_taken(tiny_recipe):
    recipe = Recipe.read(tiny_recipe, WEIGHTED)
    assert as_measured_before(recipe, Recipe.read(tiny_recipe, ["losses=[{name: soft_dice}]"])) == recipe
    other = Recipe.read(tiny_recipe, ["losses=[{name: focal, options: {alpha: [1, 2]}}, {name: soft_dice}]"])
    assert as_measured_before(recipe, other) == recipe
