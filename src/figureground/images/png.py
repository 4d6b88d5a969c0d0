"""A PNG writer for speed.

Pillow tries five row filters on every row, which takes longer than the compression. One fixed filter, with run-length
matching only, gives photos and cut-outs of about the same size in a third of the time.
PNG specification, third edition: https://www.w3.org/TR/png-3/
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

__all__ = ["encode_png"]

_COLOR_TYPES = {1: 0, 3: 2, 4: 6}
_FILTER_SUB = 1
_BAND_BYTES = 1 << 20


def encode_png(array: NDArray[np.uint8]) -> bytes:
    """Encode uint8 (H, W), (H, W, 3) or (H, W, 4) as the bytes of a PNG file."""
    height, width = array.shape[:2]
    pixels = array.reshape(height, width, -1)
    channels = pixels.shape[2]
    compressor = zlib.compressobj(level=1, memLevel=9, strategy=zlib.Z_RLE)
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOR_TYPES[channels], 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n", _chunk(b"IHDR", header)]
    rows = max(1, _BAND_BYTES // (width * channels))
    for top in range(0, height, rows):
        compressed = compressor.compress(_filtered(pixels[top : top + rows]).data)
        if compressed:
            parts.append(_chunk(b"IDAT", compressed))
    parts += [_chunk(b"IDAT", compressor.flush()), _chunk(b"IEND", b"")]
    return b"".join(parts)


def _filtered(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Replace every byte by its difference from the pixel on its left, and put the filter's number before each row."""
    height, width, channels = pixels.shape
    rows = pixels.reshape(height, width * channels)
    filtered = np.empty((height, 1 + width * channels), dtype=np.uint8)
    filtered[:, 0] = _FILTER_SUB
    filtered[:, 1 : 1 + channels] = rows[:, :channels]
    np.subtract(rows[:, channels:], rows[:, :-channels], out=filtered[:, 1 + channels :])
    return filtered


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
