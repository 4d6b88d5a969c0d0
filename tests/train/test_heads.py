"""Heads and tree losses in a recipe: a run starts, saves, loads, and is refused where they do not go together."""

from __future__ import annotations

import math

import pytest
import torch
from safetensors.torch import load_file

from figureground.errors import RecipeError
from figureground.labels import LabelTree
from figureground.losses import LOSSES
from figureground.train import load_run, run
from figureground.train.specs import Loss
from figureground.train.terms import build_terms

PEOPLE = LabelTree.named("pascal-person-part")
BODY = "data.sources.0.any_value_is=body"
TREE = ["labels=pascal-person-part", BODY, "schedule.epochs=1"]
CASES = {
    "nodes": [
        "head={name: nodes, embedding: {at: refine.1, size: 8}}",
        "losses=[{name: focal_tree_min}, {name: tree_triplet, weight: 0.5, ramp: 1.0}]",
    ],
    "hyperbolic": ["head={name: hyperbolic, options: {dim: 2, tree: true}}", "losses=[{name: hierarchical_softmax}]"],
}


@pytest.fixture(scope="module", params=CASES)
def headed(request, tiny_recipe, tmp_path_factory):
    """A run of one epoch over a tree, under a head."""
    folder = tmp_path_factory.mktemp("headed") / request.param
    return run(tiny_recipe, [*TREE, *CASES[request.param], "schedule.precision=bf16-mixed"], output=folder)


def test_a_headed_run_gives_one_logit_for_each_leaf(headed):
    recipe, model = load_run(headed)
    assert recipe.head.name == headed.name
    with torch.inference_mode():
        logits = model(255 * torch.rand(1, 3, 33, 50))
    assert logits.shape == (1, 6, 33, 50)
    assert torch.isfinite(logits).all()
    assert all(torch.isfinite(value).all() for value in load_file(headed / "last.safetensors").values())


def test_a_disk_is_drawn_for_two_dimensions(headed):
    assert (headed / "pictures/disk_000.png").exists() == (headed.name == "hyperbolic")


def test_a_loss_needs_the_head_that_gives_its_output(tiny_recipe, tmp_path):
    for losses, remedy in (
        ("[{name: tree_min}]", "set head.name to nodes"),
        ("[{name: tree_triplet}]", "add 'embedding: {}' to the head"),
    ):
        with pytest.raises(RecipeError, match=remedy):
            run(tiny_recipe, [*TREE, f"losses={losses}"], output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_weight_rises_as_the_paper_says():
    """beta is (1 + cos(pi (t - T) / T)) / 4: 0, 0.0732, 0.25 and 0.5 at 0, T/4, T/2 and T, and 0.5 after."""
    spec = Loss(name="tree_triplet", weight=0.5, ramp=0.8)
    [term] = build_terms((spec,), PEOPLE, ["embedding"])
    values = [term.spec.weight_at(0.8 * share) for share in (0, 0.25, 0.5, 1, 1.2)]
    assert values == pytest.approx([0, 0.0732, 0.25, 0.5, 0.5], abs=1e-4)
    [plain] = build_terms((Loss(name="focal", weight=2.0),), PEOPLE, ["logits"])
    assert plain.spec.weight_at(0) == 2.0
    assert not math.isnan(plain.spec.weight_at(1))


def test_a_weight_can_fall_and_wait():
    spec = Loss(name="soft_dice", weight=0.2, ramp_from=1.0, ramp_start=0.5, ramp=0.9)
    assert [spec.weight_at(at) for at in (0, 0.5, 0.7, 0.9, 1)] == pytest.approx([1, 1, 0.6, 0.2, 0.2])
    for wrong in ({"ramp_from": 1.0}, {"ramp_start": 0.5, "ramp": 0.5}):
        with pytest.raises(ValueError, match="set 'ramp' later"):
            Loss(name="soft_dice", **wrong)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_has_an_output_that_some_network_gives(name):
    [term] = build_terms((Loss(name=name),), PEOPLE, ["logits", "nodes", "embedding", "queries"])
    assert term.name == name
