"""A training that ends when its score no longer rises."""

from __future__ import annotations

import sys

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping

from figureground.train.specs import EarlyStop


class StopEarly(EarlyStopping):
    """Stops after `patience` validations in a row in which `val/score` did not rise by more than `min_delta`.

    What it counts is in the checkpoints. So a run that has stopped stays stopped when it is resumed, and one that was
    interrupted stops where it would have stopped.
    """

    def __init__(self, spec: EarlyStop) -> None:
        super().__init__(
            "val/score", mode="max", patience=spec.patience, min_delta=spec.min_delta, check_on_train_epoch_end=False
        )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stay stopped."""
        del pl_module
        if self.wait_count >= self.patience:
            trainer.should_stop = True

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say why the training is over, where that is why."""
        del pl_module
        if self.wait_count >= self.patience and trainer.is_global_zero:
            best = f"{float(self.best_score):.4f}"
            sys.stderr.write(f"stopped early: val/score did not rise above {best} in {self.patience} validations\n")
