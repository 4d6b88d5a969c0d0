"""A small data set of two splits in which nothing is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def picture(seed: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """Soft blobs, uint8 (H, W, 3), that no other seed gives."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))


def rectangle(size: tuple[int, int] = (48, 64), value: int = 255) -> np.ndarray:
    """uint8 (H, W) of 0 and `value`."""
    mask = np.zeros(size, np.uint8)
    mask[10:30, 20:40] = value
    return mask


@pytest.fixture
def two_splits(tmp_path) -> Path:
    """photos/train with three pairs and photos/valid with two."""
    root = tmp_path / "photos"
    for split, seeds in (("train", (0, 1, 2)), ("valid", (3, 4))):
        for folder in ("images", "masks"):
            (root / split / folder).mkdir(parents=True)
        for seed in seeds:
            Image.fromarray(picture(seed)).save(root / split / f"images/p{seed}.png")
            Image.fromarray(rectangle()).save(root / split / f"masks/p{seed}.png")
    return root
