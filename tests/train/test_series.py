"""A series of recipes: a run folder for each, and one table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from figureground.cli.app import cli
from figureground.errors import RecipeError
from figureground.train import Recipe
from figureground.train import series as module
from figureground.train.divergence import DivergedError
from figureground.train.series import run_series


@pytest.fixture
def two(tmp_path, tiny_recipe) -> list[Path]:
    """A recipe that starts from the tiny one, and one that starts from that."""
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text(yaml.safe_dump({"base": str(tiny_recipe), "name": "first"}), encoding="utf-8")
    second.write_text("base: first.yaml\nname: second\nlosses: [{name: cross_entropy}]\n", encoding="utf-8")
    return [first, second]


def test_runs_are_trained_and_compared(two, tmp_path, tiny_photos):
    output, data = tmp_path / "runs", tiny_photos / "people"
    arguments = ["series", *map(str, two), "-o", str(output), "--data", str(data)]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    compared = json.loads((output / "comparison" / "compare.json").read_text(encoding="utf-8"))
    assert [network["name"] for network in compared["networks"]] == ["first", "second"]
    assert "first - second" in result.output
    made = {path: path.stat().st_mtime_ns for path in output.glob("*/best.safetensors")}
    assert len(made) == 2

    again = CliRunner().invoke(cli, arguments[:-2], catch_exceptions=False)
    assert again.output.splitlines()[-2:] == [str(output / "first"), str(output / "second")]
    assert made == {path: path.stat().st_mtime_ns for path in output.glob("*/best.safetensors")}


def test_every_recipe_is_read_before_the_first_is_trained(two, tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("base: first.yaml\nlossses: []\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="unknown key 'lossses'"):
        run_series([*two, wrong], output=tmp_path / "runs")
    with pytest.raises(RecipeError, match="two recipes have the name 'first'"):
        run_series([two[0], *two], output=tmp_path / "runs")
    with pytest.raises(RecipeError, match="no recipes"):
        run_series([], output=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_one_that_diverges_does_not_keep_the_others_back(two, tmp_path, monkeypatch, capsys):
    trained = []

    def run(path: Path, *_: object, output: Path, **__: object) -> None:
        trained.append(output.name)
        if path == two[0]:
            raise DivergedError("the loss is nan", remedy="lower the learning rate")

    monkeypatch.setattr(module, "run", run)
    with pytest.raises(DivergedError, match="the loss is nan"):
        run_series(two, output=tmp_path)
    assert trained == ["first", "second"]
    assert "first: the loss is nan" in capsys.readouterr().err


def test_bad_arguments(two, tmp_path):
    for wrong, says in (["--data", str(tmp_path / "none")], "is no folder"), (["--set", "seed"], "is not KEY=VALUE"):
        result = CliRunner().invoke(cli, ["series", str(two[0]), *wrong])
        assert result.exit_code == 2
        assert says in result.output


def test_sections_of_a_base_are_merged_and_lists_replaced(two, tmp_path, tiny_recipe):
    plain, first, second = (Recipe.read(path) for path in (tiny_recipe, *two))
    assert plain.difference(first).startswith("name is")
    assert [loss.name for loss in second.losses] == ["cross_entropy"]
    assert second.model_copy(update={"name": plain.name, "losses": plain.losses}) == plain
    deeper = tmp_path / "sub" / "deeper.yaml"
    deeper.parent.mkdir()
    deeper.write_text("base: ../second.yaml\nschedule: {epochs: 7}\n", encoding="utf-8")
    changed = Recipe.read(deeper, ["schedule.batch_size=3"]).schedule
    assert changed == plain.schedule.model_copy(update={"epochs": 7, "batch_size": 3})


@pytest.mark.parametrize(
    ("text", "says"),
    [("base: a.yaml", "starts from itself"), ("base: 3", "'base' is 3"), ("base: none.yaml", "cannot read the recipe")],
)
def test_a_wrong_base(tmp_path, text, says):
    path = tmp_path / "a.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match=says):
        Recipe.read(path)


def test_labels_of_a_base_lie_beside_it(tmp_path, tiny_recipe):
    folder = tmp_path / "there"
    folder.mkdir()
    tree = {"labels": [{"name": "someone", "color": [255, 0, 0]}]}
    (folder / "tree.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    (folder / "base.yaml").write_text(
        yaml.safe_dump({"base": str(tiny_recipe), "labels": "tree.yaml"}), encoding="utf-8"
    )
    (tmp_path / "a.yaml").write_text("base: there/base.yaml\n", encoding="utf-8")
    assert Recipe.read(tmp_path / "a.yaml").tree.leaves[0].name == "someone"
