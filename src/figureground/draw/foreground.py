"""What colour is the person at a soft edge, where the camera saw person and background mixed?

The photo's colour is I = a F + (1 - a) B, with known alpha `a` and unknown foreground F and background B. As in fast
multi-level foreground estimation (Germer et al., arXiv 2006.14970) both are carried from coarse to fine, and the
equation is satisfied at the end. We differ in how they are carried: by one push-pull pass (Gortler et al., SIGGRAPH
1996) that fills in the surely-foreground and the surely-background colours from nearby, without iterations.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.checks import require_alpha, require_image, require_same_size
from figureground.draw.cutout import eight_bit

__all__ = ["foreground_colors"]

_SAMPLES = 768
"""The colours are carried on a grid with about this many samples along the photo's short side."""

_SURE = 0.1
"""Alpha within this distance of 1 or 0 votes for the colour of foreground or background, the more the nearer."""

_SOFT = 5
"""Nearer to 0 or 255 than this, alpha in 256 steps counts as hard: a network's alpha is rarely quite 0 or 1."""

_TRUST = 0.05
"""Weight of the coarser level's colour against the samples of a cell, whose weight is at most 1."""

_CHUNK = 1 << 18
"""Soft pixels worked on at once; bounds the memory when alpha is soft all over."""

_Floats = NDArray[np.float32]


def foreground_colors(image: NDArray[np.uint8], alpha: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Replace the colours at soft edges by the estimated colours of the foreground alone.

    Only pixels with alpha from 0.02 to 0.98 change. Composited with the same alpha over the old background
    the result looks like the photo; over any other background no fringe of the old one is left.

    Args:
        image: uint8 `(H, W, 3)`.
        alpha: floating point `(H, W)` in [0, 1].

    Returns:
        Colours, uint8 `(H, W, 3)`.

    Raises:
        ArgumentError: an array of the wrong shape or type, or the sizes differ.
    """
    require_image("image", image)
    require_alpha("alpha", alpha)
    require_same_size("alpha", alpha, "image", image)
    out = image.copy()
    steps = eight_bit(alpha).ravel()
    soft = np.flatnonzero((steps >= _SOFT) & (steps <= 255 - _SOFT))
    if not soft.size:
        return out
    stride = max(1, min(alpha.shape) // _SAMPLES)
    colors = image[::stride, ::stride].astype(np.float32)
    samples = alpha[::stride, ::stride].astype(np.float32)
    foreground = _spread(colors, np.clip((samples - 1 + _SURE) / _SURE, 0, 1))
    background = _spread(colors, np.clip((_SURE - samples) / _SURE, 0, 1))
    pixels = out.reshape(-1, 3)
    for start in range(0, soft.size, _CHUNK):
        chosen = soft[start : start + _CHUNK]
        row, column = np.divmod(chosen, alpha.shape[1])
        near = row // stride, column // stride
        a = steps[chosen, None] * np.float32(1 / 255)
        pixels[chosen] = _unmix(pixels[chosen], a, foreground[near], background[near])
    return out


def _unmix(mixed: NDArray[np.uint8], a: _Floats, foreground: _Floats, background: _Floats) -> NDArray[np.uint8]:
    """The foreground nearest to the guess that explains the mixture exactly; all `(n, 3)` but alpha `(n, 1)`.

    The unexplained rest is split between foreground and background by least squares. At alpha 1 that leaves the photo's
    colour, at alpha 0 the guess.
    """
    rest = mixed - a * foreground - (1 - a) * background
    estimate = foreground + rest * (a / (a * a + (1 - a) * (1 - a)))
    rounded: NDArray[np.uint8] = np.clip(estimate + np.float32(0.5), 0, 255).astype(np.uint8)
    return rounded


def _spread(colors: _Floats, weights: _Floats) -> _Floats:
    """Fill colours in from where the weights are to everywhere else: push-pull over a pyramid.

    `colors` `(h, w, 3)`, `weights` `(h, w)` in [0, 1]; returns `(h, w, 3)`. Without any weight the result is black.
    """
    sums, levels = np.dstack([colors * weights[..., None], weights]), []
    while True:
        levels.append(sums)
        if max(sums.shape[:2]) == 1:
            break
        sums = _halve(sums)
    top = levels.pop()
    filled = (top[..., :3] / np.maximum(top[..., 3:], np.float32(1e-6))).astype(np.float32)
    for level in reversed(levels):
        guess = _double(filled)[: level.shape[0], : level.shape[1]]
        filled = (level[..., :3] + np.float32(_TRUST) * guess) / (level[..., 3:] + np.float32(_TRUST))
    return filled


def _halve(values: _Floats) -> _Floats:
    """Means over 2 by 2 cells; an odd side is completed with zeros, which carry no weight."""
    height, width, channels = values.shape
    even = np.pad(values, ((0, height % 2), (0, width % 2), (0, 0)))
    halved: _Floats = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) * np.float32(0.25)
    return halved.reshape((height + 1) // 2, (width + 1) // 2, channels)


def _double(values: _Floats) -> _Floats:
    """Twice the size, bilinear."""
    size = values.shape[1] * 2, values.shape[0] * 2
    channels = [Image.fromarray(np.ascontiguousarray(values[..., c])) for c in range(values.shape[2])]
    return np.dstack([np.asarray(channel.resize(size, Image.Resampling.BILINEAR)) for channel in channels])
