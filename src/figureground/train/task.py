"""The Lightning task: what one step of training and one photo of validation are."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import nn

from figureground.errors import RecipeError
from figureground.labels import LabelTree
from figureground.losses import IGNORE, distillation, with_background
from figureground.metrics import BinaryReport, TreeCounts
from figureground.networks.heads import with_head
from figureground.train.adversary import Adversary
from figureground.train.depth import COLORS, channel_options
from figureground.train.feed import Photo
from figureground.train.freezing import Frozen
from figureground.train.optimizers import build_optimizer, build_schedule, parameter_groups
from figureground.train.outputs import (
    AUXILIARY,
    check_auxiliary,
    compile_network,
    output_names,
    outputs_of,
    weights_of_heads,
)
from figureground.train.probe import check_crops
from figureground.train.recipe import Recipe
from figureground.train.specs import Head, Network
from figureground.train.terms import build_terms, check_terms


class ImageNetwork(nn.Module):
    """A network under its head, with its normalisation: pictures of 0 to 255 in, leaf logits of the same size out.

    With depth, pictures have a fourth channel, which is normalised already.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, spec: Network, head: Head, labels: LabelTree, *, depth: bool = False) -> None:
        super().__init__()
        self.network = with_head(
            spec.name,
            channel_options(spec, depth=depth),
            labels=labels,
            head=head.name,
            head_options=head.options,
            embedding=head.embedding,
        )
        mean, std = 255 * torch.tensor(spec.mean), 255 * torch.tensor(spec.std)
        if depth:
            mean, std = torch.cat([mean, torch.zeros(1)]), torch.cat([std, torch.ones(1)])
        self.register_buffer("mean", mean.view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", std.view(1, -1, 1, 1), persistent=False)

    @property
    def channels(self) -> int:
        """Of the pictures: 3, or 4 with depth."""
        return self.mean.shape[1]

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) of 0 to 255, or (N, 4, H, W) with depth -> (N, leaves, H, W)."""
        return cast("torch.Tensor", self.network(self._normal(image)))

    @property
    def gives(self) -> tuple[str, ...]:
        """The names that `outputs` knows."""
        return output_names(self.network)

    def outputs(self, image: torch.Tensor, wanted: Collection[str]) -> dict[str, Any]:
        """What losses look at, by name: `logits` of the leaves, and what else network and head give."""
        return outputs_of(self.network, self._normal(image), wanted)

    def _normal(self, image: torch.Tensor) -> torch.Tensor:
        return (image.float() - self.mean) / self.std


class SegmentationTask(L.LightningModule):
    """Train one network on the losses of a recipe; validate on whole photos, per source."""

    def __init__(self, recipe: Recipe, model: ImageNetwork, teacher: ImageNetwork | None) -> None:
        super().__init__()
        self.recipe = recipe
        self.model = model
        self.labels: LabelTree = recipe.tree
        self.terms = build_terms(recipe.losses, self.labels, model.gives)
        check_terms(self.terms, self.labels)
        self.wanted = {term.output for term in self.terms}
        if recipe.distill or recipe.critic:
            self.wanted.add("logits")
        if recipe.aux_weight:
            if AUXILIARY not in model.gives:
                raise RecipeError("aux_weight goes with the head leaves alone", remedy="leave aux_weight or head away")
            side = recipe.schedule.stages[0].sizes[0]
            check_auxiliary(model.network, model.channels, side, recipe.aux_weight)
            self.wanted.add(AUXILIARY)
        self.adversary: Adversary | None = None
        if recipe.critic is not None:
            leaves = len(self.labels.leaves)
            mean, std = model.mean[:, :COLORS], model.std[:, :COLORS]
            self.adversary = Adversary(recipe.critic, leaves=leaves, mean=mean, std=std)
        check_crops(model.network, recipe, self.wanted, channels=model.channels, adversary=self.adversary)
        if recipe.schedule.compile:
            compile_network(model.network, self.wanted)
        # Asked for here, because what a network cannot do has to be said before there is a run folder.
        parameter_groups(model, recipe.optimize)
        self.frozen = Frozen(model, recipe.optimize, recipe.schedule.epochs)
        self.latest: dict[str, torch.Tensor] = {}
        """The unweighted losses of the last step, for whoever asks what broke."""
        if teacher is not None and teacher.channels > model.channels:
            raise RecipeError("the teacher looks at depth, which the recipe does not have", remedy="add 'depth' to it")
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
        """Seed what networks draw (dropout) by the epoch, so that a resumed run draws what this one would have.

        What the recipe freezes goes by the epoch as well.
        """
        torch.manual_seed(self.recipe.seed * 100_003 + self.current_epoch)
        self.frozen.apply(self.model, self.current_epoch)

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> torch.Tensor:
        """Weighted sum of the losses of one batch."""
        image, target = batch
        image = image.float().contiguous(memory_format=self.layout)
        outputs = self.model.outputs(image, self.wanted)
        progress = self.global_step / self.trainer.estimated_stepping_batches
        total = torch.zeros((), device=image.device)
        colors = image[:, :COLORS]
        for term in self.terms:
            value = term(outputs, target, colors)
            self.latest[term.name] = value.detach()
            self.log(f"train/{term.name}", value, on_step=False, on_epoch=True, batch_size=len(image))
            total = total + term.spec.weight_at(progress) * value
        if self.recipe.aux_weight:
            total = total + self._auxiliary(outputs[AUXILIARY], (colors, target), progress)
        if "logits" in outputs:
            total = total + self._distilled(image, outputs["logits"], progress)
            total = total + self._criticised(colors, outputs["logits"], target, progress)
        self.log("train/loss", total, on_step=True, on_epoch=True, batch_size=len(image))
        return total

    def _auxiliary(
        self, heads: list[torch.Tensor], batch: tuple[torch.Tensor, torch.Tensor], progress: float
    ) -> torch.Tensor:
        """The losses of leaf logits on what only training computes, each head's times its weight, summed."""
        image, target = batch
        terms = [term for term in self.terms if term.output == "logits"]
        left = 1.0 - progress if self.recipe.aux_decay else 1.0
        values = [
            left * weight * term.spec.weight_at(progress) * term({"logits": logits}, target, image)
            for weight, logits in zip(weights_of_heads(self.recipe.aux_weight, len(heads)), heads, strict=True)
            for term in terms
        ]
        total = torch.stack(values).sum() if values else target.new_zeros((), dtype=torch.float32)
        self.log("train/auxiliary", total, on_step=False, on_epoch=True, batch_size=len(target))
        return total

    def _distilled(self, image: torch.Tensor, logits: torch.Tensor, progress: float) -> torch.Tensor:
        (teacher,), spec = self.teacher, self.recipe.distill
        if teacher is None or spec is None:
            return torch.zeros((), device=logits.device)
        with torch.no_grad():
            wanted = teacher(image[:, : teacher.channels])
        value = distillation(logits, wanted, temperature=spec.temperature)
        self.log("train/distillation", value, on_step=False, on_epoch=True, batch_size=len(image))
        return spec.weight_at(progress) * value

    def _criticised(
        self, image: torch.Tensor, logits: torch.Tensor, target: torch.Tensor, progress: float
    ) -> torch.Tensor:
        spec = self.recipe.critic
        if self.adversary is None or spec is None or progress < spec.start:
            return torch.zeros((), device=logits.device)
        # In full precision: its features of two nearly equal masks differ by less than bfloat16 tells apart.
        with torch.autocast(logits.device.type, enabled=False):
            own, value = self.adversary.loss(image, logits, target)
        self.log("train/critic_own", own, on_step=False, on_epoch=True, batch_size=len(image))
        self.log("train/critic", value, on_step=False, on_epoch=True, batch_size=len(image))
        return spec.weight * value

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the critic, which is no part of the network."""
        if self.adversary is not None:
            checkpoint["adversary"] = self.adversary.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the critic as it was."""
        if self.adversary is not None:
            self.adversary.load_state_dict(checkpoint["adversary"])

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

        A source with parts also counts with the mean IoU of its leaves, where any of them is there or was found.
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
                if not math.isnan(iou):
                    summary[f"val/{source}_level{level}"] = iou
        measured = [f"val/{source}" for source in self.reports]
        measured += [f"val/{source}_level{self.labels.depth - 1}" for source in self.parts]
        scores = [summary[key] for key in measured if key in summary]
        summary["val/score"] = sum(scores) / max(1, len(scores))
        return summary

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The recipe's optimiser, and its learning rate from step to step."""
        optimizer = build_optimizer(self.model, self.recipe.optimize)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = build_schedule(optimizer, self.recipe.optimize, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
