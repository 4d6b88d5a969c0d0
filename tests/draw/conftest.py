from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest


class Scene(NamedTuple):
    """A photo whose layers are known: `image = alpha * foreground + (1 - alpha) * background`."""

    image: np.ndarray
    alpha: np.ndarray
    foreground: np.ndarray
    background: np.ndarray


@pytest.fixture(scope="session")
def scene() -> Scene:
    """A reddish disk with a soft edge of some 20 pixels before a bluish ground, both with structure; 180x240."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:180, :240].astype(np.float32)
    alpha = np.clip((60 - np.hypot(y - 90, x - 120)) / 20 + 0.5, 0, 1).astype(np.float32)
    wave = np.sin(x / 17) * np.cos(y / 23)
    foreground = np.stack([200 + 30 * wave, 90 + 20 * wave, 60 + x / 8], axis=-1)
    background = np.stack([40 + y / 6, 80 - 20 * wave, 170 + 30 * wave], axis=-1)
    foreground, background = (layer + rng.normal(0, 3, layer.shape) for layer in (foreground, background))
    image = alpha[..., None] * foreground + (1 - alpha[..., None]) * background
    return Scene(np.round(image).astype(np.uint8), alpha, foreground, background)
