"""The numbers in a mask file, as they are stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.errors import DataError
from figureground.images.formats import decoding, open_header

__all__ = ["read_values"]

Values = NDArray[np.unsignedinteger[Any]]


def read_values(path: str | Path) -> Values:
    """The values of a mask: uint8 or uint16 (H, W). Of a palette file the indices count, not their colours.

    Raises:
        DataError: it cannot be opened, or its colours differ, so that a pixel has no one number.
        ImageError: not an image, or a damaged one.
    """
    name = f"the mask '{path}'"
    try:
        with open(path, "rb") as file:
            opened = open_header(file, name)
            with decoding(name, opened.format or ""):
                # One bit a pixel is black and white, not 0 and 1.
                picture = opened.convert("L") if opened.mode == "1" else opened
                bands, values = picture.getbands(), np.asarray(picture)
    except OSError as error:
        raise DataError(f"cannot open {name}: {error.strerror}") from error
    if values.ndim == 3:
        colours = values[..., [index for index, band in enumerate(bands) if band not in ("A", "a")]]
        if (colours != colours[..., :1]).any():
            raise DataError(f"{name} is in colour", remedy="save index maps as grey or palette PNG")
        values = colours[..., 0]
    if values.dtype.kind == "f" or values.min(initial=0) < 0:
        raise DataError(f"{name} holds numbers that are no labels", remedy="save it as an 8-bit PNG")
    return values.astype(np.uint8) if values.max(initial=0) < 256 else values.astype(np.uint16)
