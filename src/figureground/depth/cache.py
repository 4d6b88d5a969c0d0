"""Estimated depth of photos, computed once and kept in a folder.

A file is named after what it was computed from: the photo's bytes, the estimator's graph and the size at which it saw
the photo. So a photo that changes, or another estimator, never meets an old map, folders may be shared, and nothing has
to be cleared. Each is a grey PNG of 16 bits, 1 for a normalised depth of -3 to 65535 for 3, a step of 0.00009; files
appear whole or not at all, so an interrupted computation goes on where it stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground import images
from figureground.depth.estimator import Estimator
from figureground.errors import FiguregroundError, SourceError
from figureground.images import DEPTH_CLIP

_STEPS = 65534

Fit = Callable[[int, int], tuple[int, int]]
"""From a photo's (height, width) to the size at which its depth is estimated."""
Progress = Callable[[int, int], None]
"""Told (photos done, photos in all) after each photo."""


class DepthCache:
    """The depth of photo files by an estimator, as the network will see them.

    Args:
        folder: where the maps are kept; made when the first is written.
        estimator: what computes them.
        fit: the size at which it sees a photo.
    """

    def __init__(self, folder: Path, estimator: Estimator, fit: Fit) -> None:
        self.folder = folder
        self.estimator = estimator
        self.fit = fit

    def __call__(self, photo: Path) -> NDArray[np.float32]:
        """The normalised depth of a photo, float32 (h, w) at the size of `fit`: read, or computed and kept.

        Raises:
            SourceError: no such photo.
            ImageError: the photo cannot be read.
            NetworkError: the estimator fails.
            OutputError: the folder cannot be written.
        """
        data = _bytes(photo)
        size = self.fit(*images.size(data))
        kept = self._place(data, size)
        found = _read(kept, size)
        if found is not None:
            return found
        encoded = encoded_depth(self.estimator(images.resize(images.read(data), size)))
        images.make_folder(kept.parent, remedy="set depth.cache to a folder of yours")
        images.write_bytes(encoded, kept)
        return decoded_depth(encoded)

    def fill(self, photos: Sequence[Path], progress: Progress | None = None) -> None:
        """Compute what is missing of `photos`. Raises as a call does."""
        for done, photo in enumerate(photos, 1):
            self(photo)
            if progress is not None:
                progress(done, len(photos))

    def missing(self, photos: Sequence[Path]) -> list[Path]:
        """The photos whose depth is not there yet."""
        return [photo for photo in photos if not self._place(data := _bytes(photo), self._size(data)).is_file()]

    def _size(self, data: bytes) -> tuple[int, int]:
        return self.fit(*images.size(data))

    def _place(self, data: bytes, size: tuple[int, int]) -> Path:
        key = hashlib.sha256(data)
        key.update(f"{self.estimator.fingerprint} {size[0]}x{size[1]}".encode())
        name = key.hexdigest()
        return self.folder / name[:2] / f"{name[2:]}.png"


def encoded_depth(depth: NDArray[np.float32]) -> bytes:
    """Normalised depth, (H, W) from -3 to 3, as a grey PNG of 16 bits."""
    steps = np.rint((depth.astype(np.float64) + DEPTH_CLIP) * (_STEPS / (2 * DEPTH_CLIP)))
    buffer = BytesIO()
    Image.fromarray((1 + steps).astype(np.uint16)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def decoded_depth(data: bytes) -> NDArray[np.float32]:
    """What `encoded_depth` wrote, within half a step; exact at -3, 0 and 3."""
    with Image.open(BytesIO(data), formats=["PNG"]) as opened:
        steps = np.asarray(opened, dtype=np.float64) - 1
    return (steps * (2 * DEPTH_CLIP / _STEPS) - DEPTH_CLIP).astype(np.float32)


def _read(path: Path, size: tuple[int, int]) -> NDArray[np.float32] | None:
    """A kept map; None where there is none, or where something else has damaged it."""
    try:
        depth = decoded_depth(path.read_bytes())
    except (OSError, ValueError, SyntaxError, FiguregroundError):
        return None
    return depth if depth.shape == size else None


def _bytes(photo: Path) -> bytes:
    try:
        return photo.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read the photo {photo}: {error.strerror}", remedy="check the path") from error
