"""The numbers in a mask file, as they are stored: no palette is looked up, and nothing is clipped."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.errors import DataError
from figureground.images.formats import decoding, open_header

_LOSSY = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".heic", ".heif", ".hif", ".avif"})


def is_lossy(mask: Path) -> bool:
    """Whether files of that name lose a little of what is written, so that zero is not exactly zero."""
    return mask.suffix.lower() in _LOSSY


def check_lossless(mask: Path) -> Path:
    """The path; DataError where the name is that of a lossy file."""
    if is_lossy(mask):
        raise DataError(
            f"the mask {mask} is a lossy {mask.suffix[1:]} file, in which zero is not exactly zero",
            remedy="save the masks as PNG",
        )
    return mask


def read_stored(path: str | os.PathLike[str]) -> NDArray[Any]:
    """A mask file's own numbers, a palette's indices among them: (H, W), or (H, W, bands) for a picture in colours.

    Of one bit a pixel the answer is bool. An alpha channel is left out.

    Raises:
        ImageError: not an image, or a damaged one.
        DataError: the file cannot be opened.
    """
    name = f"the mask '{os.fspath(path)}'"
    try:
        with open(path, "rb") as file:
            opened = open_header(file, name)
            with decoding(name, opened.format or ""):
                values, bands = np.asarray(opened), opened.getbands()
    except OSError as error:
        raise DataError(f"cannot open {name}: {error.strerror}") from error
    if values.ndim == 2:
        return values
    kept = [index for index, band in enumerate(bands) if band not in ("A", "a")]
    return values[..., kept[0]] if len(kept) == 1 else values[..., kept]
