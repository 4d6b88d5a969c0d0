"""The search over a recipe: what it may change, what it keeps, and that it goes on where it was."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import optuna
import pytest
import yaml

from figureground.cli.app import main
from figureground.errors import DataError, OutputError, RecipeError
from figureground.train import Recipe, run
from figureground.train.failures import InterruptedRun
from figureground.train.logs import LongCsv
from figureground.train.search import Prune, search
from figureground.train.space import Range, as_yaml, read_space

SPACE = {
    "optimize.learning_rate": {"log": [1e-5, 0.01]},
    "losses.1.weight": {"range": [0.0, 1.0], "step": 0.25},
    "schedule.batch_size": {"range": [2, 6]},
    "schedule.stages": {"choice": [[{"sizes": [32]}], [{"sizes": [32, 64]}]]},
}


@pytest.fixture
def space(tmp_path):
    def write(values=SPACE):
        path = tmp_path / "space.yaml"
        path.write_text(yaml.safe_dump(values, sort_keys=False))
        return path

    return write


# What may be changed


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimize.learning_rat": {"log": [1, 2]}}, "no key 'optimize.learning_rat'; did you mean 'optimize"),
        ({"critic.weight": {"range": [0, 1]}}, "no key 'critic.weight'"),
        ({"seed": [1, 2]}, r"seed is \[1, 2\]; write \{choice: \[a, b\]\}"),
        ({"seed": {"range": [1, 2], "choice": [1]}}, "write {choice"),
        ({"seed": {"range": [1, 2], "steps": 1}}, "seed.steps: Extra inputs"),
        ({"seed": {"range": [2, 1]}}, "first end of the range must be below the second"),
        ({"seed": {"range": [1, 9], "step": 0.5}}, "a range of whole numbers has a whole step"),
        ({"optimize.learning_rate": {"log": [0, 1]}}, "must be above 0"),
        *(
            ({"optimize.learning_rate": {kind: ends}}, "optimize.learning_rate: the ends of a range, .* must be finite")
            for kind, ends in (
                ("range", [0.1, float("inf")]),
                ("range", [float("-inf"), 0.1]),
                ("range", [float("nan"), 0.1]),
                ("range", [0.1, float("nan")]),
                ("range", [-1.7e308, 1.7e308]),
                ("range", [1, 10**400]),
                ("log", [0.1, float("inf")]),
                ("log", [float("nan"), 1]),
            )
        ),
        (
            {"losses.1.weight": {"range": [0.0, 1.0], "step": 3.0}},
            "losses.1.weight: the step must be at most .* not 3.0",
        ),
        (
            {"losses.1.weight": {"range": [0.0, 1.0], "step": float("inf")}},
            "losses.1.weight: the step must be at most .* not inf",
        ),
        ({"losses.1.weight": {"range": [0.0, 1.0], "step": float("nan")}}, "losses.1.weight.step: "),
        (
            {"schedule.batch_size": {"range": [2, 6], "step": 5}},
            "schedule.batch_size: the step must be at most .* not 5",
        ),
        ({"optimize.learning_rate": {"range": [-1.0, 1.0]}}, "-1.0 does not fit: .*optimize.learning_rate"),
        ({"schedule.batch_size": {"range": [1.5, 2]}}, "schedule.batch_size: 1.5 does not fit"),
        ({"schedule.precision": {"choice": ["bf16-mixed", "bf17"]}}, "bf17 does not fit"),
        ({}, "names no key"),
        ([1], "names no key"),
    ],
)
def test_a_wrong_space_is_refused_before_anything_runs(tiny_recipe, space, tmp_path, values, message):
    with pytest.raises(RecipeError, match=message):
        search(tiny_recipe, space(values), trials=1, output=tmp_path / "search")
    assert not (tmp_path / "search").exists()


def test_a_space_that_cannot_be_read(tiny_recipe, tmp_path):
    with pytest.raises(RecipeError, match="cannot read the space"):
        read_space(tmp_path / "none.yaml", tiny_recipe)
    (tmp_path / "space.yaml").write_text("a: [")
    with pytest.raises(RecipeError, match="is not YAML"):
        read_space(tmp_path / "space.yaml", tiny_recipe)


@pytest.mark.parametrize("value", [1e-05, 3, "a: b", None, True, [1, 2.5], [{"sizes": [32, 64]}], "1e-5", ""])
def test_values_survive_as_yaml(value):
    text = as_yaml(value)
    assert "\n" not in text
    assert yaml.safe_load(text) == value


def test_drawn_values_lie_in_the_space(tiny_recipe, space):
    dimensions = read_space(space(), tiny_recipe)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    drawn = []
    for _ in range(40):
        trial = study.ask()
        texts = {key: dimension.draw(trial, key) for key, dimension in dimensions.items()}
        assert {key: dimension.text(trial.params[key]) for key, dimension in dimensions.items()} == texts
        drawn.append({key: yaml.safe_load(text) for key, text in texts.items()})
    rates = [values["optimize.learning_rate"] for values in drawn]
    assert all(1e-5 <= rate <= 0.01 for rate in rates)
    assert 10 < sum(rate < 3.16e-4 for rate in rates) < 30  # the middle of the logarithms
    assert {values["losses.1.weight"] for values in drawn} == {0, 0.25, 0.5, 0.75, 1}
    assert {values["schedule.batch_size"] for values in drawn} == {2, 3, 4, 5, 6}
    assert {str(values["schedule.stages"]) for values in drawn} == {str(v) for v in SPACE["schedule.stages"]["choice"]}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"range": [0.1, 0.3], "step": 0.2}, {0.1, 0.3}),
        ({"range": [0.0, 1.0], "step": 0.3}, {0.0, 0.3, 0.6, 0.9}),
        ({"range": [0, 1.5], "step": 1}, {0.0, 1.0}),
        ({"range": [1, 8], "step": 3}, {1, 4, 7}),
    ],
)
def test_steps_end_below_the_end_without_a_warning(entry, expected, recwarn):
    dimension = Range.model_validate(entry)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    drawn = {round(float(yaml.safe_load(dimension.draw(study.ask(), "key"))), 9) for _ in range(40)}
    assert drawn == expected
    assert not recwarn.list


# Searches whose trainings are made up


@pytest.fixture
def made_up(monkeypatch):
    """Trainings that only note scores: the nearer the learning rate is to 0.001, the higher."""
    seen = []

    def train(recipe_path, overrides, *, output, resume, callbacks):
        recipe = Recipe.read(recipe_path, overrides)
        seen.append((output.name, overrides))
        output.mkdir(parents=True, exist_ok=True)
        (output / "recipe.yaml").write_text(recipe.dump())
        rate = recipe.optimize.learning_rate
        score = min(rate, 1e-3) / max(rate, 1e-3)
        LongCsv(output / "metrics.csv").log_metrics({"epoch": 0, "val/score": score}, 3)
        return output

    monkeypatch.setattr("figureground.train.search.run", train)
    return seen


def test_a_search_keeps_the_best(tiny_recipe, space, tmp_path, made_up):
    said = []
    folder = tmp_path / "search"
    found = search(tiny_recipe, space(), trials=6, overrides=["seed=5"], output=folder, say=said.append)
    assert [name for name, _ in made_up] == [f"trial_{number:03d}" for number in range(6)]
    assert [len(trials.rows) for trials in said] == [1, 2, 3, 4, 5]
    scores = [row.score for row in found.rows]
    assert scores == sorted(scores, reverse=True)
    document = json.loads((folder / "trials.json").read_text())
    assert [row["score"] for row in document["trials"]] == scores
    table = (folder / "trials.md").read_text().splitlines()
    assert len(table) == 8
    assert table[0].startswith("| trial | state | score | in epoch | seconds | optimize.learning_rate |")
    best = Recipe.read(folder / "best.yaml")
    assert best.seed == 5
    assert best.name == "tiny-best"
    trained = Recipe.read(folder / found.best.folder / "recipe.yaml")
    assert best.difference(trained.model_copy(update={"name": "tiny-best"})) is None
    again = search(tiny_recipe, space(), trials=6, overrides=["seed=5"], output=folder)
    assert again.rows == found.rows
    assert len(made_up) == 6


def test_the_best_recipe_keeps_its_variables(tiny_recipe, space, tmp_path, made_up, monkeypatch, tiny_photos):
    monkeypatch.setenv("PHOTOS", str(tiny_photos))
    search(tiny_recipe, space(), trials=1, overrides=["data.root=${PHOTOS}"], output=tmp_path / "search")
    assert yaml.safe_load((tmp_path / "search/best.yaml").read_text())["data"]["root"] == "${PHOTOS}"


def test_another_study_is_refused(tiny_recipe, space, tmp_path, made_up):
    folder = tmp_path / "search"
    search(tiny_recipe, space(), trials=1, output=folder)
    with pytest.raises(RecipeError, match=r"study of another recipe: seed is 4, not 3"):
        search(tiny_recipe, space(), trials=2, overrides=["seed=4"], output=folder)
    other = {**SPACE, "seed": {"range": [1, 4]}}
    with pytest.raises(RecipeError, match="study of another space"):
        search(tiny_recipe, space(other), trials=2, output=folder)
    with pytest.raises(RecipeError, match="holds the trials of another search"):
        search(tiny_recipe, space(), trials=2, output=folder, study=tmp_path / "new.db")
    (tmp_path / "text.db").write_text("no study at all, but a text of some length")
    with pytest.raises(RecipeError, match="is no study file"):
        search(tiny_recipe, space(), trials=2, output=tmp_path / "b", study=tmp_path / "text.db")


def test_a_folder_that_cannot_be_made(tiny_recipe, space, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot make the folder"):
        search(tiny_recipe, space(), trials=1, output=tmp_path / "file" / "search")


def test_values_that_do_not_go_together_are_a_failed_trial(tiny_recipe, space, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise RecipeError("these two do not go together")

    monkeypatch.setattr("figureground.train.search.run", refuse)
    found = search(tiny_recipe, space(), trials=2, output=tmp_path / "search")
    assert [(row.state, row.score, row.error) for row in found.rows] == 2 * [
        ("failed", None, "these two do not go together")
    ]
    assert found.best is None
    assert "trial_001 failed: these two do not go together" in (tmp_path / "search/trials.md").read_text()
    assert not (tmp_path / "search/best.yaml").exists()


def test_what_concerns_all_trials_ends_the_search(tiny_recipe, space, tmp_path):
    with pytest.raises(DataError, match="no folder nowhere"):
        search(tiny_recipe, space(), trials=2, overrides=["data.root=nowhere"], output=tmp_path / "search")


def test_a_trial_that_is_worse_than_the_others_is_broken_off(tmp_path):
    class Trainer:
        sanity_checking, should_stop, max_epochs = False, False, 3

        def __init__(self, epoch, score):
            self.current_epoch, self.callback_metrics = epoch, {"val/score": score}

    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=2))
    stopped = []
    for score in (0.5, 0.7, 0.9, 0.4, 0.8):
        trial = study.ask()
        judge = Prune(trial, tmp_path)
        first, last = Trainer(0, score), Trainer(2, score)
        judge.on_validation_end(first, None)
        stopped.append(first.should_stop)
        judge.on_validation_end(last, None)
        assert not last.should_stop
        study.tell(trial, score)
    assert stopped == [False, False, False, True, False]


# At the command line


def test_the_command_prints_the_trials(tiny_recipe, space, tmp_path, made_up, capsys):
    folder = tmp_path / "search"
    given = ["--space", str(space()), "--trials", "2", "--set", "seed=5", "-o", str(folder)]
    assert main(["search", str(tiny_recipe), *given]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0].split()[:3] == ["trial", "state", "score"]
    assert [line.split()[1] for line in lines[1:3]] == ["finished", "finished"]
    assert lines[3] == str(folder / "best.yaml")
    assert printed.err.startswith("trial_000: finished, score 0.")
    assert Recipe.read(folder / "best.yaml").seed == 5
    assert main(["search", str(tiny_recipe), *given, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {**json.loads((folder / "trials.json").read_text()), "best": str(folder / "best.yaml")}


def test_without_optuna_the_command_says_what_to_install(tiny_recipe, space, monkeypatch, capsys):
    for name in ("search", "space", "trials"):
        monkeypatch.delitem(sys.modules, f"figureground.train.{name}")
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main(["search", str(tiny_recipe), "--space", str(space())]) == 5
    assert "'optuna', which is not installed; type: pip install 'figureground[search]'" in capsys.readouterr().err


# A real one


def test_an_interrupted_search_goes_on_in_the_middle_of_its_trial(tiny_recipe, tmp_path, monkeypatch):
    path = tmp_path / "space.yaml"
    path.write_text("losses.1.weight: {range: [0.1, 1.0]}")
    folder, study = tmp_path / "search", tmp_path / "deep/study.db"
    options = {"trials": 2, "overrides": ["data.samples_per_epoch=4"], "study": study, "output": folder}
    epochs = []

    def stop_once(self, trainer, pl_module):
        epochs.append((Path(trainer.default_root_dir).name, trainer.current_epoch))
        if epochs == [("trial_000", 0), ("trial_000", 1)]:
            raise KeyboardInterrupt

    monkeypatch.setattr(Prune, "on_train_epoch_start", stop_once, raising=False)
    with pytest.raises(InterruptedRun):
        search(tiny_recipe, path, **options)
    found = search(tiny_recipe, path, **options)
    assert epochs[2:] == [("trial_000", 1), ("trial_001", 0), ("trial_001", 1)]
    assert sorted((row.folder, row.state) for row in found.rows) == [
        ("trial_000", "finished"),
        ("trial_001", "finished"),
    ]
    first = next(row for row in found.rows if row.folder == "trial_000")
    whole = run(tiny_recipe, ["data.samples_per_epoch=4", f"losses.1.weight={first.values['losses.1.weight']}"],
                output=tmp_path / "whole")  # fmt: skip
    assert (whole / "last.safetensors").read_bytes() == (folder / "trial_000/last.safetensors").read_bytes()
