"""One training run: a recipe in, a run folder out.

The folder holds `recipe.yaml` (resolved), `environment.json`, `data.json`, `metrics.csv`, TensorBoard events,
`checkpoints/`, `best.safetensors`, `last.safetensors`, `pictures/`, `report.html` and, at the end, `finished.json`. An
interrupted run goes on from its last finished epoch and ends with the weights that it would have had.
docs/training.md explains each file.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, LearningRateMonitor
from lightning.pytorch.loggers import TensorBoardLogger

from figureground import images
from figureground.errors import DataError, RecipeError, within
from figureground.networks.blocks.depthwise import quick_depthwise
from figureground.networks.heads import HeadedNetwork
from figureground.networks.published import load_published
from figureground.networks.registry import without_weights
from figureground.networks.transfer import read_tensors, transfer
from figureground.train.balance import as_measured_before, measured
from figureground.train.callbacks import DrawPredictions, KeepBest, SaveProgress
from figureground.train.checkpoint import check_checkpoint
from figureground.train.denormals import denormals_flushed
from figureground.train.disk import DrawDisk
from figureground.train.divergence import StopAtNaN
from figureground.train.failures import plain_failures
from figureground.train.feed import Feed
from figureground.train.logs import LongCsv
from figureground.train.memory import keep_freed_memory
from figureground.train.provenance import changed_data, data_fingerprint, environment, read_note, with_resumption
from figureground.train.recipe import Recipe
from figureground.train.report import WriteReport
from figureground.train.stopping import StopEarly
from figureground.train.task import ImageNetwork, SegmentationTask
from figureground.train.trackers import check_trackers, trackers
from figureground.train.weights import is_published, load_weights

CHECKPOINT = "checkpoints/last.ckpt"
DATA = "data.json"
FINISHED = "finished.json"
"""Written when the last epoch is over; a finished run is left as it is."""


def run(
    recipe_path: Path,
    overrides: list[str] | None = None,
    *,
    output: Path | None = None,
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
) -> Path:
    """Train a recipe; returns the run folder (`runs/<recipe's name>` unless `output` is given).

    Args:
        recipe_path: the YAML file.
        overrides: `key=value` changes to it.
        output: the run folder.
        resume: go on in a folder that already holds a run; without it such a folder is refused.
        callbacks: Lightning's, to run after our own.

    Raises:
        RecipeError: the recipe is wrong, or the folder holds a run (of another recipe).
        DataError: the data is not as the recipe says, or not what the run to resume began with.
        MissingExtraError: the recipe names a logger that is not installed.
        OutputError: the folder cannot be written, or the disk is full.
        DivergedError: the loss became infinite, or no number; its batch is kept.
        InterruptedRun: stopped by Ctrl-C or a signal; the run can be resumed.
    """
    recipe = Recipe.read(Path(recipe_path), overrides)
    folder = output or Path("runs") / recipe.name
    if resume and (folder / "recipe.yaml").exists():
        recipe = as_measured_before(recipe, Recipe.read(folder / "recipe.yaml"))
    _check_folder(folder, recipe, resume)
    if (folder / FINISHED).exists():
        return folder
    if not torch.cuda.is_available():
        keep_freed_memory()
    L.seed_everything(recipe.seed, workers=True, verbose=False)
    with within(recipe_path):
        check_trackers(recipe)
        recipe.inference.check(recipe.tree)
        feed = Feed(recipe, folder)
        recipe = measured(recipe, feed.training)
        task = SegmentationTask(recipe, build_model(recipe), _teacher(recipe))
    photos = _photos(folder, recipe)
    checkpoint = folder / CHECKPOINT if (folder / CHECKPOINT).exists() else None
    if checkpoint is not None:
        check_checkpoint(checkpoint, task)
    with plain_failures(folder), denormals_flushed(), warnings.catch_warnings():
        # Lightning's advice on workers and intervals would drown the lines that say how the run goes.
        warnings.filterwarnings("ignore", module="lightning")
        _start(folder, recipe, photos)
        feed.prepare(folder)
        trainer = _trainer(recipe, folder, callbacks)
        trainer.fit(task, feed, ckpt_path=checkpoint, weights_only=True)
        images.write_bytes(json.dumps({"epochs": trainer.current_epoch}).encode(), folder / FINISHED)
    return folder


def check_recipe(recipe: Recipe, folder: Path) -> None:
    """Raise what `run` would before the first step in `folder`, new or resumed, but for the weights to start from.

    Those, and the run of a teacher, may be made by a run that comes before.
    """
    _check_folder(folder, recipe, resume=True)
    if (folder / FINISHED).exists():
        return
    check_trackers(recipe)
    recipe.inference.check(recipe.tree)
    feed = Feed(recipe, folder)
    network = recipe.network.model_copy(update={"weights": None, "partial": False})
    recipe = measured(recipe.model_copy(update={"network": network, "distill": None}), feed.training)
    SegmentationTask(recipe, build_model(recipe), None)


def _check_folder(folder: Path, recipe: Recipe, resume: bool) -> None:
    if not (folder / "recipe.yaml").exists():
        if (folder / CHECKPOINT).exists() or (folder / FINISHED).exists():
            raise RecipeError(
                f"{folder} holds what is left of a run without its recipe.yaml",
                remedy="give -o another folder, or delete this one",
            )
        return
    if not resume:
        raise RecipeError(f"{folder} already holds a run", remedy="add --resume to go on with it, or -o another folder")
    difference = recipe.difference(Recipe.read(folder / "recipe.yaml"))
    if difference:
        raise RecipeError(
            f"{folder} was made by another recipe: {difference}",
            remedy="give the same recipe and the same --set, or -o another folder",
        )


def _photos(folder: Path, recipe: Recipe) -> dict[str, dict[str, Any]]:
    """The fingerprint of the recipe's photos, which must be that of the run in the folder, where one has begun."""
    photos, path = data_fingerprint(recipe), folder / DATA
    difference = changed_data(read_note(path), photos) if path.exists() else None
    if difference:
        raise DataError(
            f"the photos are not those that the run in {folder} began with: {difference}",
            remedy=f"bring them back, give -o another folder, or delete {path} to go on with these",
        )
    return photos


