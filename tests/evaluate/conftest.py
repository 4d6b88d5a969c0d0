"""A small dataset whose numbers can be worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def rectangle(x0: int, x1: int) -> np.ndarray:
    """Bool (64, 128), True in columns x0 to x1 (excluded)."""
    mask = np.zeros((64, 128), dtype=bool)
    mask[:, x0:x1] = True
    return mask


def as_photo(mask: np.ndarray) -> Image.Image:
    """White where the mask is, black elsewhere: the tiny network gives the mask back."""
    return Image.fromarray(np.repeat((mask * np.uint8(255))[..., None], 3, axis=2))


@pytest.fixture
def dataset(tmp_path) -> Path:
    """Two photos that are got right, one got half right, and two without people of which one is called half person."""
    root = tmp_path / "data"
    (root / "images" / "street").mkdir(parents=True)
    (root / "masks" / "street").mkdir(parents=True)
    cases = {
        "good": (rectangle(0, 64), rectangle(0, 64)),
        "street/good": (rectangle(32, 96), rectangle(32, 96)),
        "half": (rectangle(0, 32), rectangle(0, 64)),
        "nobody": (rectangle(0, 0), rectangle(0, 0)),
        "invented": (rectangle(0, 64), rectangle(0, 0)),
    }
    for stem, (seen, true) in cases.items():
        as_photo(seen).save(root / "images" / f"{stem}.png")
        Image.fromarray(true.astype(np.uint8) * 7).save(root / "masks" / f"{stem}.png")
    return root


@pytest.fixture
def segmenter(tiny_bundle):
    from figureground import load

    return load(tiny_bundle)
