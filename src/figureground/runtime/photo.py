"""A photo that is decoded only as far as someone needs it.

The network sees a few hundred pixels a side, so a JPEG of twelve megapixels is decoded at half or a quarter of its
size for it. The full-size pixels are read when a drawing asks for them, and never for a mask.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground import images
from figureground.errors import ImageError, SourceError
from figureground.images import Source


class Photo:
    """One image, with its size known at once and its pixels decoded on demand.

    A path is read again when the full-size pixels are asked for, so the file has to stay until then. A stream or a
    pipe is read to its end at once. An array (H, W, 3) of uint8 is not copied.

    Raises:
        SourceError: no such file.
        ImageError: not an image, or a damaged one. Damage in the pixels shows only when they are decoded.
    """

    def __init__(self, source: Source) -> None:
        self.path: Path | None = None
        """The file it came from, None for everything else."""
        self._pixels: NDArray[np.uint8] | None = None
        self._file: Source = b""
        if isinstance(source, (str, PathLike)):
            self.path = Path(source)
            self._file = _read_to_the_end(source) if self.path.is_fifo() else source
        elif isinstance(source, (bytes, bytearray, memoryview)):
            self._file = bytes(source)
        elif hasattr(source, "read"):
            self._file = _bytes_of(source)
        else:
            self._pixels = images.read(source)
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


def _read_to_the_end(pipe: str | PathLike[str]) -> bytes:
    try:
        return Path(pipe).read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read '{pipe}': {error.strerror or error}") from error


def _bytes_of(stream: Any) -> bytes:
    try:
        data = stream.read()
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot read the stream: {error}") from error
    if not isinstance(data, bytes):
        raise SourceError("the stream gives text, not bytes", remedy="open it with mode 'rb'")
    return data
