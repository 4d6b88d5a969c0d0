"""What a recipe puts around its network: refused before a training where it is wrong, used by what opens the run."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import figureground as fg
from figureground.errors import FiguregroundError, RecipeError
from figureground.runtime.cost import cost
from figureground.train import Recipe
from figureground.train import run as train
from figureground.train.run import build_model
from figureground.train.segmenter import RunSegmenter
from figureground.train.weights import save_weights

PREDICT = {
    "views": {"scales": [1, 1.5], "mean": "logit"},
    "people_first": {"find": 0.4},
    "refine": [{"name": "holes", "max_area": 0.2}, {"name": "largest"}],
    "threshold": 0.4,
}


@pytest.fixture
def photo():
    return np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)


@pytest.fixture
def run_of(tmp_path, values, recipe_file):
    """`run_of(predict)`: the folder of a run of a network that was not trained, with that section."""

    def made(predict):
        folder = tmp_path / "run"
        folder.mkdir()
        recipe = Recipe.read(recipe_file({**values, "predict": predict}))
        torch.manual_seed(0)
        (folder / "recipe.yaml").write_text(recipe.dump())
        save_weights(build_model(recipe), folder / "best.safetensors", recipe=recipe.dump())
        return folder

    return made


def by_hand(network):
    looked = fg.PeopleFirst(fg.augmented(network, scales=(1, 1.5), mean="logit"), find=0.4)
    return fg.Refined(looked.renamed("x", 0.4), "holes:max_area=0.2,largest")


@pytest.mark.parametrize(
    ("predict", "message"),
    [
        ({"view": {}}, r"unknown key 'predict\.view'; did you mean 'views'\?"),
        ({"views": {"flips": True}}, r"predict\.views: unknown key 'flips'; did you mean 'flip'\?"),
        ({"views": {"scales": [0]}}, r"predict\.views: scale must be from 0\.1 to 10, not 0"),
        ({"views": {"scales": 2}}, r"predict\.views: scales is 2; it must be a list of numbers"),
        ({"views": {"mean": "median"}}, r"predict\.views: no mean 'median'"),
        ({"views": True}, r"'predict\.views': write a section.* \(got True\)"),
        ({"ensemble": {}}, r"predict\.ensemble: with is None; it must be a list of shipped names"),
        ({"ensemble": {"with": "person"}}, r"predict\.ensemble: with is 'person'; it must be a list"),
        ({"ensemble": {"with": ["person"], "weights": [1]}}, r"predict\.ensemble: weights \(1,\) for 2 members"),
        ({"ensemble": {"with": ["person"], "weight": [1]}}, r"predict\.ensemble: unknown key 'weight'; .*'weights'"),
        ({"ensemble": {"with": ["person"], "mean": "median"}}, r"predict\.ensemble: no mean 'median'"),
        ({"tiles": {"overlap": 0.9}}, r"predict\.tiles: overlap must be from 0 to 0\.5, not 0\.9"),
        ({"people_first": {"crops": 0.5}}, r"predict\.people_first: crops is 0\.5; it must be a whole number"),
        ({"people_first": {}, "tiles": {}}, r"predict: people_first and tiles both look closer; give one of them"),
        ({"refine": "holees"}, r"predict\.refine: no refinement 'holees'; did you mean 'holes'\?"),
        ({"refine": ""}, r"predict\.refine: no refinement ''"),
        ({"refine": [{"name": "erode", "kernel": 2}]}, r"predict\.refine: kernel"),
        ({"threshold": 1.5}, r"'predict\.threshold': .*less than 1 \(got 1\.5\)"),
    ],
)
def test_what_cannot_be_is_named_with_its_place(values, recipe_file, predict, message):
    with pytest.raises(RecipeError, match=message):
        Recipe.read(recipe_file({**values, "predict": predict}))


def test_nothing_is_around_the_network_unless_it_is_said(values, recipe_file):
    recipe = Recipe.read(recipe_file())
    assert recipe.predict is None
    assert not recipe.inference.changes_answers
    only = Recipe.read(recipe_file({**values, "predict": {"threshold": 0.3}}))
    assert (only.inference.changes_answers, only.inference.threshold) == (False, 0.3)


def test_it_changes_no_training(values, recipe_file, tmp_path):
    recipe = Recipe.read(recipe_file({**values, "predict": PREDICT}))
    (tmp_path / "dump.yaml").write_text(recipe.dump())
    assert Recipe.read(tmp_path / "dump.yaml") == recipe
    assert recipe.difference(Recipe.read(recipe_file(values))) is None
    assert Recipe.read(recipe_file(values)).difference(recipe) is None


def test_depth_maps_are_not_handed_on(values, recipe_file):
    values["data"]["sources"] = [{**source, "depth": "depth"} for source in values["data"]["sources"]]
    values["depth"] = {}
    Recipe.read(recipe_file({**values, "predict": {"refine": "holes"}}))
    with pytest.raises(RecipeError, match="predict: views, ensemble, people_first and tiles hand no depth maps on"):
        Recipe.read(recipe_file({**values, "predict": {"views": {}}}))


def test_a_run_is_used_as_its_recipe_says(run_of, photo):
    network = RunSegmenter(run_of(PREDICT))
    whole = network.as_recipe_says()
    assert (whole.name, whole.threshold, network.threshold) == ("tiny", 0.4, 0.4)
    np.testing.assert_allclose(whole(photo).probabilities, by_hand(network)(photo).probabilities, atol=1e-6)
    alone, all_of_it = network.cost(network, photo), network.cost(whole, photo)
    assert alone.parameters == all_of_it.parameters
    assert all_of_it.multiply_adds > 4 * alone.multiply_adds


def test_other_networks_take_part(run_of, photo):
    network = RunSegmenter(run_of({"views": {}, "ensemble": {"with": ["person-fast"], "weights": [1, 3]}}))
    whole, other = network.as_recipe_says(), fg.load("person-fast")
    by_hand = fg.Ensemble([fg.augmented(network), fg.augmented(other)], weights=[1, 3])
    np.testing.assert_allclose(whole(photo).probabilities, by_hand(photo).probabilities, atol=1e-6)
    alone, together, beside = network.cost(network, photo), network.cost(whole, photo), cost(other, photo)
    assert together.parameters == alone.parameters + beside.parameters
    assert together.multiply_adds == 2 * (alone.multiply_adds + beside.multiply_adds)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("persn", r"predict\.ensemble: no network 'persn'; did you mean 'person'\?"),
        ("other.onnx", r"predict\.ensemble: other\.onnx: "),
        ("parts", r"predict\.ensemble: .*labels"),
    ],
)
def test_other_networks_are_opened_before_the_training(values, recipe_file, tmp_path, other, message):
    recipe = recipe_file({**values, "predict": {"ensemble": {"with": [other]}}})
    with pytest.raises(FiguregroundError, match=message):
        train(recipe, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()
