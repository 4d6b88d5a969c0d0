"""A series of recipes: a run folder for each, and one table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from figureground.cli.app import cli
from figureground.errors import FiguregroundError, RecipeError
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
    runs = [output / "first", output / "second"]
    made = {path: path.read_bytes() for run in runs for path in run.rglob("*") if path.is_file()}

    again = CliRunner().invoke(cli, arguments[:-2], catch_exceptions=False)
    assert again.output.splitlines() == [str(run) for run in runs]
    listed = CliRunner().invoke(cli, [*arguments[:-2], "--json"], catch_exceptions=False)
    assert json.loads(listed.stdout) == {"runs": [str(run) for run in runs]}
    assert made == {path: path.read_bytes() for run in runs for path in run.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lossses: []", "unknown key 'lossses'"),
        ("losses: [{name: no_loss}]", r"wrong\.yaml: losses\.0: no loss is called 'no_loss'"),
        ("losses: [{name: focal, options: {alpha: [1, 2, 3]}}]", r"wrong\.yaml: loss 'focal': 3 weights in alpha"),
        ("network: {name: no_network}", "no_network"),
        ("data: {root: nowhere}", "nowhere"),
    ],
)
def test_every_recipe_is_checked_before_the_first_is_trained(two, tmp_path, text, says):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(f"base: first.yaml\nname: wrong\n{text}\n", encoding="utf-8")
    with pytest.raises(FiguregroundError, match=says):
        run_series([*two, wrong], output=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_series_that_cannot_be(two, tmp_path):
    with pytest.raises(RecipeError, match="two recipes have the name 'first'"):
        run_series([two[0], *two], output=tmp_path / "runs")
    with pytest.raises(RecipeError, match="no recipes"):
        run_series([], output=tmp_path / "runs")
    with pytest.raises(RecipeError, match="as the folder of the table"):
        run_series(two[:1], ["name=comparison"], output=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_one_that_diverges_does_not_keep_the_others_back(two, tmp_path, monkeypatch, tiny_photos):
    def run(path: Path, *given: object, **options: object) -> Path:
        if path == two[0]:
            raise DivergedError("the loss is nan", remedy="lower the learning rate")
        return original(path, *given, **options)

    original = module.run
    monkeypatch.setattr(module, "run", run)
    arguments = ["series", *map(str, two), "-o", str(tmp_path / "runs"), "--data", str(tiny_photos / "people")]
    result = CliRunner().invoke(cli, arguments)
    assert isinstance(result.exception, DivergedError)
    assert "first: the loss is nan" in result.output
    compared = json.loads((tmp_path / "runs/comparison/compare.json").read_text(encoding="utf-8"))
    assert [network["name"] for network in compared["networks"]] == ["second"]


def test_bad_arguments(two, tmp_path):
    for wrong, says in (
        (["--data", str(tmp_path / "none")], "no such folder"),
        (["--set", "seed"], "is not KEY=VALUE"),
        (["--depth", "maps"], "the photos of --data"),
    ):
        result = CliRunner().invoke(cli, ["series", str(two[0]), *wrong])
        assert result.exit_code == 2 or getattr(result.exception, "exit_code", None) == 2
        assert says in result.output + str(result.exception)


def test_options_stay_with_their_name_and_null_takes_a_section_away(two, tmp_path):
    deeper = tmp_path / "deeper.yaml"
    deeper.write_text("base: first.yaml\ncritic: {widths: [4]}\nnetwork: {name: unet}\n", encoding="utf-8")
    assert Recipe.read(deeper).network.options == {}
    assert Recipe.read(two[0]).network.options
    off = tmp_path / "off.yaml"
    off.write_text("base: deeper.yaml\ncritic: null\n", encoding="utf-8")
    assert Recipe.read(deeper).critic is not None
    assert Recipe.read(off).critic is None


def test_a_base_may_be_in_a_variable(two, tmp_path, monkeypatch):
    monkeypatch.setenv("PLACE", str(tmp_path))
    (tmp_path / "a.yaml").write_text("base: ${PLACE}/first.yaml\n", encoding="utf-8")
    assert Recipe.read(tmp_path / "a.yaml").name == "first"


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
    [
        ("base: a.yaml", "starts from itself"),
        ("base: b.yaml", "starts from itself"),
        ("base: 3", "'base' is 3"),
        ("base: none.yaml", r"a\.yaml starts from .*none\.yaml, which is not there"),
        ("bass: b.yaml", "did you mean 'base'"),
    ],
)
def test_a_wrong_base(tmp_path, text, says):
    path = tmp_path / "a.yaml"
    path.write_text(text, encoding="utf-8")
    (tmp_path / "b.yaml").write_text("base: a.yaml", encoding="utf-8")
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
