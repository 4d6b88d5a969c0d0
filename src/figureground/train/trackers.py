"""Experiment trackers that a recipe switches on: Weights & Biases and MLflow, where they are installed.

Everything stays in the run folder unless the environment names a server: `WANDB_MODE=online`, `MLFLOW_TRACKING_URI`.
A resumed run goes on in the same record; which one that is, `trackers.json` in the run folder says.

Not Lightning's loggers for the two: those start a new record when a run is resumed, and the one for MLflow stores in
files that MLflow no longer writes.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from figureground import images
from figureground.errors import MissingExtraError
from figureground.train.recipe import Recipe

__all__ = ["MLflow", "WeightsAndBiases", "check_trackers", "trackers"]

PROJECT = "figureground"
_MEMORY = "trackers.json"


def check_trackers(recipe: Recipe) -> None:
    """MissingExtraError where the recipe names a tracker that is not installed."""
    for name in recipe.loggers:
        if importlib.util.find_spec(name) is None:
            raise MissingExtraError(
                f"the recipe names the logger '{name}', and that package is not installed",
                remedy=f"type: pip install {name}, or take it out of 'loggers'",
            )


def trackers(recipe: Recipe, folder: Path) -> list[Logger]:
    """The trackers that a recipe names, for a run in `folder`; each begins its record with the first number."""
    kinds = {"wandb": WeightsAndBiases, "mlflow": MLflow}
    return [kinds[name](recipe, folder) for name in recipe.loggers]


class _Tracker(Logger):
    """What both have in common: their record is opened with the first number, and remembered for a resume."""

    module: str

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        super().__init__()
        self.recipe = recipe
        self.folder = folder
        self.record: Any = None

    @property
    def name(self) -> str:
        """What Lightning calls this log."""
        return self.module

    @property
    def version(self) -> str:
        """None is kept: the run folder is the version."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the record begins with the recipe."""

    def remembered(self) -> str | None:
        """The number of the record that an earlier part of this run made."""
        path = self.folder / _MEMORY
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return str(known[self.module]) if self.module in known else None

    def remember(self, number: str) -> None:
        """Keep the record's number in the run folder."""
        path = self.folder / _MEMORY
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        images.write_bytes(json.dumps({**known, self.module: number}).encode(), path)


class WeightsAndBiases(_Tracker):
    """Numbers, and the recipe as configuration, in a run of `wandb`; offline unless `WANDB_MODE` says otherwise."""

    module = "wandb"

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Hand on the numbers of one moment."""
        if self.record is None:
            self.record = self._open()
        self.record.log({**metrics, "step": step})

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the record."""
        if self.record is not None:
            self.record.finish(exit_code=0 if status == "success" else 1)
            self.record = None

    def _open(self) -> Any:
        number = self.remembered() or uuid.uuid4().hex[:12]
        self.remember(number)
        opened = importlib.import_module("wandb").init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=self.recipe.name,
            id=number,
            resume="allow",
            dir=str(self.folder),
            mode=os.environ.get("WANDB_MODE", "offline"),
            config=self.recipe.model_dump(mode="json"),
        )
        # A resumed run logs steps again, which its own counter would refuse.
        opened.define_metric("*", step_metric="step")
        return opened


class MLflow(_Tracker):
    """Numbers, and the recipe's values as parameters, in a run of `mlflow`; in the folder's `mlflow.db` by default."""

    module = "mlflow"
    number = ""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Hand on the numbers of one moment."""
        if self.record is None:
            self.record = self._open()
        metric, now = importlib.import_module("mlflow.entities").Metric, int(1000 * time.time())
        found = [metric(name, float(value), now, step or 0) for name, value in metrics.items()]
        self.record.log_batch(self.number, metrics=found)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the record."""
        if self.record is not None:
            self.record.set_terminated(self.number, "FINISHED" if status == "success" else "FAILED")
            self.record = None

    def _open(self) -> Any:
        client = importlib.import_module("mlflow").MlflowClient(
            os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.folder.absolute() / 'mlflow.db'}"
        )
        remembered = self.remembered()
        if remembered is not None:
            self.number = remembered
            client.update_run(self.number, "RUNNING")
            return client
        experiment = client.get_experiment_by_name(PROJECT)
        place = client.create_experiment(PROJECT) if experiment is None else experiment.experiment_id
        self.number = client.create_run(place, run_name=self.recipe.name).info.run_id
        self.remember(self.number)
        param = importlib.import_module("mlflow.entities").Param
        values = [param(key, str(value)[:500]) for key, value in self.recipe.flat().items()]
        for first in range(0, len(values), 100):  # it takes no more at once
            client.log_batch(self.number, params=values[first : first + 100])
        return client
