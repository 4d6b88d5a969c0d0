"""Inputs of the specification's golden values, and each kind of tree there is."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable

import numpy as np
import pytest
import torch

from figureground.labels import LabelTree
from figureground.losses import IGNORE


def hashed(name: str, *shape: int, scale: float) -> torch.Tensor:
    """Float64 values in [-scale / 2, scale / 2) from an integer hash of the name and the index."""
    mask = np.uint64(0xFFFFFFFF)
    count = np.arange(math.prod(shape), dtype=np.uint64)
    x = (count * np.uint64(2654435761) + np.uint64(zlib.crc32(name.encode()))) & mask
    x ^= x >> np.uint64(16)
    x = (x * np.uint64(2246822519)) & mask
    x ^= x >> np.uint64(13)
    return torch.from_numpy((x.astype(np.float64) / 2**32 - 0.5) * scale).reshape(shape)


@pytest.fixture(params=["one", "flat", "chain", "people", "uneven", "random", "large"])
def labels(request, tree_of, random_tree) -> LabelTree:
    """Each kind of tree there is."""
    return {
        "one": lambda: tree_of([-1]),
        "flat": lambda: tree_of([-1] * 5),
        "chain": lambda: tree_of([-1, 0, 1, 2, 3, 4]),
        "people": lambda: LabelTree.named("pascal-person-part"),
        "uneven": lambda: tree_of([3, -1, 3, -1, 0, 0, 5]),
        "random": lambda: random_tree(1, nodes=30, depth=6),
        "large": lambda: random_tree(2, nodes=200, depth=6),
    }[request.param]()


@pytest.fixture(name="hashed")
def _hashed() -> Callable[..., torch.Tensor]:
    assert hashed("z", 96, scale=8)[0] == -1.0203372109681368  # the published self-test of the scheme
    return hashed


@pytest.fixture
def golden_target() -> torch.Tensor:
    """(2, 4, 4), the target of the specification's trees."""
    return torch.tensor([[0, 5, 2, IGNORE], [4, 1, 6, 3]] * 2).expand(2, 4, 4).contiguous()


@pytest.fixture
def target_of() -> Callable[..., torch.Tensor]:
    """A function (labels, *shape, seed) -> every target value there is, some pixels ignored."""

    def target(labels: LabelTree, *shape: int, seed: int = 0) -> torch.Tensor:
        rng = torch.Generator().manual_seed(seed)
        values = torch.randint(0, 1 + len(labels), shape, generator=rng)
        return values.where(torch.rand(shape, generator=rng) < 0.8, torch.tensor(IGNORE))

    return target
