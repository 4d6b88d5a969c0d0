"""A search for the values of a recipe that score highest on its held-out photos, with Optuna.

Each trial is an ordinary run in a folder of its own. A trial that is worse than the median of the others at the same
epoch is broken off. The study file is written after every validation, so a search that was stopped goes on where it
was, in the middle of a trial too.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import lightning as L
import optuna
import yaml
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from figureground import images
from figureground.errors import NetworkError, RecipeError
from figureground.train.divergence import DivergedError
from figureground.train.history import best, read_history
from figureground.train.recipe import Recipe
from figureground.train.run import run
from figureground.train.space import Space, read_space
from figureground.train.trials import Trials, summary, write_trials

__all__ = ["search"]

SCORE = "val/score"
_STUDY = "study.db"
_UNJUDGED = 4
"""So many trials run to their end before any is broken off."""


class Prune(L.Callback):
    """After each validation: tell the study the score, and end the run where the study has seen enough."""

    def __init__(self, trial: optuna.Trial, folder: Path) -> None:
        self.trial = trial
        self.folder = folder
        self.pruned = False

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Tell what an earlier part of this run, which was interrupted, had scored."""
        for moment in read_history(self.folder / "metrics.csv").get(SCORE, []):
            self.trial.report(moment.value, moment.epoch or 0)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Tell and ask."""
        if trainer.sanity_checking:
            return
        self.trial.report(float(trainer.callback_metrics[SCORE]), trainer.current_epoch)
        last = trainer.current_epoch + 1 == trainer.max_epochs
        if not last and self.trial.should_prune():
            self.pruned = trainer.should_stop = True


def search(
    recipe_path: Path,
    space_path: Path,
    *,
    trials: int,
    overrides: Sequence[str] = (),
    study: Path | None = None,
    output: Path | None = None,
    prune: bool = True,
    say: Callable[[Trials], None] = lambda _: None,
) -> Trials:
    """Try values from a space in a recipe until the study holds `trials` of them, those of earlier calls counted.

    The folder then holds `trials.md` and `trials.json`, a run folder for each trial, and `best.yaml`, the recipe with
    the values of the best finished trial.

    Args:
        recipe_path: the YAML file.
        space_path: the YAML file of what to change; see `figureground.train.space.read_space`.
        trials: how many in all, at least 1.
        overrides: `key=value` changes to the recipe that hold for all trials.
        study: the file that remembers the trials; `study.db` in the folder when not given. One process at a time.
        output: the folder; `searches/<recipe's name>` when not given.
        prune: break off trials that are worse than the median at the same epoch.
        say: called with all trials after each.

    Raises:
        RecipeError: the recipe or the space is wrong, or the study is another's.
        DataError: the data is not as the recipe says.
        InterruptedRun: stopped by Ctrl-C or a signal; the same call goes on.
        OutputError: a folder cannot be written, or the disk is full.
    """
    if trials < 1:
        raise RecipeError(f"{trials} trials", remedy="give at least 1")
    recipe = Recipe.read(recipe_path, list(overrides))
    space = read_space(space_path, recipe_path, overrides)
    folder = output or Path("searches") / recipe.name
    opened = _open(study or folder / _STUDY, recipe, space, prune)
    if not opened.trials and any(folder.glob("trial_*")):
        raise RecipeError(f"{folder} holds the trials of another search", remedy="give their study file, or another -o")
    _take_up(opened)
    while True:
        found = summary(opened, space, folder)
        write_trials(found, folder, recipe_path, overrides)
        if len(found.rows) >= trials:
            return found
        if found.rows:
            say(found)
        _try_one(opened, space, recipe_path, overrides, folder)


def _open(path: Path, recipe: Recipe, space: Space, prune: bool) -> optuna.Study:
    """The study in a file, a new one where there is none, and what it was made for."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    images.make_folder(path.parent)
    try:
        storage = optuna.storages.RDBStorage(f"sqlite:///{path.absolute()}")
        study = optuna.create_study(
            storage=storage, study_name="figureground", direction="maximize", load_if_exists=True
        )
    except SQLAlchemyError as error:
        raise RecipeError(f"{path} is no study file", remedy="name another, or a new one") from error
    searched = json.dumps({key: dimension.model_dump(mode="json") for key, dimension in space.items()})
    if study.user_attrs.setdefault("space", searched) != searched:
        raise RecipeError(f"{path} is a study of another space", remedy="name another --study and -o for this space")
    known = study.user_attrs.get("recipe")
    difference = known and recipe.difference(Recipe.model_validate(yaml.safe_load(known)))
    if difference:
        raise RecipeError(f"{path} is a study of another recipe: {difference}", remedy="name another --study and -o")
    study.set_user_attr("space", searched)
    study.set_user_attr("recipe", recipe.dump())
    # A seed of its own for each part of a search: the first draws of the last part would come again.
    study.sampler = optuna.samplers.TPESampler(seed=recipe.seed + len(study.trials))
    study.pruner = optuna.pruners.MedianPruner(n_startup_trials=_UNJUDGED) if prune else optuna.pruners.NopPruner()
    return study


def _take_up(study: optuna.Study) -> None:
    """Put trials that an earlier process left running first in line again, in the folders that they had."""
    left: list[FrozenTrial] = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in left:
        study.tell(trial.number, state=TrialState.FAIL)
        if "folder" in trial.user_attrs:
            study.enqueue_trial(trial.params, user_attrs={"folder": trial.user_attrs["folder"]})


def _try_one(study: optuna.Study, space: Space, recipe_path: Path, overrides: Sequence[str], folder: Path) -> None:
    trial = study.ask()
    drawn = [f"{key}={dimension.draw(trial, key)}" for key, dimension in space.items()]
    used = {other.user_attrs.get("folder") for other in study.get_trials(deepcopy=False)} - {None}
    place = folder / str(trial.user_attrs.get("folder", f"trial_{len(used):03d}"))
    trial.set_user_attr("folder", place.name)
    judge, began = Prune(trial, place), time.monotonic()
    try:
        run(recipe_path, [*overrides, *drawn], output=place, resume=True, callbacks=[judge])
    except (RecipeError, NetworkError, DivergedError) as error:
        # Values that do not go together, or that made it diverge: the others may do.
        trial.set_user_attr("error", str(error))
        study.tell(trial, state=TrialState.FAIL)
        return
    trial.set_user_attr("seconds", round(time.monotonic() - began, 1))
    highest = best(read_history(place / "metrics.csv").get(SCORE, []))
    if judge.pruned or highest is None:
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, highest.value)
