"""Weights & Biases and MLflow get what a run logs, and a resumed run goes on in the same record.

Stand-ins take their places, with the calls that wandb 0.31 and mlflow 3.17 were seen to take.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from types import SimpleNamespace

import pytest

from figureground.errors import MissingExtraError, RecipeError
from figureground.train import Recipe, run
from figureground.train.trackers import trackers


class Wandb:
    """Keeps what `init` was given, and what its runs were told."""

    def __init__(self):
        self.runs = []

    def init(self, **arguments):
        told = []
        opened = SimpleNamespace(
            arguments=arguments, told=told, log=told.append, axes=[],
            define_metric=lambda name, step_metric: opened.axes.append((name, step_metric)),
            finish=lambda exit_code: setattr(opened, "exit_code", exit_code),
        )  # fmt: skip
        self.runs.append(opened)
        return opened


class Mlflow:
    """A client whose runs are kept by their number."""

    def __init__(self):
        self.places, self.runs, self.addresses = {}, {}, []

    def MlflowClient(self, address):
        self.addresses.append(address)
        return self

    def get_experiment_by_name(self, name):
        return SimpleNamespace(experiment_id=self.places[name]) if name in self.places else None

    def create_experiment(self, name):
        self.places[name] = f"place {len(self.places)}"
        return self.places[name]

    def create_run(self, place, run_name):
        number = f"run {len(self.runs)}"
        self.runs[number] = {"place": place, "name": run_name, "metrics": [], "params": {}, "status": "RUNNING"}
        return SimpleNamespace(info=SimpleNamespace(run_id=number))

    def update_run(self, number, status):
        self.runs[number]["status"] = status

    set_terminated = update_run

    def log_batch(self, number, metrics=(), params=()):
        assert len(params) <= 100
        self.runs[number]["metrics"] += metrics
        self.runs[number]["params"].update(dict(params))


@pytest.fixture
def installed(monkeypatch):
    """Both stand-ins in the places of the packages."""
    for name in ("WANDB_MODE", "WANDB_PROJECT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    wandb, mlflow = Wandb(), Mlflow()
    entities = SimpleNamespace(Metric=lambda *values: values, Param=lambda *values: values)
    for name, module in {"wandb": wandb, "mlflow": mlflow, "mlflow.entities": entities}.items():
        monkeypatch.setitem(sys.modules, name, module)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: name in sys.modules or find(name, *rest))
    return wandb, mlflow


BOTH = ["loggers=[wandb, mlflow]", "schedule.epochs=1"]


def test_a_run_tells_both_and_goes_on_in_the_same_records(installed, tiny_recipe, tmp_path, monkeypatch):
    wandb, mlflow = installed
    folder = run(tiny_recipe, BOTH, output=tmp_path / "run")
    [record] = wandb.runs
    expected = {"project": "figureground", "name": "tiny", "dir": str(folder), "mode": "offline", "resume": "allow"}
    assert expected.items() <= record.arguments.items()
    assert record.arguments["config"]["schedule"]["epochs"] == 1
    assert record.axes == [("*", "step")]
    assert record.exit_code == 0
    names = set().union(*record.told)
    assert {"val/score", "train/loss_epoch", "step"} <= names
    [(number, kept)] = mlflow.runs.items()
    assert mlflow.addresses == [f"sqlite:///{folder.absolute()}/mlflow.db"]
    assert (kept["name"], kept["status"], kept["place"]) == ("tiny", "FINISHED", "place 0")
    assert kept["params"]["schedule.epochs"] == "1"
    assert {name for name, *_ in kept["metrics"]} == names - {"step"}
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:1")
    for tracker in trackers(Recipe.read(tiny_recipe, BOTH), folder):
        tracker.log_metrics({"val/score": 0.25}, 9)
        tracker.finalize("failed")
    assert wandb.runs[1].arguments["id"] == record.arguments["id"]
    assert (wandb.runs[1].arguments["mode"], wandb.runs[1].exit_code) == ("online", 1)
    assert mlflow.addresses[1:] == ["http://localhost:1"]
    assert list(mlflow.runs) == [number]
    assert kept["metrics"][-1][:2] == ("val/score", 0.25)
    assert kept["status"] == "FAILED"
    assert set(json.loads((folder / "trackers.json").read_text())) == {"wandb", "mlflow"}


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_what_is_not_installed_is_said_before_anything_runs(tiny_recipe, tmp_path, monkeypatch, name):
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    with pytest.raises(MissingExtraError, match=f"names the logger '{name}'.*type: pip install {name}, or take it out"):
        run(tiny_recipe, [f"loggers=[{name}]"], output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_loggers_may_change_on_resuming_and_must_be_known(tiny_recipe):
    plain, logged = Recipe.read(tiny_recipe), Recipe.read(tiny_recipe, ["loggers=[wandb]"])
    assert plain.difference(logged) is None
    assert logged.difference(plain) is None
    with pytest.raises(RecipeError, match=r"loggers\.0"):
        Recipe.read(tiny_recipe, ["loggers=[wanbd]"])
