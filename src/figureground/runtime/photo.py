"""A photo that is decoded only as far as someone needs it.

The network sees a few hundred pixels a side, so a JPEG of twelve megapixels is decoded at half or a quarter of its
size for it. The full-size pixels are read when a drawing asks for them, and never for a mask.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground import images
from figureground.errors import ImageError

Source: TypeAlias = "str | PathLike[str] | bytes | BinaryIO | Image.Image | NDArray[np.generic]"
"""What counts as an image: a path, the bytes of an image file, a binary stream, a PIL image, an array (H, W, 3)."""


class Photo:
    """One image, with its size known at once and its pixels decoded on demand.

    A path is read again when the full-size pixels are asked for, so the file has to stay until then. A stream is read
    to its end at once. An array is not copied.

    Raises:
        SourceError: no such file.
        ImageError: not an image, or a damaged one. Damage in the pixels shows only when they are decoded.
    """

    def __init__(self, source: Source) -> None:
        self.path: Path | None = None
        """The file it came from, None for everything else."""
        self._pixels: NDArray[np.uint8] | None = None
        self._file: Path | bytes = b""
        if isinstance(source, (str, PathLike)):
            self._file = self.path = Path(source)
        elif isinstance(source, bytes):
            self._file = source
        elif isinstance(source, (Image.Image, np.ndarray)):
            self._pixels = images.read(source)
        else:
            self._file = source.read()
        self.size: tuple[int, int] = images.size(self._file) if self._pixels is None else self._pixels.shape[:2]
        """(height, width) in pixels after the EXIF orientation is applied."""

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The photo at full size: uint8 (H, W, 3), RGB. Decoded on first use and kept."""
        if self._pixels is None:
            pixels = images.read(self._file)
            if pixels.shape[:2] != self.size:
                raise ImageError(f"{self.path or 'image'}: changed while it was in use", remedy="segment it again")
            self._pixels = pixels
        return self._pixels

    def preview(self, short_side: int) -> NDArray[np.uint8]:
        """The photo, uint8 (h, w, 3), perhaps decoded smaller than it is, but not below `short_side` pixels a side."""
        if self._pixels is not None:
            return self._pixels
        pixels = images.read(self._file, at_least=short_side)
        if pixels.shape[:2] == self.size:
            self._pixels = pixels  # it came at full size: no second decoding when a drawing asks
        return pixels
