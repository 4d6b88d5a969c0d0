"""A picture of a hyperbolic network of two dimensions: where it puts the pixels of held-out photos."""

from __future__ import annotations

from pathlib import Path

import lightning as L
import numpy as np
import torch

from figureground import draw, images
from figureground.networks.heads import HeadedNetwork
from figureground.networks.heads.forms import Hyperbolic
from figureground.train.feed import Photo
from figureground.train.task import SegmentationTask

_GROUND = (170, 170, 170)


def disk_head(task: L.LightningModule) -> Hyperbolic | None:
    """The head of a task whose pixels can be drawn on a disk: hyperbolic, with two dimensions."""
    network = task.model.network if isinstance(task, SegmentationTask) else None
    head = network.head if isinstance(network, HeadedNetwork) else None
    return head if isinstance(head, Hyperbolic) and head.channels == 2 else None


class DrawDisk(L.Callback):
    """After each validation: pixels of the first held-out photos on the Poincare disk, in the colour of their label.

    With them the lines that tell the nodes of the tree, or the leaves, and the background apart. Does nothing where the
    network is not hyperbolic with two dimensions.
    """

    def __init__(self, folder: Path, photos: int = 20, per_photo: int = 150) -> None:
        self.folder = folder
        self.photos = photos
        self.per_photo = per_photo
        self.points: list[np.ndarray] = []
        self.classes: list[np.ndarray] = []

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start a new picture."""
        del trainer, pl_module
        self.points, self.classes = [], []

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: object,
        batch: Photo,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Note where some pixels of the photo lie."""
        del trainer, outputs, batch_idx, dataloader_idx
        if len(self.points) >= self.photos or not isinstance(pl_module, SegmentationTask) or not disk_head(pl_module):
            return
        with torch.no_grad():
            points = pl_module.model.outputs(batch.image.float(), ["points"])["points"][0]
        size = points.shape[-2:]
        target = torch.nn.functional.interpolate(batch.target[None, None].float(), size=size, mode="nearest-exact")
        value = target.flatten().long().cpu()
        counted = torch.nonzero(value <= len(pl_module.labels)).flatten()
        step = max(1, len(counted) // self.per_photo)
        chosen = counted[step // 2 :: step]
        self.points.append(points.flatten(1).cpu()[:, chosen].T.numpy())
        self.classes.append(value[chosen].numpy())

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the picture."""
        head = disk_head(pl_module)
        if trainer.sanity_checking or not self.points or head is None or not isinstance(pl_module, SegmentationTask):
            return
        labels = pl_module.labels
        named = sorted(labels.mask_values().items(), key=lambda item: item[1])
        colors = [_GROUND, *(labels.labels[labels.index(name)].color for name, _ in named)]
        # The background's plane is the last, its colour the first.
        offsets, normals = (plane.detach().cpu().roll(1, 0).numpy() for plane in head.hyperplanes())
        picture = draw.poincare_disk(
            np.concatenate(self.points),
            np.concatenate(self.classes),
            colors,
            planes=(offsets, normals),
            curvature=head.curvature,
        )
        self.folder.mkdir(exist_ok=True)
        images.write(picture, self.folder / f"disk_{trainer.current_epoch:03d}.png")
