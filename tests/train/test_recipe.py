"""A recipe is checked before anything runs, and what is wrong is named with what to write instead."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from figureground.errors import LabelError, RecipeError
from figureground.labels import LabelTree
from figureground.train import Recipe

BODY = {"labels": [{"name": "body", "color": [1, 2, 3]}, {"name": "arm", "color": [4, 5, 6], "parent": "body"}]}


def place(values, key):
    """The section of a dotted key, and its last name."""
    *folders, last = key.split(".")
    for folder in folders:
        values = values[int(folder)] if folder.isdigit() else values.setdefault(folder, {})
    return values, int(last) if last.isdigit() else last


def changed(values, key, value):
    section, last = place(values, key)
    section[last] = value
    return values


def test_what_is_not_said_is_off(values, recipe_file):
    del values["data"]["samples_per_epoch"]
    recipe = Recipe.read(recipe_file({key: values[key] for key in ("name", "data", "network", "losses")}))
    assert recipe.distill is None
    assert recipe.tree == LabelTree.person()
    assert recipe.schedule.ema == 0
    assert set(recipe.augment.model_dump().values()) == {0, 0.8, (1.0, 1.0)}


def test_the_dump_reads_back_to_the_same_recipe(values, recipe_file, tmp_path):
    recipe = Recipe.read(recipe_file())
    (tmp_path / "dump.yaml").write_text(recipe.dump())
    assert Recipe.read(tmp_path / "dump.yaml") == recipe


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("schedul", {}, r"unknown key 'schedul'; did you mean 'schedule'\?"),
        ("schedule.epoch", 3, r"unknown key 'schedule\.epoch'; did you mean 'epochs'\?"),
        ("data.sources.0.hold", 3, r"unknown key 'data\.sources\.0\.hold'; did you mean 'hold_out'\?"),
        ("losses.1.wait", 3, r"unknown key 'losses\.1\.wait'; did you mean 'weight'\?"),
        ("schedule.stages.0.size", 3, r"unknown key 'schedule\.stages\.0\.size'; did you mean 'sizes'\?"),
        ("schedule.early_stopping.patient", 3, r"'schedule\.early_stopping\.patient'; did you mean 'patience'\?"),
        ("data.folds", {"count": 3, "folds": 1}, r"unknown key 'data\.folds\.folds'; did you mean 'fold'\?"),
        ("data.folds", {"count": 3, "fold": 3}, r"data\.folds: of 3 folds the last is number 2"),
        ("optimize.warmup", 0, r"optimize: one_cycle needs a 'warmup' above 0"),
        ("augment.quux", 3, r"unknown key 'augment\.quux'; known: crop_scale, .*jpeg"),
        ("schedule.epochs", "many", r"'schedule\.epochs': .*integer.* \(got 'many'\)"),
        ("schedule.epochs", 0, r"'schedule\.epochs': .*greater than 0 \(got 0\)"),
        ("schedule.precision", "half", r"'schedule\.precision': .*bf16-mixed.* \(got 'half'\)"),
        ("schedule.stages", [{"start": 0.5, "sizes": [32]}], "schedule: one of the stages must start at 0"),
        ("schedule.stages", [], "schedule: one of the stages must start at 0"),
        ("augment.flip", 1.5, r"'augment\.flip': .*less than or equal to 1"),
        ("augment.crop_scale", [0.9, 0.2], r"augment\.crop_scale: the first number must not be larger"),
        ("data.sources.1.kind", "pairs", r"data\.sources\.1: a source of kind 'pairs' needs 'masks'"),
        ("data.sources.1.name", "people", "two sources have one name: people, people"),
        ("data.samples_per_epoch", 3, "less than one batch"),
        ("network.options.leaves", 2, "network: the number of leaves comes from 'labels'"),
        ("losses", [], "'losses': .*at least 1 item"),
    ],
)
def test_a_mistake_is_named(values, recipe_file, key, value, message):
    path = recipe_file(changed(values, key, value))
    with pytest.raises(RecipeError, match=message) as caught:
        Recipe.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_key_is_named(values, recipe_file):
    del values["network"]["name"]
    with pytest.raises(RecipeError, match=r"'network\.name' is missing; add it"):
        Recipe.read(recipe_file())


def test_sources_that_all_weigh_nothing(values, recipe_file):
    for source in values["data"]["sources"]:
        source["weight"] = 0
    with pytest.raises(RecipeError, match="every source has the weight 0"):
        Recipe.read(recipe_file())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name: [unclosed", "is not YAML"),
        (b"\xff\xfe\x00", "is not YAML"),
        (b"- a\n- b\n", "holds no recipe"),
        (b"", "holds no recipe"),
    ],
)
def test_a_file_that_is_no_recipe(tmp_path, content, message):
    (tmp_path / "r.yaml").write_bytes(content)
    with pytest.raises(RecipeError, match=message):
        Recipe.read(tmp_path / "r.yaml")


def test_a_recipe_that_is_not_there(tmp_path):
    with pytest.raises(RecipeError, match=r"cannot read the recipe .*: No such file"):
        Recipe.read(tmp_path / "nowhere.yaml")


# --set


def test_set_reaches_inside(recipe_file):
    overrides = ["schedule.epochs=7", "data.sources.0.weight=2.5", "augment.crop_scale=[0.1, 0.2]"]
    recipe = Recipe.read(recipe_file(), overrides)
    assert recipe.schedule.epochs == 7
    assert recipe.data.sources[0].weight == 2.5
    assert recipe.augment.crop_scale == (0.1, 0.2)
    assert Recipe.read(recipe_file(), ["distill.run=runs/teacher"]).distill.run == Path("runs/teacher")
    switched_on = Recipe.read(recipe_file(), ["critic=null", "critic.mode=hinge"])
    assert switched_on.critic.mode == "hinge"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("schedule.epochs", "has no '='"),
        ("name.first=x", "'first' is not a place in the recipe"),
        ("data.sources.9.weight=1", "'9' is not a place in the recipe"),
        ("data.sources.first.weight=1", "'first' is not a place in the recipe"),
        ("schedule.epochs=[1", r"--set schedule\.epochs: '\[1' is not YAML"),
        ("schedule.epoch=3", r"did you mean 'epochs'\?"),
    ],
)
def test_a_bad_set_is_named(recipe_file, override, message):
    with pytest.raises(RecipeError, match=message):
        Recipe.read(recipe_file(), [override])


# Environment variables


def test_environment_variables_are_filled_in(values, recipe_file, monkeypatch):
    monkeypatch.setenv("FIGUREGROUND_TEST_ROOT", "somewhere")
    recipe = Recipe.read(recipe_file(changed(values, "data.root", "${FIGUREGROUND_TEST_ROOT}/photos")))
    assert recipe.data.root == Path("somewhere/photos")


def test_a_missing_environment_variable_is_named(values, recipe_file, monkeypatch):
    monkeypatch.delenv("FIGUREGROUND_TEST_ROOT", raising=False)
    path = recipe_file(changed(values, "data.root", "${FIGUREGROUND_TEST_ROOT}"))
    with pytest.raises(
        RecipeError, match="environment variable FIGUREGROUND_TEST_ROOT; export FIGUREGROUND_TEST_ROOT="
    ):
        Recipe.read(path)
    assert Recipe.read(path, ["data.root=here"]).data.root == Path("here")


# Labels


def test_labels_by_name_and_written_out(values, recipe_file):
    assert Recipe.read(recipe_file(changed(values, "labels", BODY))).tree.names == ("body", "arm")
    assert Recipe.read(recipe_file(changed(values, "labels", "lip"))).tree == LabelTree.named("lip")
    with pytest.raises(LabelError, match="no label tree is called 'persons'; did you mean 'person'"):
        _ = Recipe.read(recipe_file(changed(values, "labels", "persons"))).tree
    with pytest.raises(LabelError):
        _ = Recipe.read(recipe_file(changed(values, "labels", {"labels": []}))).tree


def test_labels_in_a_file_beside_the_recipe_become_part_of_it(values, recipe_file):
    path = recipe_file(changed(values, "labels", "mine.yaml"))
    with pytest.raises(LabelError, match=r"mine\.yaml"):
        Recipe.read(path)
    (path.parent / "mine.yaml").write_text(json.dumps(BODY))
    recipe = Recipe.read(path)
    assert recipe.labels == BODY
    assert recipe.tree.names == ("body", "arm")


# Is it the same training?


@pytest.mark.parametrize(
    ("override", "difference"),
    [
        ("data.root=elsewhere", None),
        ("data.workers=4", None),
        ("description=other words", None),
        ("schedule.epochs=9", "schedule.epochs is 2, not 9"),
        ("losses.0.options.boundary_weight=2.0", "losses.0.options.boundary_weight is 1.0, not 2.0"),
        ("schedule.stages.0.sizes=[32, 64]", "schedule.stages.0.sizes.1 is None, not 64"),
    ],
)
def test_difference(recipe_file, override, difference):
    assert Recipe.read(recipe_file()).difference(Recipe.read(recipe_file(), [override])) == difference


def test_difference_sees_a_new_teacher(recipe_file):
    taught = Recipe.read(recipe_file(), ["distill.run=runs/teacher"])
    assert Recipe.read(recipe_file()).difference(taught).startswith("distill")
