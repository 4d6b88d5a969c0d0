"""Cross-validation: every photo is held out once, and the table says what the folds reached."""

from __future__ import annotations

import csv
import statistics
from collections import Counter

import pytest
from click.testing import CliRunner

from figureground.cli.app import cli
from figureground.data import Folds, build_sources
from figureground.data.sources import held_out, in_fold
from figureground.errors import RecipeError
from figureground.train import Recipe
from figureground.train import folds as module
from figureground.train.folds import run_folds, run_scores

STEMS = [f"photo{number}" for number in range(3000)]


@pytest.mark.parametrize("count", [2, 3, 5, 7, 10])
def test_every_photo_is_in_one_fold_of_about_equal_size(count):
    folds = [{stem for stem in STEMS if in_fold(stem, fold, count)} for fold in range(count)]
    assert set(Counter(stem for fold in folds for stem in fold).values()) == {1}
    assert sum(map(len, folds)) == len(STEMS)
    assert max(map(len, folds)) < 1.25 * len(STEMS) / count


def test_the_first_fold_of_ten_is_a_tenth_held_out():
    assert [stem for stem in STEMS if in_fold(stem, 0, 10)] == [stem for stem in STEMS if held_out(stem, 0.1)]


def test_the_folds_of_a_recipe(values, recipe_file):
    """The source that holds nothing out only trains; of the others each photo is held out once."""
    values["data"]["sources"][1]["hold_out"] = 0
    held: list[str] = []
    for fold in range(3):
        recipe = Recipe.read(recipe_file(values), [f"data.folds={{count: 3, fold: {fold}}}"])
        training, (people,) = build_sources(
            recipe.data.sources, recipe.data.root, labels=recipe.tree, folds=recipe.data.folds
        )
        assert people.name == "people"
        ours, theirs = ({path.stem for path, _ in source.pairs} for source in (people, training[0]))
        assert not ours & theirs
        assert len(ours | theirs) == 8
        assert len(training[1]) == 8
        held += ours
    assert sorted(held) == [f"p{number}" for number in range(8)]


def test_a_fold_that_is_not_there():
    with pytest.raises(ValueError, match="of 5 folds the last is number 4"):
        Folds(count=5, fold=5)
    with pytest.raises(ValueError, match="greater than or equal to 2"):
        Folds(count=1)


def test_folds_train_and_are_told_in_a_table(tiny_recipe, tmp_path):
    overrides = ["schedule.epochs=2", "data.samples_per_epoch=4"]
    folder = run_folds(tiny_recipe, overrides, count=2, output=tmp_path / "runs")
    with (folder / "folds.csv").open() as file:
        rows = {(row["weights"], row["score"]): row for row in csv.DictReader(file)}
    scores = [run_scores(folder / f"fold_{fold}") for fold in range(2)]
    for weights in ("best", "last"):
        row, given = rows[weights, "score"], [score[weights]["score"] for score in scores]
        assert [float(row["fold 0"]), float(row["fold 1"])] == pytest.approx(given, abs=1e-4)
        assert float(row["mean"]) == pytest.approx(sum(given) / 2, abs=1e-4)
        assert float(row["deviation"]) == pytest.approx(statistics.stdev(given), abs=1e-4)
    page = (folder / "folds.md").read_text().splitlines()
    assert page[0] == "| weights | score | fold 0 | fold 1 | mean | deviation |"
    assert len(page) == 2 + len(rows)
    assert Recipe.read(folder / "fold_1/recipe.yaml").data.folds == Folds(count=2, fold=1)
    before = (folder / "folds.csv").read_bytes()
    with pytest.raises(RecipeError, match="already holds a run"):
        run_folds(tiny_recipe, overrides, count=2, output=folder)
    run_folds(tiny_recipe, overrides, count=2, output=folder, resume=True)
    assert (folder / "folds.csv").read_bytes() == before


LOG = """epoch,step,name,value
0,3,val/score,0.5
0,3,val/people,0.4
0,3,train/loss,9
1,6,val/score,0.1
1,6,val/score,0.7
2,9,val/score,0.7
3,12,val/score,0.6
"""


def test_the_scores_of_a_run(tmp_path):
    """The later of two numbers of an epoch, the first of two equal scores."""
    (tmp_path / "metrics.csv").write_text(LOG)
    assert run_scores(tmp_path) == {"best": {"score": 0.7}, "last": {"score": 0.6}}


def test_folds_without_anything_held_out(values, recipe_file, tmp_path):
    for source in values["data"]["sources"]:
        source["hold_out"] = 0
    with pytest.raises(RecipeError, match="no source takes part in the folds; set hold_out"):
        run_folds(recipe_file(), count=3, output=tmp_path / "runs")


def test_the_command(tiny_recipe, tmp_path, monkeypatch):
    given = {}

    def folds(recipe, overrides, **options):
        given.update(options, recipe=recipe, overrides=overrides)
        (tmp_path / "folds.md").write_text("the table\n")
        return tmp_path

    monkeypatch.setattr(module, "run_folds", folds)
    arguments = ["train", str(tiny_recipe), "--folds", "4", "--set", "seed=1", "--resume"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    assert result.output == f"the table\n{tmp_path}\n"
    assert given["count"] == 4
    assert given["overrides"] == ["seed=1"]
    assert given["resume"]
    assert CliRunner().invoke(cli, ["train", str(tiny_recipe), "--folds", "1"]).exit_code == 2
