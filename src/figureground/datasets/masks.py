"""The numbers in a mask file, as they are stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.errors import DataError
from figureground.images import read_stored
from figureground.images.formats import decoding, open_header

__all__ = ["has_shape_in_alpha", "read_values"]

Values = NDArray[np.unsignedinteger[Any]]


def read_values(path: str | Path) -> Values:
    """The values of a mask: uint8 or uint16 (H, W). Of a palette file the indices count, not their colours.

    Raises:
        DataError: it cannot be opened, or its colours differ, so that a pixel has no one number.
        ImageError: not an image, or a damaged one.
    """
    values = read_stored(path)
    if values.ndim == 3:
        if (values != values[..., :1]).any():
            raise DataError(f"the mask '{path}' is in colour", remedy="save index maps as grey or palette PNG")
        values = values[..., 0]
    if values.dtype == bool:  # one bit a pixel is black and white, not 0 and 1
        values = values * np.uint8(255)
    if values.dtype.kind == "f" or values.min(initial=0) < 0:
        raise DataError(f"the mask '{path}' holds numbers that are no labels", remedy="save it as an 8-bit PNG")
    return values.astype(np.uint8) if values.max(initial=0) < 256 else values.astype(np.uint16)


def has_shape_in_alpha(path: Path) -> bool:
    """Whether a mask has an alpha channel, which `read_values` passes over, that is not of one value everywhere.

    Raises:
        ImageError: not an image, or a damaged one.
    """
    name = f"the mask '{path}'"
    with open(path, "rb") as file:
        opened = open_header(file, name)
        if "A" not in opened.getbands():
            return False
        with decoding(name, opened.format or ""):
            alpha = np.asarray(opened.getchannel("A"))
    return bool((alpha != alpha.flat[0]).any())
