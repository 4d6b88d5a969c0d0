"""What happens at the end of each epoch: the best weights are kept and some predictions are drawn."""

from __future__ import annotations

import json
from pathlib import Path

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Checkpoint

from figureground import draw, images
from figureground.train.depth import COLORS
from figureground.train.feed import Photo
from figureground.train.logs import LongCsv
from figureground.train.task import SegmentationTask
from figureground.train.weights import reach_disk, save_weights

SNAPSHOTS = "snapshots"


class KeepBest(L.Callback):
    """After each validation: log the scores, write `last.safetensors`, and `best.safetensors` where it improved.

    With `schedule.snapshots` the weights of so many of the latest validations stay in `snapshots/`, by their epoch.

    Stands before the averaging callback in the trainer's list, so that it sees (and saves) the averaged weights that
    were validated.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.best = -1.0

    def state_dict(self) -> dict[str, float]:
        """What a resumed run must know."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Go on from a checkpoint."""
        self.best = state_dict["best"]

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Have the last epoch validated, whatever `validate_every` says: the learning rate ends there."""
        del pl_module
        if trainer.current_epoch + 1 == trainer.max_epochs:
            trainer.check_val_every_n_epoch = 1

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log and save."""
        if trainer.sanity_checking or not isinstance(pl_module, SegmentationTask):
            return
        summary = pl_module.validation_summary()
        pl_module.log_dict(summary)
        recipe = pl_module.recipe.dump()
        save_weights(pl_module.model, self.folder / "last.safetensors", recipe=recipe)
        if summary["val/score"] > self.best:
            self.best = summary["val/score"]
            save_weights(pl_module.model, self.folder / "best.safetensors", recipe=recipe)
        self._keep_snapshot(trainer.current_epoch, pl_module, recipe)
        line = {"epoch": trainer.current_epoch, **{key: round(value, 4) for key, value in summary.items()}}
        trainer.print(json.dumps(line), flush=True)

    def _keep_snapshot(self, epoch: int, task: SegmentationTask, recipe: str) -> None:
        count = task.recipe.schedule.snapshots
        if not count:
            return
        (self.folder / SNAPSHOTS).mkdir(exist_ok=True)
        save_weights(task.model, self.folder / SNAPSHOTS / f"epoch_{epoch:03d}.safetensors", recipe=recipe)
        # By length first: epoch 1000 comes after 999.
        for path in sorted((self.folder / SNAPSHOTS).glob("epoch_*.safetensors"), key=_by_number)[:-count]:
            path.unlink()


def _by_number(path: Path) -> tuple[int, str]:
    return len(path.name), path.name


class SaveProgress(Checkpoint):
    """After each epoch: `last.ckpt`, all that a resumed run needs, replaced in one move.

    Not Lightning's ModelCheckpoint: with `save_top_k=0` that writes nothing before the training has ended. The epoch's
    means go with it, because Lightning logs them only after this: a training killed in between would never tell them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.means: dict[str, float] = {}

    def state_dict(self) -> dict[str, dict[str, float]]:
        """The means of the epoch that the checkpoint ends."""
        return {"means": self.means}

    def load_state_dict(self, state_dict: dict[str, dict[str, float]]) -> None:
        """Go on from a checkpoint."""
        self.means = state_dict.get("means", {})

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """After a resume: tell the means again, which are twice in the file where they were told before."""
        del pl_module
        for logger in trainer.loggers:
            if self.means and isinstance(logger, LongCsv):
                logger.log_metrics(self.means, trainer.global_step - 1)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write beside the old one, then take its place."""
        del pl_module
        logged = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("train/")}
        # What is logged for steps too stands there three times; under the name with `_epoch` the loggers get its mean.
        told = {
            name: value
            for name, value in logged.items()
            if not name.endswith("_step") and f"{name}_epoch" not in logged
        }
        self.means = {"epoch": trainer.current_epoch, **told}
        scratch = self.path.with_suffix(".partial")
        try:
            trainer.save_checkpoint(scratch)
            if trainer.is_global_zero:
                reach_disk(scratch)
                scratch.replace(self.path)
        finally:
            scratch.unlink(missing_ok=True)


class DrawPredictions(L.Callback):
    """After each validation: one picture with the first photos of every held-out source and their predictions."""

    def __init__(self, folder: Path, per_source: int = 3, height: int = 160) -> None:
        self.folder = folder
        self.per_source = per_source
        self.height = height
        self.rows: dict[str, list[np.ndarray]] = {}

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start a new picture."""
        del trainer, pl_module
        self.rows = {}

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: object,
        batch: Photo,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the photo where its source still needs some."""
        del trainer, outputs, batch_idx, dataloader_idx
        row = self.rows.setdefault(batch.source, [])
        if len(row) >= self.per_source or not isinstance(pl_module, SegmentationTask):
            return
        size = batch.image.shape[-2:]
        picture = batch.image[0, :COLORS].permute(1, 2, 0).to("cpu", torch.uint8).numpy()
        with torch.no_grad():
            mask = pl_module.predict(batch.image, torch.Size(size)).numpy() > 0
        width = max(1, round(size[1] * self.height / size[0]))
        drawn = draw.overlay(picture, mask[None], [pl_module.labels.roots[0].color])
        row.append(images.resize(drawn, (self.height, min(width, 2 * self.height))))

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the picture."""
        del pl_module
        if trainer.sanity_checking or not self.rows:
            return
        lines = [np.concatenate(row, axis=1) for row in self.rows.values() if row]
        widest = max(line.shape[1] for line in lines)
        padded = [np.pad(line, ((0, 0), (0, widest - line.shape[1]), (0, 0))) for line in lines]
        self.folder.mkdir(exist_ok=True)
        images.write(np.concatenate(padded), self.folder / f"epoch_{trainer.current_epoch:03d}.jpg", quality=85)
