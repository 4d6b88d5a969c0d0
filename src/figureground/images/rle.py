"""Masks as text: run lengths, row by row or column by column, and COCO's compressed form of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from figureground.errors import DataError, ImageError

__all__ = ["mask_from_coco", "mask_from_rle", "mask_to_rle"]


def mask_to_rle(mask: NDArray[np.bool_]) -> str:
    """Write a mask as "start length start length ...": row by row, the first pixel is number 1.

    Args:
        mask: bool `(H, W)`.

    Returns:
        The runs of True in order; an empty text where there is none.

    Raises:
        ImageError: not a mask.

    >>> mask_to_rle(np.array([[False, True, True], [True, False, True]]))
    '2 3 6 1'
    """
    if mask.dtype != np.bool_ or mask.ndim != 2:
        raise ImageError(f"a mask is bool of shape (H, W), not {mask.dtype} of shape {mask.shape}")
    changes = np.flatnonzero(np.diff(mask.ravel(), prepend=False, append=False))
    runs = changes.reshape(-1, 2)
    runs[:, 1] -= runs[:, 0]
    runs[:, 0] += 1
    return " ".join(map(str, runs.ravel().tolist()))


def mask_from_rle(text: str, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Read what `mask_to_rle` writes.

    Args:
        text: runs as "start length ...", in any order; they may overlap.
        size: (height, width) of the mask.

    Returns:
        bool (H, W).

    Raises:
        DataError: not pairs of whole numbers, or a run that leaves the mask.

    >>> mask_from_rle("2 3 6 1", (2, 3)).tolist()
    [[False, True, True], [True, False, True]]
    """
    try:
        numbers = np.array(text.split(), dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise DataError(f"run lengths hold what is no whole number: {error}") from error
    if numbers.size % 2:
        raise DataError(f"run lengths are pairs of start and length, but there are {numbers.size} numbers")
    starts, lengths = numbers[0::2] - 1, numbers[1::2]
    pixels = size[0] * size[1]
    wrong = np.flatnonzero((starts < 0) | (lengths < 0) | (lengths > pixels - starts))
    if wrong.size:
        first = int(wrong[0])
        raise DataError(
            f"the run '{numbers[2 * first]} {numbers[2 * first + 1]}' leaves a mask of {size[1]}x{size[0]} pixels",
            remedy="give the photo's own size; the first pixel is number 1",
        )
    steps = np.zeros(pixels + 1, np.int64)
    np.add.at(steps, starts, 1)
    np.add.at(steps, starts + lengths, -1)
    return (np.cumsum(steps[:-1]) > 0).reshape(size)


def mask_from_coco(counts: Sequence[int] | str | bytes, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Read run lengths of COCO: column by column, off and on in turns, as numbers or in their compressed text.

    Args:
        counts: lengths of the runs, the first of pixels that are off; or the text that stands for them.
        size: (height, width) of the mask.

    Returns:
        bool (H, W).

    Raises:
        DataError: the runs are not as long as the mask has pixels, or the text is damaged.
    """
    lengths = _uncompressed(counts) if isinstance(counts, (str, bytes)) else [int(count) for count in counts]
    height, width = size
    if min(lengths, default=0) < 0 or sum(lengths) != height * width:
        raise DataError(f"run lengths of {sum(lengths)} pixels for a mask of {width}x{height}")
    values = np.arange(len(lengths)) % 2 == 1
    return np.asarray(np.repeat(values, lengths).reshape(width, height).T)


def _uncompressed(text: str | bytes) -> list[int]:
    """Numbers of six bits a character: five of the number, low ones first, and whether there are more.

    From the fourth on they are differences to the length of the run before the last.
    """
    lengths: list[int] = []
    value = shift = 0
    for code in text if isinstance(text, bytes) else text.encode("utf-8"):
        part = code - 48
        if not 0 <= part < 64 or shift > 60:
            raise DataError("the compressed run lengths of a mask are damaged")
        value |= (part & 31) << shift
        shift += 5
        if part & 32:
            continue
        if part & 16:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    if shift:
        raise DataError("the compressed run lengths of a mask are cut off")
    return lengths
