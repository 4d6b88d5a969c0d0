"""A loss that is no number any more ends the training, with the batch kept for whoever wants to know why."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import lightning as L
import torch
from safetensors.torch import save
from torch import nn

from figureground import images
from figureground.data import CompositeSource, EmptySource, Mixture, MixtureSampler, PairSource, Source
from figureground.data.depth import unwrapped
from figureground.errors import FiguregroundError
from figureground.train.task import SegmentationTask

__all__ = ["BROKEN_BATCH", "DivergedError", "StopAtNaN"]

BROKEN_BATCH = "broken_batch.safetensors"
_NAMES = ("images", "targets")


class DivergedError(FiguregroundError):
    """A training whose loss became infinite, or no number."""


class StopAtNaN(L.Callback):
    """Before each backward: a loss that is not finite is a `DivergedError`; its batch is written to `folder`.

    The weights are still those from before the batch.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.batch: Any = None
        self.number = 0

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keep the batch at hand."""
        self.batch, self.number = batch, batch_idx

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: torch.Tensor) -> None:
        """Stop where the loss is not finite."""
        if torch.isfinite(loss).all():
            return
        files = batch_files(trainer.train_dataloader, self.number)
        parts = _broken_terms(pl_module)
        facts = {"epoch": trainer.current_epoch, "batch": self.number, "losses": parts, "files": files}
        kept = _tensors(self.batch)
        metadata = {name: json.dumps(value) for name, value in facts.items()}
        images.write_bytes(save(kept, metadata=metadata), self.folder / BROKEN_BATCH)
        where = f"in epoch {trainer.current_epoch}, batch {self.number}"
        which = f" ({', '.join(f'{name} is {value}' for name, value in parts.items())})" if parts else ""
        of = f", made from {files[0]} and {len(files) - 1} others" if files else ""
        broken = _broken_weight(pl_module)
        before = f"; the weights had broken before it, '{broken}' among them" if broken else ""
        raise DivergedError(
            f"the loss became {loss.detach().float().mean().item()} {where}{which}; "
            f"the batch is in {self.folder / BROKEN_BATCH}{of}{before}",
            remedy="look at the batch; lower optimize.learning_rate or set optimize.clip_norm, and start anew with -o, "
            "from network.weights if you like",
        )


def batch_files(loader: Any, number: int) -> list[str]:
    """The files that the samples of an epoch's batch were made from; none where the loader is not ours."""
    sampler, dataset = getattr(loader, "batch_sampler", None), getattr(loader, "dataset", None)
    if not isinstance(sampler, MixtureSampler) or not isinstance(dataset, Mixture):
        return []
    draws = next(islice(sampler, number, None), [])
    return [str(_file(dataset.sources[draw.source], draw.item)) for draw in draws]


def _file(source: Source, item: int) -> Path | str:
    source = unwrapped(source)
    if isinstance(source, PairSource):
        return source.pairs[item][0]
    if isinstance(source, EmptySource):
        return source.paths[item]
    if isinstance(source, CompositeSource):
        return source.people[item]
    return f"{source.name} {item}"


def _tensors(batch: Any) -> dict[str, torch.Tensor]:
    parts: Sequence[Any] = batch if isinstance(batch, list | tuple) else [batch]
    names = [*_NAMES, *(f"input_{place}" for place in range(2, len(parts)))]
    return {
        name: part.detach().cpu().contiguous()
        for name, part in zip(names, parts, strict=False)
        if isinstance(part, torch.Tensor)
    }


def _broken_terms(task: L.LightningModule) -> dict[str, str]:
    """The losses of the last step that are not finite, with their values."""
    values = task.latest if isinstance(task, SegmentationTask) else {}
    return {name: str(value.item()) for name, value in values.items() if not torch.isfinite(value).all()}


def _broken_weight(model: nn.Module) -> str | None:
    return next((name for name, value in model.named_parameters() if not torch.isfinite(value).all()), None)
