"""One training run: a recipe in, a run folder out.

The folder holds `recipe.yaml` (resolved), `environment.json`, `metrics.csv`, TensorBoard events, `checkpoints/`,
`best.safetensors`, `last.safetensors` and `pictures/`. An interrupted run goes on from its last finished epoch.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import platform
import sys
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, LearningRateMonitor
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from figureground.errors import DataError, RecipeError
from figureground.train.callbacks import DrawPredictions, KeepBest, SaveProgress
from figureground.train.feed import Feed
from figureground.train.recipe import Recipe
from figureground.train.task import ImageNetwork, SegmentationTask, label_tree
from figureground.train.weights import load_weights


def run(
    recipe_path: Path, overrides: list[str] | None = None, *, output: Path | None = None, resume: bool = False
) -> Path:
    """Train a recipe; returns the run folder (`runs/<recipe's name>` unless `output` is given).

    Args:
        recipe_path: the YAML file.
        overrides: `key=value` changes to it.
        output: the run folder.
        resume: go on in a folder that already holds a run; without it such a folder is refused.

    Raises:
        RecipeError: the recipe is wrong, or the folder holds another run.
        DataError: the data is not as the recipe says.
    """
    recipe = Recipe.read(Path(recipe_path), overrides)
    folder = output or Path("runs") / recipe.name
    checkpoint = folder / "checkpoints" / "last.ckpt"
    if (folder / "recipe.yaml").exists() and not resume:
        raise RecipeError(f"{folder} already holds a run", remedy="add --resume to go on with it, or -o another folder")
    torch.set_flush_denormal(True)
    L.seed_everything(recipe.seed, workers=True, verbose=False)
    labels = label_tree(recipe.labels)
    feed = Feed(recipe)
    task = SegmentationTask(recipe, build_model(recipe), labels, _teacher(recipe, len(labels.leaves)))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text(recipe.dump(), encoding="utf-8")
    (folder / "environment.json").write_text(json.dumps(environment(), indent=1), encoding="utf-8")
    trainer = _trainer(recipe, folder)
    trainer.fit(task, feed, ckpt_path=checkpoint if resume and checkpoint.exists() else None, weights_only=False)
    if trainer.interrupted:
        raise DataError(f"the run in {folder} was interrupted", remedy="go on with --resume")
    return folder


def build_model(recipe: Recipe) -> ImageNetwork:
    """The recipe's network with its normalisation, at the weights the recipe starts from."""
    model = ImageNetwork(recipe.network, leaves=len(label_tree(recipe.labels).leaves))
    if recipe.network.weights is not None:
        load_weights(model, recipe.network.weights)
    return model.to(memory_format=torch.channels_last) if recipe.schedule.channels_last else model


def load_run(folder: Path, weights: str = "best.safetensors") -> tuple[Recipe, ImageNetwork]:
    """A finished run's recipe and its network with the best weights, in evaluation mode."""
    recipe = Recipe.read(folder / "recipe.yaml")
    offline = recipe.network.model_copy(update={"weights": None, "options": _without_download(recipe.network.options)})
    model = ImageNetwork(offline, leaves=len(label_tree(recipe.labels).leaves))
    load_weights(model, folder / weights)
    return recipe, model.eval()


def _without_download(options: dict[str, Any]) -> dict[str, Any]:
    # The run's own weights replace the encoder's start, which may not be there any more.
    return {name: value for name, value in options.items() if name != "encoder_weights"}


def _teacher(recipe: Recipe, leaves: int) -> ImageNetwork | None:
    if recipe.distill is None:
        return None
    taught, model = load_run(recipe.distill.run)
    if len(label_tree(taught.labels).leaves) != leaves:
        raise RecipeError("the teacher has other labels than the recipe", remedy="use a teacher of the same tree")
    return model.requires_grad_(False)


def _trainer(recipe: Recipe, folder: Path) -> L.Trainer:
    schedule = recipe.schedule
    callbacks: list[Callback] = [
        KeepBest(folder),
        DrawPredictions(folder / "pictures"),
        LearningRateMonitor("epoch"),
        SaveProgress(folder / "checkpoints" / "last.ckpt"),
    ]
    if schedule.ema > 0:
        callbacks.append(EMAWeightAveraging(decay=schedule.ema))
    # Lightning's notes on the machine would drown the lines that say how the run goes.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    return L.Trainer(
        max_epochs=schedule.epochs,
        precision=schedule.precision,
        gradient_clip_val=recipe.optimize.clip_norm,
        callbacks=callbacks,
        logger=[
            CSVLogger(folder, name="", version=""),
            TensorBoardLogger(folder, name="", version="", default_hp_metric=False),
        ],
        default_root_dir=folder,
        enable_progress_bar=sys.stderr.isatty(),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        check_val_every_n_epoch=schedule.validate_every,
        reload_dataloaders_every_n_epochs=1,
        log_every_n_steps=20,
    )


def environment() -> dict[str, str]:
    """Versions of what a result depends on."""
    names = ("figureground", "torch", "torchvision", "lightning", "timm", "numpy", "pillow")
    versions = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {"python": platform.python_version(), "machine": platform.machine(), **versions}
