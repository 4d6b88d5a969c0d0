"""A folder of tiny made-up photos, and the smallest recipe that trains on them."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

RECIPE = {
    "name": "tiny",
    "seed": 3,
    "data": {
        "samples_per_epoch": 12,
        "workers": 0,
        "sources": [
            {"name": "people", "images": "people/images", "masks": "people/masks", "weight": 2, "hold_out": 0.3},
            {"name": "empty", "kind": "empty", "images": "empty", "hold_out": 0.3},
        ],
    },
    "network": {"name": "pyramid", "options": {"encoder": "mobilenetv2_035", "widths": [8, 8, 8, 8, 8]}},
    "losses": [
        {"name": "cross_entropy", "options": {"boundary_weight": 1.0, "boundary_width": 3}},
        {"name": "soft_dice", "weight": 0.5},
    ],
    "augment": {"crop_scale": [0.5, 1.0], "flip": 0.5, "color": 0.2},
    "schedule": {"epochs": 2, "batch_size": 4, "stages": [{"sizes": [32]}]},
    "sizing": {"area": 32 * 64, "multiple": 32},
}


def photo(rng: np.random.Generator, *, person: bool) -> tuple[np.ndarray, np.ndarray]:
    """A noisy dark picture 40 x 56, with a bright rectangle for a person, and its mask of 0 and 255."""
    image = rng.integers(0, 90, (40, 56, 3), dtype=np.uint8)
    mask = np.zeros((40, 56), np.uint8)
    if person:
        top, left = rng.integers(2, 16, 2)
        mask[top : top + 20, left : left + 20] = 255
        image[mask > 0] += 150
    return image, mask


@pytest.fixture(scope="session")
def tiny_photos(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for folder in ("people/images", "people/masks", "empty"):
        (root / folder).mkdir(parents=True)
    for number in range(8):
        image, mask = photo(rng, person=True)
        Image.fromarray(image).save(root / f"people/images/p{number}.png")
        Image.fromarray(mask).save(root / f"people/masks/p{number}.png")
        Image.fromarray(photo(rng, person=False)[0]).save(root / f"empty/n{number}.png")
    return root


@pytest.fixture(scope="session")
def tiny_recipe(tmp_path_factory, tiny_photos) -> Path:
    """The tiny recipe as a file, for tests that change it by overrides alone."""
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(yaml.safe_dump({**RECIPE, "data": {**RECIPE["data"], "root": str(tiny_photos)}}), encoding="utf-8")
    return path


@pytest.fixture
def values(tiny_photos) -> dict:
    """The recipe as plain values, to be changed by a test."""
    recipe = deepcopy(RECIPE)
    recipe["data"]["root"] = str(tiny_photos)
    return recipe


@pytest.fixture
def recipe_file(tmp_path, values):
    """Write a recipe to a file: `recipe_file(values)`, by default the tiny one."""

    def write(recipe: dict = values) -> Path:
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
        return path

    return write
