"""People with a known alpha on backgrounds, enlarged, and how far an alpha is from the true one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ENLARGE = 4
NOISE = 2.0  # standard deviation in grey levels
SOFT = 1.4  # standard deviation in pixels of the derivative in the gradient error (Rhemann et al., CVPR 2009)


def composite(folder: Path, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The picture (H, W, 3) and alpha (H, W) of one cut-out, four times its size, on the background of its turn."""
    people, grounds = (sorted((folder / name).iterdir()) for name in ("people_rgba", "backgrounds"))
    with Image.open(people[index]) as file:
        person = file.convert("RGBA").resize((file.width * ENLARGE, file.height * ENLARGE), Image.Resampling.BICUBIC)
    width, height = 2 * person.width, math.ceil(1.1 * person.height)
    with Image.open(grounds[index % len(grounds)]) as file:
        scale = max(width / file.width, height / file.height)
        size = math.ceil(file.width * scale), math.ceil(file.height * scale)
        ground = file.convert("RGB").resize(size, Image.Resampling.BICUBIC).crop((0, 0, width, height))
    left, top = person.width // 2, height - person.height
    layer = np.zeros((height, width, 4), np.float32)
    layer[top:, left : left + person.width] = np.asarray(person)
    alpha = layer[..., 3:] / np.float32(255)
    pixels = layer[..., :3] * alpha + np.asarray(ground, np.float32) * (1 - alpha)
    pixels += np.random.default_rng(index).normal(0, NOISE, pixels.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8), alpha[..., 0]


def gradient_error(alpha: NDArray[np.float32], true: NDArray[np.float32]) -> float:
    """Mean squared difference of the lengths of both gradients, in millionths."""
    return 1e6 * float(np.mean((_steepness(alpha) - _steepness(true)) ** 2))


def _steepness(alpha: NDArray[np.float32]) -> NDArray[np.float64]:
    reach = np.arange(-math.ceil(4 * SOFT), math.ceil(4 * SOFT) + 1)
    smooth = np.exp(-0.5 * (reach / SOFT) ** 2)
    smooth /= smooth.sum()
    slope = -reach / SOFT**2 * smooth
    across = _along(_along(alpha, slope, 1), smooth, 0)
    down = _along(_along(alpha, smooth, 1), slope, 0)
    return np.hypot(across, down)


def _along(values: NDArray[np.floating[Any]], taps: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Filter along an axis; beyond the picture its outermost pixels go on."""
    reach = len(taps) // 2
    padding = [(0, 0), (0, 0)]
    padding[axis] = (reach, reach)
    padded = np.pad(values, padding, mode="edge")
    length = values.shape[axis]
    out = np.zeros(values.shape)
    for tap, weight in enumerate(taps):
        out += weight * padded.take(range(tap, tap + length), axis=axis)
    return out
