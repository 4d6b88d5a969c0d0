"""Checks of arguments for everything that takes pixels: a wrong call fails at the door and names the argument."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.errors import FiguregroundError

__all__ = [
    "ArgumentError",
    "require_alpha",
    "require_image",
    "require_in_range",
    "require_mask",
    "require_probabilities",
    "require_same_size",
    "require_whole",
]


class ArgumentError(FiguregroundError, ValueError):
    """An argument outside of its range or an array of the wrong shape or type."""


def require_in_range(name: str, value: float, low: float, high: float = float("inf")) -> None:
    """Raise `ArgumentError` unless `low <= value <= high`; NaN and what is no number are outside of every range."""
    try:
        inside = bool(low <= value <= high)
    except (TypeError, ValueError):
        inside = False
    if not inside:
        span = f"at least {low:g}" if high == float("inf") else f"from {low:g} to {high:g}"
        raise ArgumentError(f"{name} must be {span}, not {value!r}")


def require_whole(name: str, value: int, low: float, high: float = float("inf")) -> None:
    """Raise `ArgumentError` unless `value` is an integer from `low` to `high`; a float is none, whatever its value."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise ArgumentError(f"{name} must be a whole number, not {value!r}")
    require_in_range(name, value, low, high)


def require_image(name: str, image: NDArray[Any]) -> None:
    """Raise `ArgumentError` unless `image` is uint8 `(H, W, 3)` with at least one pixel."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ArgumentError(f"{name} must be uint8 of shape (H, W, 3), not {_describe(image)}")


def require_alpha(name: str, alpha: NDArray[Any]) -> None:
    """Raise `ArgumentError` unless `alpha` is floating point `(H, W)` with at least one pixel."""
    if not np.issubdtype(alpha.dtype, np.floating) or alpha.ndim != 2 or alpha.size == 0:
        raise ArgumentError(f"{name} must be floating point of shape (H, W), not {_describe(alpha)}")


def require_probabilities(name: str, values: NDArray[Any], *, axes: int = 2) -> None:
    """Raise `ArgumentError` unless `values` is floating point with `axes` axes and lies in [0, 1]; NaN does not.

    Sums of leaves pass 1 by rounding, so a thousandth beyond either end is let through.
    """
    shape = "(H, W)" if axes == 2 else "(K, H, W)"
    if not np.issubdtype(values.dtype, np.floating) or values.ndim != axes or values.size == 0:
        raise ArgumentError(f"{name} must be floating point of shape {shape}, not {_describe(values)}")
    low, high = values.min(), values.max()  # NaN anywhere makes both NaN, and fails the comparison
    if not (low >= -1e-3 and high <= 1 + 1e-3):
        raise ArgumentError(f"{name} must be from 0 to 1 everywhere, not from {low:g} to {high:g}")


def require_mask(name: str, mask: NDArray[Any]) -> None:
    """Raise `ArgumentError` unless `mask` is bool `(H, W)` with at least one pixel."""
    if mask.dtype != np.bool_ or mask.ndim != 2 or mask.size == 0:
        raise ArgumentError(f"{name} must be bool of shape (H, W), not {_describe(mask)}")


def require_same_size(name: str, array: NDArray[Any], other_name: str, other: NDArray[Any]) -> None:
    """Raise `ArgumentError` unless the first two axes, height and width, of both arrays agree."""
    if array.shape[:2] != other.shape[:2]:
        raise ArgumentError(f"{name} is {_extent(array)} but {other_name} is {_extent(other)}; they must have one size")


def _describe(array: NDArray[Any]) -> str:
    return f"{array.dtype} of shape {array.shape}"


def _extent(array: NDArray[Any]) -> str:
    return "x".join(str(side) for side in array.shape[:2]) + " (height x width)"
