"""What an index map is: numbers of labels in place of colours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.checks import ArgumentError, require_same_size
from figureground.labels import LabelTree

__all__ = ["IGNORE", "require_index_maps"]

IGNORE = 255
"""The value in a true index map that says: nobody knows what is here."""


def require_index_maps(labels: LabelTree, pred: NDArray[Any], true: NDArray[Any]) -> None:
    """Raise `ArgumentError` unless both are index maps (H, W) of one size that fit `labels`.

    In `pred` 0 is background and k + 1 is leaf k. In `true` the numbers of inner nodes (`LabelTree.mask_values`) and
    `IGNORE` may stand too.
    """
    _require_indices("pred", pred, len(labels.leaves))
    _require_indices("true", np.where(true == IGNORE, 0, true), len(labels))
    require_same_size("pred", pred, "true", true)


def _require_indices(name: str, index_map: NDArray[Any], most: int) -> None:
    if not np.issubdtype(index_map.dtype, np.integer) or index_map.ndim != 2 or index_map.size == 0:
        raise ArgumentError(f"{name} must be integer of shape (H, W), not {index_map.dtype} of shape {index_map.shape}")
    low, high = int(index_map.min()), int(index_map.max())
    if low < 0 or high > most:
        raise ArgumentError(f"{name} holds indices from {low} to {high}, but the tree has 0 (background) to {most}")
