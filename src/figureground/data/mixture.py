"""A weighted mixture of sources as a torch dataset whose every sample is decided by (seed, epoch, position).

The sampler draws whole batches of `Draw`s, so that a batch has one crop size and a resumed run sees exactly the
batches that an uninterrupted one would have seen, whatever the number of workers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from figureground.data.depth import unwrapped
from figureground.data.paste import pasted
from figureground.data.sources import PairSource, Sample, Source
from figureground.data.specs import Augment, Stage
from figureground.data.transforms import augmented, mirror_table
from figureground.labels import LabelTree


@dataclass(frozen=True)
class Draw:
    """One sample to make: which source, which of its items, the crop size and the seed of all its randomness."""

    source: int
    item: int
    size: int
    seed: int


class Mixture(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Augmented samples of several sources; indexed by `Draw`. `drop` is the share of samples whose depth is hidden."""

    def __init__(self, sources: Sequence[Source], augment: Augment, labels: LabelTree, drop: float = 0.0) -> None:
        self.sources = list(sources)
        self.augment = augment
        self.mirror = mirror_table(labels)
        self.donors = [
            (number, item)
            for number, source in enumerate(self.sources if augment.paste else [])
            if isinstance(unwrapped(source), PairSource)
            for item in range(len(source))
        ]
        self.drop = drop

    def __getitem__(self, draw: Draw) -> tuple[torch.Tensor, torch.Tensor]:
        """Picture (3, size, size) uint8, with depth (4, size, size) float32, and target (size, size) int64."""
        rng = np.random.default_rng(draw.seed)
        sample = self._with_guests(self.sources[draw.source].read(draw.item, rng), rng)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(draw.seed)
            return augmented(sample, self.augment, draw.size, self.mirror, self.drop)

    def _with_guests(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample, perhaps with the people of any other photo that has a mask."""
        if self.augment.paste == 0 or rng.random() >= self.augment.paste:
            return sample
        source, item = self.donors[int(rng.integers(len(self.donors)))]
        return pasted(sample, unwrapped(self.sources[source]).read(item, rng), rng, self.mirror.numpy())


class MixtureSampler(Sampler[list[Draw]]):
    """Batches of one epoch: each source in proportion to its weight, each walked in shuffled passes.

    Args:
        lengths: items in each source.
        weights: relative shares of the sources.
        samples: samples in an epoch, rounded down to whole batches; at least one batch.
        batch_size: samples in a batch.
        stages: crop sizes by progress; one of them starts at 0.
        epochs: length of the whole training, which progress is measured against.
        seed: of everything.
        epoch: which epoch to draw.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        weights: Sequence[float],
        *,
        samples: int,
        batch_size: int,
        stages: Sequence[Stage],
        epochs: int,
        seed: int,
        epoch: int = 0,
    ) -> None:
        self.lengths = list(lengths)
        shares = np.asarray(weights, dtype=np.float64)
        whole = samples // batch_size * batch_size
        self.quotas = np.floor(shares / shares.sum() * whole).astype(int)
        self.quotas[int(np.argmax(shares))] += whole - int(self.quotas.sum())
        self.batch_size = batch_size
        self.stages = sorted(stages, key=lambda stage: stage.start)
        self.epochs = epochs
        self.seed = seed
        self.epoch = epoch

    def __len__(self) -> int:
        """Batches in an epoch."""
        return int(self.quotas.sum()) // self.batch_size

    def __iter__(self) -> Iterator[list[Draw]]:
        """The batches of `self.epoch`, the same on every call."""
        rng = np.random.default_rng((self.seed, self.epoch))
        picks = [(source, item) for source, quota in enumerate(self.quotas) for item in self._items(source, int(quota))]
        order = rng.permutation(len(picks))
        seeds = rng.integers(2**31, size=len(picks))
        for batch in range(len(self)):
            progress = (self.epoch + batch / len(self)) / self.epochs
            sizes = [stage for stage in self.stages if stage.start <= progress][-1].sizes
            size = sizes[int(rng.integers(len(sizes)))]
            members = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield [self._draw(picks[member], size, seeds[member]) for member in members]

    @staticmethod
    def _draw(pick: tuple[int, int], size: int, seed: np.int64) -> Draw:
        source, item = pick
        return Draw(source, item, size, int(seed))

    def _items(self, source: int, quota: int) -> list[int]:
        # Each source is one endless row of shuffled passes over its items; an epoch takes the next `quota` of it.
        length, first = self.lengths[source], self.epoch * quota
        items: list[int] = []
        while len(items) < quota:
            walk, offset = divmod(first + len(items), length)
            order = np.random.default_rng((self.seed, source, walk, 1)).permutation(length)
            items.extend(order[offset : offset + quota - len(items)].tolist())
        return items
