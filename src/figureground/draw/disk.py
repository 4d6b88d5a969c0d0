"""Points of the Poincare disk as a picture: where a hyperbolic network of two dimensions puts pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from figureground.checks import ArgumentError, require_in_range

__all__ = ["poincare_disk"]

_SMOOTH = 2
_PAPER, _RIM, _INK = (255, 255, 255), (90, 90, 90), (225, 225, 225)


def poincare_disk(
    points: NDArray[np.floating[Any]],
    classes: NDArray[np.integer[Any]],
    colors: Sequence[tuple[int, int, int]],
    *,
    planes: tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]] | None = None,
    curvature: float = 1.0,
    size: int = 512,
) -> NDArray[np.uint8]:
    """Draw points of the disk in their classes' colours, and where wanted the lines that tell the classes apart.

    Args:
        points: float (P, 2), inside of the disk |x| < 1 / sqrt(curvature).
        classes: integer (P,), the class of each point.
        colors: (red, green, blue) of each class.
        planes: offset (K, 2) and normal (K, 2) of one line for each class: the shortest way through the offset at right
            angles to the normal, an arc that meets the rim at right angles.
        curvature: c of the disk.
        size: side of the picture in pixels.

    Returns:
        uint8 (size, size, 3).

    Raises:
        ArgumentError: points that are not (P, 2) or lie outside, a class without a colour, a size under 16, or a
            curvature that is not above 0.
    """
    require_in_range("size", size, 16)
    require_in_range("curvature", curvature, np.finfo(float).tiny)
    if points.ndim != 2 or points.shape[1] != 2 or classes.shape != points.shape[:1]:
        raise ArgumentError(f"points must be (P, 2) and classes (P,), not {points.shape} and {classes.shape}")
    if len(points) and not curvature * float((points**2).sum(1).max()) < 1:
        raise ArgumentError("a point lies outside of the disk of this curvature")
    if len(classes) and not 0 <= int(classes.min()) <= int(classes.max()) < len(colors):
        raise ArgumentError(f"classes run from {classes.min()} to {classes.max()}, but there are {len(colors)} colors")
    side = size * _SMOOTH
    picture = Image.new("RGB", (side, side), _PAPER)
    pen = ImageDraw.Draw(picture)
    radius = 0.48 * side

    def place(x: NDArray[np.floating[Any]]) -> list[tuple[float, float]]:
        unit = math.sqrt(curvature) * np.asarray(x, np.float64)
        return [(side / 2 + radius * a, side / 2 - radius * b) for a, b in unit]

    pen.ellipse((side / 2 - radius, side / 2 - radius, side / 2 + radius, side / 2 + radius), outline=_RIM, width=3)
    dot = max(2, side // 200)
    for (x, y), number in zip(place(points), classes.tolist(), strict=True):
        pen.ellipse((x - dot, y - dot, x + dot, y + dot), fill=tuple(colors[number]))
    for offset, normal, color in zip(*(planes or ((), ())), colors, strict=False):
        pen.line(place(_geodesic(offset, normal, curvature)), fill=tuple(color), width=2 * _SMOOTH)
    small = picture.resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(small, dtype=np.uint8)


def _geodesic(
    offset: NDArray[np.floating[Any]], normal: NDArray[np.floating[Any]], c: float
) -> NDArray[np.floating[Any]]:
    """Points of the shortest way through `offset` at right angles to `normal`, from rim to rim."""
    p = np.asarray(offset, np.float64)
    along = np.array([-normal[1], normal[0]], np.float64)
    along /= max(float(np.linalg.norm(along)), 1e-12)
    # The Mobius sum of p and the points of a straight way through the origin is such a way through p.
    y = np.tanh(np.linspace(-6, 6, 201))[:, None] * along / math.sqrt(c)
    py, pp, yy = (y @ p)[:, None], p @ p, (y**2).sum(1, keepdims=True)
    return np.asarray(((1 + 2 * c * py + c * yy) * p + (1 - c * pp) * y) / (1 + 2 * c * py + c**2 * pp * yy))
