"""Folders of small pictures whose masks can be read off the pictures."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def folders(tmp_path):
    """photos/images and photos/masks with five pairs 20 x 30, empty/ with five pictures, people/ with two cut-outs."""
    rng = np.random.default_rng(0)
    for folder in ("images", "masks", "empty", "people"):
        (tmp_path / folder).mkdir()
    for number in range(5):
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8)).save(tmp_path / f"images/p{number}.jpg")
        mask = np.zeros((20, 30), np.uint8)
        mask[number : number + 8, 5:20] = 200
        Image.fromarray(mask).save(tmp_path / f"masks/p{number}.png")
        Image.new("RGB", (64, 48), (0, 0, 40 * number)).save(tmp_path / f"empty/e{number}.png")
    for number in range(2):
        cutout = np.zeros((24, 12, 4), np.uint8)
        cutout[2:22, 2:10] = (255, 40 * number, 0, 255)
        Image.fromarray(cutout).save(tmp_path / f"people/c{number}.png")
    return tmp_path
