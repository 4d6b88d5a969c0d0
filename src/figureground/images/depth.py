"""Depth maps: reading them, and taking away what nobody can know of them, their scale and their shift.

Networks that estimate depth from one picture say it up to an unknown scale and shift for each picture (MiDaS, Ranftl
et al., arXiv:1907.01341), and measured maps are in millimetres, metres or pixels of disparity. `normalised_depth` makes
all of them alike, so that one network can be shown any.
"""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from figureground.errors import ImageTooLargeError, SourceError, UnreadableImageError
from figureground.images.formats import decoding, open_header
from figureground.images.reading import MAX_PIXELS

__all__ = [
    "DEPTH_CLIP",
    "DEPTH_FLAT",
    "DEPTH_SUFFIXES",
    "DepthMap",
    "DepthValues",
    "depth_size",
    "find_depth_map",
    "normalised_depth",
    "read_depth",
]

DepthMap = str | os.PathLike[str] | NDArray[Any]
"""What counts as a depth map: the path of a grey picture or of a .npy file, or an array (H, W)."""

DepthValues = Literal["inverse", "distance"]
"""What the numbers grow with: nearness (disparity, MiDaS) or the distance from the camera (millimetres, metres)."""

DEPTH_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".npy"})
"""The suffixes, in lower case and with their dot, of files that are taken for depth maps."""

DEPTH_CLIP = 3.0
"""Normalised depth lies between minus this and this."""

DEPTH_FLAT = 1e-5
"""A map whose mean deviation is less than this share of its median is taken to be flat, not stretched to noise."""

_TINY = 1e-30
_ARRAY = ".npy"


def find_depth_map(folder: Path, stem: str) -> Path | None:
    """The depth map `stem` (with folders, without suffix) below `folder`; None where there is none."""
    for suffix in sorted(DEPTH_SUFFIXES):
        for written in (suffix, suffix.upper()):
            found = folder / f"{stem}{written}"
            if found.is_file():
                return found
    return None


def read_depth(source: DepthMap) -> NDArray[np.float32]:
    """Read a depth map as float32 (H, W); 0 is where nothing is known: zeros, negative numbers, NaN and infinity.

    Pictures are grey with 8, 16 or 32 bits and are read as they are stored; notes on rotation are not applied.

    Raises:
        SourceError: no such file, or one that cannot be opened.
        UnreadableImageError: neither a grey picture nor an array (H, W) of numbers.
        ImageTooLargeError: more than `MAX_PIXELS`.
    """
    name = "the depth map given" if isinstance(source, np.ndarray) else f"the depth map '{os.fspath(source)}'"
    stored = source if isinstance(source, np.ndarray) else _stored(Path(source), name)
    return _known(stored, name)


def depth_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return (height, width) of a depth map file from its header. Raises as `read_depth` does."""
    name = f"the depth map '{os.fspath(path)}'"
    if Path(path).suffix.lower() == _ARRAY:
        try:
            shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
        except (OSError, ValueError, EOFError) as error:
            raise UnreadableImageError(f"{name} cannot be read: {error}", remedy="save it again with np.save") from None
        if len(shape) != 2:
            raise UnreadableImageError(f"{name} has shape {shape}", remedy="save it as (height, width)")
        return shape[0], shape[1]
    header = open_header(BytesIO(_bytes(Path(path), name)), name)
    return header.height, header.width


def normalised_depth(depth: NDArray[np.float32], values: DepthValues) -> NDArray[np.float32]:
    """Nearness without scale and shift: (d - median) / mean |d - median|, cut off at -3 and 3; float32 (H, W).

    It is that of MiDaS' scale- and shift-invariant loss (arXiv:1907.01341), which HolyBayes/FastSeg, where
    depth becomes a fourth channel, does without: it divides by 1000. What is left open is settled so: of an even number
    of pixels the lower of the two middle ones is the median; unknown pixels (0) do not count and become 0, the median;
    a distance is turned into nearness, 1 / distance, first; a map that hardly varies (`DEPTH_FLAT`) is near 0 all over.

    Args:
        depth: as `read_depth` gives it.
        values: what its numbers grow with.
    """
    known = depth > 0
    nearness = depth[known].astype(np.float64)
    result = np.zeros(depth.shape, dtype=np.float32)
    if not nearness.size:
        return result
    if values == "distance":
        nearness = 1 / nearness
    middle = (nearness.size - 1) // 2
    median = np.partition(nearness, middle)[middle]
    nearness -= median
    spread = max(np.abs(nearness).mean(), DEPTH_FLAT * abs(median), _TINY)
    result[known] = np.clip(nearness / spread, -DEPTH_CLIP, DEPTH_CLIP)
    return result


def _known(stored: NDArray[Any], name: str) -> NDArray[np.float32]:
    if stored.ndim == 3 and 1 in (stored.shape[0], stored.shape[2]):
        stored = stored[0] if stored.shape[0] == 1 else stored[..., 0]
    if stored.ndim != 2 or stored.size == 0:
        raise UnreadableImageError(
            f"{name} has shape {stored.shape}", remedy="a depth map is (height, width): one number for each pixel"
        )
    if stored.dtype.kind not in "uif":
        raise UnreadableImageError(f"{name} holds {stored.dtype}", remedy="a depth map holds whole numbers or floats")
    if stored.size > MAX_PIXELS:
        raise ImageTooLargeError(f"{name} has {stored.size / 1e6:.1f} megapixels", remedy="make it smaller")
    depth = stored.astype(np.float32)
    depth[~(np.isfinite(depth) & (depth > 0))] = 0
    return depth


def _stored(path: Path, name: str) -> NDArray[Any]:
    data = _bytes(path, name)
    if path.suffix.lower() == _ARRAY:
        with decoding(name, "NPY"):
            return np.asarray(np.load(BytesIO(data), allow_pickle=False))
    opened = open_header(BytesIO(data), name)
    if opened.width * opened.height > MAX_PIXELS:
        raise ImageTooLargeError(f"{name} is {opened.width} x {opened.height}", remedy="make it smaller")
    if len(opened.getbands()) != 1 or opened.mode in ("1", "P"):
        raise UnreadableImageError(
            f"{name} is a picture of the mode {opened.mode}", remedy="save depth as a grey PNG of 8 or 16 bits"
        )
    with decoding(name, opened.format or "image"):
        return np.asarray(opened)


def _bytes(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise SourceError(f"{name} is not there", remedy="check the path") from None
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot open {name}: {getattr(error, 'strerror', None) or error}") from error
