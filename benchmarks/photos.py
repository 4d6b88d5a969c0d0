"""Photos to measure with, made from the one in the package so that anybody can repeat a number."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

DEMO = Path(__file__).resolve().parents[1] / "src" / "figureground" / "demo" / "astronaut.jpg"
NOISE = 4.0  # standard deviation in grey levels: without a sensor's noise a JPEG would be unnaturally small


def large_photo(path: Path, width: int, height: int, *, seed: int = 0) -> Path:
    """Write a JPEG of `width` x `height` pixels to `path`: the demo photo enlarged, with a sensor's noise."""
    with Image.open(DEMO) as demo:
        enlarged = np.asarray(demo.convert("RGB").resize((width, height), Image.Resampling.BICUBIC), np.float32)
    noise = np.random.default_rng(seed).normal(0.0, NOISE, (height, width, 1)).astype(np.float32)
    pixels = np.clip(enlarged + noise, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path, quality=90)
    return path


def folder_of_photos(folder: Path, images: int, width: int, height: int, *, different: int = 8) -> Path:
    """Fill `folder` with `images` JPEGs, `different` of which differ; the others are links to them."""
    folder.mkdir(parents=True, exist_ok=True)
    originals = folder.parent / f"{folder.name}-originals"
    originals.mkdir(exist_ok=True)
    made = [large_photo(originals / f"{n}.jpg", width, height, seed=n) for n in range(min(different, images))]
    for number in range(images):
        os.link(made[number % len(made)], folder / f"{number:06d}.jpg")
    return folder