def _start(folder: Path, recipe: Recipe, photos: dict[str, dict[str, Any]]) -> None:
    (folder / CHECKPOINT).parent.mkdir(parents=True, exist_ok=True)
    for left in folder.rglob(".figureground-*.part"):  # by a process that was killed
        left.unlink()
    noted, now = folder / "environment.json", environment()
    if (folder / "recipe.yaml").exists() and noted.exists():
        now = with_resumption(read_note(noted), now)
    images.write_bytes(json.dumps(now, indent=1).encode(), noted)
    images.write_bytes(json.dumps(photos, indent=1).encode(), folder / DATA)
    # Last, because this file is what makes a folder a run.
    images.write_bytes(recipe.dump().encode(), folder / "recipe.yaml")


def build_model(recipe: Recipe) -> ImageNetwork:
    """The recipe's network with its normalisation, at the weights the recipe starts from."""
    with within("network"):
        model = ImageNetwork(recipe.network, recipe.head, recipe.tree, depth=recipe.depth is not None)
        if recipe.network.weights is not None:
            _load(model, recipe.network.weights, partial=recipe.network.partial)
    quick_depthwise(model)
    return model.to(memory_format=torch.channels_last) if recipe.schedule.channels_last else model


def _load(model: ImageNetwork, weights: Path, *, partial: bool) -> None:
    """An earlier run's weights, whole or in part, or another library's; of what fits in part, a report."""
    if is_published(weights):
        network = model.network.body if isinstance(model.network, HeadedNetwork) else model.network
        report = load_published(network, weights)
    elif partial:
        report = transfer(model, _under_the_same_head(read_tensors(weights), isinstance(model.network, HeadedNetwork)))
    else:
        load_weights(model, weights)
        return
    sys.stderr.write(f"{weights}: {report}\n")


def _under_the_same_head(state: dict[str, torch.Tensor], headed: bool) -> dict[str, torch.Tensor]:
    """A run's tensors named as they are where the network stands under a head of its own, or where it does not."""
    plain, under = "network.", "network.body."
    was_headed = all(name.startswith((under, "network.head.", "network.embedding.")) for name in state)
    if headed == was_headed:
        return state
    if headed:
        return {under + name.removeprefix(plain): tensor for name, tensor in state.items()}
    kept = {name: tensor for name, tensor in state.items() if name.startswith(under)}
    return {plain + name.removeprefix(under): tensor for name, tensor in kept.items()}


def load_run(folder: Path, weights: str = "best.safetensors") -> tuple[Recipe, ImageNetwork]:
    """A finished run's recipe and its network with the best weights, in evaluation mode.

    Raises:
        RecipeError: the folder holds no run, or its recipe is broken.
        NetworkError: it holds no weights yet, or others.
    """
    if not (folder / "recipe.yaml").is_file():
        raise RecipeError(f"{folder} holds no run", remedy="give a folder that 'figureground train' made")
    recipe = Recipe.read(folder / "recipe.yaml")
    # The run's own weights replace what it started from, which may not be there any more.
    options = without_weights(recipe.network.name, recipe.network.options)
    offline = recipe.network.model_copy(update={"weights": None, "partial": False, "options": options})
    model = ImageNetwork(offline, recipe.head, recipe.tree, depth=recipe.depth is not None)
    load_weights(model, folder / weights)
    return recipe, model.eval()


def _teacher(recipe: Recipe) -> ImageNetwork | None:
    if recipe.distill is None:
        return None
    taught, model = load_run(recipe.distill.run)
    if taught.tree != recipe.tree:
        raise RecipeError(
            f"the teacher in {recipe.distill.run} has other labels than the recipe",
            remedy="use a teacher of the same tree",
        )
    return model.requires_grad_(False)


def _trainer(recipe: Recipe, folder: Path, more: Sequence[Callback] = ()) -> L.Trainer:
    schedule = recipe.schedule
    callbacks: list[Callback] = [
        StopAtNaN(folder),
        KeepBest(folder),
        DrawPredictions(folder / "pictures"),
        DrawDisk(folder / "pictures"),
        LearningRateMonitor("epoch"),
        WriteReport(folder),
        SaveProgress(folder / CHECKPOINT),
        *more,
    ]
    if schedule.ema > 0:
        callbacks.append(EMAWeightAveraging(decay=schedule.ema))
    if schedule.early_stopping is not None:
        callbacks.append(StopEarly(schedule.early_stopping))
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    return L.Trainer(
        max_epochs=schedule.epochs,
        precision=schedule.precision,
        gradient_clip_val=recipe.optimize.clip_norm,
        accumulate_grad_batches=recipe.optimize.accumulate,
        callbacks=callbacks,
        logger=[
            LongCsv(folder / "metrics.csv"),
            TensorBoardLogger(folder, name="", version="", default_hp_metric=False),
            *trackers(recipe, folder),
        ],
        default_root_dir=folder,
        enable_progress_bar=sys.stderr.isatty(),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        check_val_every_n_epoch=schedule.validate_every,
        reload_dataloaders_every_n_epochs=1,
        log_every_n_steps=20,
    )
