"""Pieces of a picture with soft edges: where they start, and how much each counts where they overlap."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def starts(length: int, piece: int, step: int) -> list[int]:
    """First pixels of pieces that cover `length` pixels; the last is moved back to end with the picture.

    Args:
        length: of the whole, in pixels.
        piece: length of a piece.
        step: from one start to the next, 1 to `piece`.
    """
    if piece >= length:
        return [0]
    regular = range(0, length - piece, step)
    return [*regular, length - piece]


def window(length: int, overlap: int, *, soft_start: bool, soft_end: bool) -> NDArray[np.float32]:
    """How much each pixel of a piece counts: 1 in the middle, less within `overlap` pixels of a soft end.

    A soft end has a quarter of `overlap` that does not count, since a network sees nothing beyond it, then a half in
    which a raised cosine climbs, then a quarter that counts in full. Two ends that meet over `overlap` pixels sum to 1.

    Args:
        length: of the piece, in pixels.
        overlap: pixels that the piece shares with the next one, 0 to `length`.
        soft_start: whether another piece lies before it; the edge of the photo is not soft.
        soft_end: whether another piece lies behind it.
    """
    counts = np.ones(length, np.float32)
    if overlap > 0:
        climb = (np.arange(overlap) + 0.5 - overlap / 4) / math.ceil(overlap / 2)
        ramp = (0.5 - 0.5 * np.cos(np.pi * np.clip(climb, 0, 1))).astype(np.float32)
        if soft_start:
            counts[:overlap] = ramp
        if soft_end:
            counts[length - overlap :] = np.minimum(counts[length - overlap :], ramp[::-1])
    return counts
