"""The Lightning task: what one step of training and one photo of validation are."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import nn

from figureground.errors import RecipeError, suggest
from figureground.labels import LabelTree
from figureground.losses import IGNORE, LOSSES, distillation, with_background
from figureground.metrics import BinaryReport, TreeCounts
from figureground.networks import create
from figureground.train.feed import Photo
from figureground.train.recipe import Loss, Network, Optimize, Recipe


class ImageNetwork(nn.Module):
    """A network with its normalisation: pictures of 0 to 255 in, leaf logits of the same size out."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, spec: Network, *, leaves: int) -> None:
        super().__init__()
        self.network = create(spec.name, leaves=leaves, **spec.options)
        self.register_buffer("mean", 255 * torch.tensor(spec.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(spec.std).view(1, -1, 1, 1), persistent=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) of 0 to 255 -> (N, leaves, H, W)."""
        return cast("torch.Tensor", self.network((image.float() - self.mean) / self.std))


def build_losses(
    specs: tuple[Loss, ...], labels: LabelTree
) -> list[tuple[str, float, Callable[..., torch.Tensor], dict[str, Any]]]:
    """Name, weight, function and options of each loss; RecipeError for a name or an option that does not exist.

    A loss that has a `labels` argument is given the label tree.
    """
    built = []
    for spec in specs:
        if spec.name not in LOSSES:
            raise RecipeError(f"no loss is called {spec.name!r}", remedy=suggest(spec.name, LOSSES))
        function = LOSSES[spec.name]
        arguments = list(inspect.signature(function).parameters)[2:]
        known = [argument for argument in arguments if argument != "labels"]
        for option in spec.options:
            if option not in known:
                raise RecipeError(f"loss {spec.name!r} has no option {option!r}", remedy=suggest(option, known))
        given = {"labels": labels} if "labels" in arguments else {}
        built.append((spec.name, spec.weight, function, {**spec.options, **given}))
    return built


class SegmentationTask(L.LightningModule):
    """Train one network on the losses of a recipe; validate on whole photos, per source."""

    def __init__(self, recipe: Recipe, model: ImageNetwork, teacher: ImageNetwork | None) -> None:
        super().__init__()
        self.recipe = recipe
        self.model = model
        self.labels: LabelTree = recipe.tree
        self.losses = build_losses(recipe.losses, self.labels)
        # In a tuple, so that the teacher is neither trained nor averaged nor saved with the student.
        self.teacher = (teacher,)
        self.reports: dict[str, BinaryReport] = {}
        self.parts: dict[str, TreeCounts] = {}
        self.layout = torch.channels_last if recipe.schedule.channels_last else torch.contiguous_format

    def on_fit_start(self) -> None:
        """Bring the teacher to the device that Lightning chose; it does not know of it."""
        if self.teacher[0] is not None:
            self.teacher[0].to(self.device)

    def on_train_epoch_start(self) -> None:
        """Seed what networks draw (dropout) by the epoch, so that a resumed run draws what this one would have."""
        torch.manual_seed(self.recipe.seed * 100_003 + self.current_epoch)

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> torch.Tensor:
        """Weighted sum of the losses of one batch."""
        image, target = batch
        image = image.float().contiguous(memory_format=self.layout)
        logits = self.model(image)
        total = torch.zeros((), device=logits.device)
        for name, weight, function, options in self.losses:
            value = function(logits, target, **options)
            self.log(f"train/{name}", value, on_step=False, on_epoch=True, batch_size=len(image))
            total = total + weight * value
        total = total + self._distilled(image, logits)
        self.log("train/loss", total, on_step=True, on_epoch=True, batch_size=len(image))
        return total

    def _distilled(self, image: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        (teacher,), spec = self.teacher, self.recipe.distill
        if teacher is None or spec is None:
            return torch.zeros((), device=logits.device)
        with torch.no_grad():
            wanted = teacher(image)
        value = distillation(logits, wanted, temperature=spec.temperature)
        self.log("train/distillation", value, on_step=False, on_epoch=True, batch_size=len(image))
        return spec.weight * value

    def on_validation_epoch_start(self) -> None:
        """Forget the last epoch's counts."""
        self.reports, self.parts = {}, {}

    def validation_step(self, photo: Photo, number: int) -> None:
        """Segment one photo at the network's size and compare at the photo's own."""
        predicted = self.predict(photo.image, photo.target.shape).numpy()
        target = photo.target.cpu().numpy()
        report = self.reports.setdefault(photo.source, BinaryReport())
        report.add(str(number), predicted > 0, (target > 0) & (target != IGNORE), target != IGNORE)
        if photo.has_leaves:
            self.parts.setdefault(photo.source, TreeCounts(self.labels)).add(predicted, target)

    def predict(self, image: torch.Tensor, size: torch.Size) -> torch.Tensor:
        """(1, 3, h, w) picture -> (H, W) index map at `size`, 0 background.

        First whether somebody is there at all, then which leaf: so the figure is the same as without its parts.
        """
        logits = self.model(image.float().contiguous(memory_format=self.layout))
        probabilities = with_background(logits).softmax(1)
        full = nn.functional.interpolate(probabilities, size=size, mode="bilinear", align_corners=False)
        leaf = 1 + full[:, 1:].argmax(1)[0]
        return torch.where(full[0, 0] < 0.5, leaf, 0).cpu()

    def validation_summary(self) -> dict[str, float]:
        """Per source its mean IoU (or share of photos left empty), and `val/score`, the mean over the sources.

        A source with parts also counts with the mean IoU of its leaves.
        """
        summary: dict[str, float] = {}
        for source, report in self.reports.items():
            values = report.summary()
            all_empty = values["empty_images"] == values["images"]
            quality = 1.0 - float(values["empty_wrong"]) if all_empty else float(values["iou_image_mean"])
            summary[f"val/{source}"] = quality
            if not all_empty:
                summary[f"val/{source}_iou_dataset"] = float(values["iou_dataset"])
        for source, counts in self.parts.items():
            for level, iou in enumerate(counts.level_iou()):
                summary[f"val/{source}_level{level}"] = iou
        measured = [f"val/{source}" for source in self.reports]
        measured += [f"val/{source}_level{self.labels.depth - 1}" for source in self.parts]
        summary["val/score"] = sum(summary[key] for key in measured) / max(1, len(measured))
        return summary

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW without decay on norms and biases, one cycle of the learning rate."""
        optimize = self.recipe.optimize
        groups = _parameter_groups(self.model, optimize)
        optimizer = torch.optim.AdamW(groups)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=[group["lr"] for group in groups],
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=optimize.warmup,
            cycle_momentum=False,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _parameter_groups(model: nn.Module, optimize: Optimize) -> list[dict[str, Any]]:
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        groups.setdefault((".encoder." in name, parameter.ndim > 1), []).append(parameter)
    return [
        {
            "name": f"{'encoder' if in_encoder else 'decoder'}, {'decayed' if decays else 'not decayed'}",
            "params": parameters,
            "lr": optimize.learning_rate * (optimize.encoder_factor if in_encoder else 1.0),
            "weight_decay": optimize.weight_decay if decays else 0.0,
        }
        for (in_encoder, decays), parameters in groups.items()
    ]
