"""What the trainer is fed: the mixture for training, whole photos at the network's size for validation."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from figureground import images
from figureground.data import Mixture, MixtureSampler, PairSource, Source, build_sources
from figureground.data.depth import KeptMaps, source_with_depth, unwrapped
from figureground.depth.cache import DepthCache
from figureground.depth.estimator import Estimator
from figureground.errors import DataError
from figureground.runtime.sizing import Sizing
from figureground.train.depth import fill, keep, open_estimator
from figureground.train.recipe import Recipe


class Photo(NamedTuple):
    """One validation photo: picture at the network's size (1, 3, h, w) uint8, target (H, W) uint8.

    With depth the picture is (1, 4, h, w) float32.

    `source` names where it is from; `has_leaves` says that several leaves are told apart there.
    """

    source: str
    has_leaves: bool
    image: torch.Tensor
    target: torch.Tensor


class HeldOut(Dataset[Photo]):
    """Whole photos of the held-out parts, prepared exactly as the runtime prepares a photo."""

    def __init__(self, sources: list[Source], sizing: Sizing) -> None:
        self.entries = [(source, index) for source in sources for index in range(len(source))]
        self.sizing = sizing

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> Photo:
        source, item = self.entries[index]
        sample = source.read(item, np.random.default_rng(0))
        small = images.resize(sample.image, self.sizing.network_size(*sample.image.shape[:2]))
        pixels = torch.from_numpy(small.copy()).permute(2, 0, 1).unsqueeze(0)
        if sample.depth is not None:
            depth = images.resize_map(sample.depth, small.shape[:2])
            pixels = torch.cat([pixels.float(), torch.from_numpy(depth)[None, None]], dim=1)
        plain = unwrapped(source)
        has_leaves = isinstance(plain, PairSource) and plain.value is None and plain.leaves > 1
        return Photo(source.name, has_leaves, pixels, torch.from_numpy(sample.target.copy()))


def _alone(photo: Any) -> Any:
    # Without a batch size the loader hands over single photos, not lists of them.
    return photo


class Feed(L.LightningDataModule):
    """Loaders of a recipe's data. Raises DataError at once where a folder is missing or a mask does not fit.

    `folder` is the run's, whose depth estimator is taken where it has one already.
    """

    def __init__(self, recipe: Recipe, folder: Path | None = None) -> None:
        super().__init__()
        self.recipe = recipe
        self.estimator: Estimator | None = None
        self.labels = recipe.tree
        data = recipe.data
        self.training, self.held = build_sources(data.sources, data.root, labels=self.labels, folds=data.folds)
        if not self.held:
            raise DataError("the recipe holds nothing out", remedy="set hold_out of a source, 0.1 say")
        self._add_depth(folder)

    def prepare(self, folder: Path) -> None:
        """Put the depth estimator into the run folder, and compute what its cache lacks of the photos' depth.

        Raises:
            NetworkError: the estimator fails.
            OutputError: a folder cannot be written, or the disk is full.
        """
        if self.estimator is not None:
            keep(self.estimator, folder)
        for source in (*self.training, *self.held):
            maps = getattr(source, "maps", None)
            if isinstance(maps, KeptMaps):
                fill(maps.cache, maps.photos)

    def _add_depth(self, folder: Path | None) -> None:
        recipe, depth = self.recipe, self.recipe.depth
        if depth is None:
            return
        self.estimator = open_estimator(depth, folder=folder)
        sizing = Sizing(area=recipe.sizing.area, multiple=recipe.sizing.multiple)
        cache = DepthCache(depth.cache, self.estimator, sizing.network_size) if self.estimator else None
        specs = {spec.name: spec for spec in recipe.data.sources}
        for sources in (self.training, self.held):
            sources[:] = [source_with_depth(one, specs[one.name], depth, recipe.data.root, cache) for one in sources]

    def train_dataloader(self) -> DataLoader[tuple[torch.Tensor, torch.Tensor]]:
        """Batches of the current epoch."""
        recipe = self.recipe
        sampler = MixtureSampler(
            [len(source) for source in self.training],
            [spec.weight for spec in recipe.data.sources],
            # Whole steps: the gradient of a last, shorter one would count less.
            samples=recipe.data.samples_per_epoch // recipe.samples_per_step * recipe.samples_per_step,
            batch_size=recipe.schedule.batch_size,
            stages=recipe.schedule.stages,
            epochs=recipe.schedule.epochs,
            seed=recipe.seed,
            epoch=self.trainer.current_epoch if self.trainer else 0,
        )
        mixture = Mixture(self.training, recipe.augment, self.labels, recipe.depth.drop if recipe.depth else 0.0)
        return DataLoader(mixture, batch_sampler=sampler, num_workers=recipe.data.workers, worker_init_fn=_one_thread)

    def val_dataloader(self) -> DataLoader[Photo]:
        """Held-out photos, one by one, because each has its own shape."""
        sizing = Sizing(area=self.recipe.sizing.area, multiple=self.recipe.sizing.multiple)
        photos = HeldOut(self.held, sizing)
        workers = min(1, self.recipe.data.workers)
        return DataLoader(photos, batch_size=None, collate_fn=_alone, num_workers=workers, worker_init_fn=_one_thread)


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)
