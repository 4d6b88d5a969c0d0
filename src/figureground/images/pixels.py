"""Pixels of every kind to 8-bit RGB, and between Pillow images and arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.errors import ImageTooSmallError, UnreadableImageError

__all__ = ["array_from_pil", "eight_bit", "rgb_from_array", "rgb_from_pil"]

_BAND_PIXELS = 1 << 18
_DTYPES = {"F": np.float32, "I": np.int32}


def array_from_pil(image: Image.Image) -> NDArray[Any]:
    """Copy a Pillow image (mode L, RGB, RGBA, F or I) into a writeable array (H, W) or (H, W, channels).

    It goes band by band, so that each band is copied while it lies in the cache: less than half the time of `np.array`.
    """
    width, height = image.size
    bands = len(image.getbands())
    shape = (height, width) if bands == 1 else (height, width, bands)
    array = np.empty(shape, dtype=_DTYPES.get(image.mode, np.uint8))
    rows = max(1, _BAND_PIXELS // max(1, width))
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        array[top:bottom] = np.asarray(image.crop((0, top, width, bottom)))
    return array


def rgb_from_pil(image: Image.Image, name: str, turn: Image.Transpose | None = None) -> NDArray[np.uint8]:
    """Decode a Pillow image of any mode to uint8 (H, W, 3), then apply `turn`; `name` stands for it in errors.

    Transparent pixels are laid on white, deeper pixels are scaled to 8 bits, CMYK is converted without a profile.
    """
    image.load()
    flat = _on_white(_eight_bit_pil(image, name))
    if turn is not None:
        flat = flat.transpose(turn)
    return array_from_pil(flat)


def rgb_from_array(array: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Return an array as uint8 (H, W, 3), itself where it is one already; `name` stands for it in errors.

    Grey (H, W) or (H, W, 1) is repeated, RGBA (H, W, 4) is laid on white, the numbers are read as in `eight_bit`.
    """
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        remedy = "it must be (height, width, 3), RGB"
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):
            remedy += "; use array.transpose(1, 2, 0)"
        raise UnreadableImageError(f"{name} has shape {array.shape}", remedy=remedy)
    if 0 in array.shape:
        raise ImageTooSmallError(f"{name} has shape {array.shape}: no pixels")
    pixels = np.ascontiguousarray(eight_bit(array, name))
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    if pixels.shape[2] == 4:
        return array_from_pil(_on_white(Image.fromarray(pixels, "RGBA")))
    return pixels


def eight_bit(array: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Scale numbers to 0 to 255: booleans, uint8, uint16 over its whole range, floats from 0 to 1.

    Raises:
        UnreadableImageError: another type, or floats outside 0 to 1 (a little overshoot is clipped) or not finite.
    """
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        # The high byte, as Pillow reads 16-bit colour: 257 * v comes back as v.
        return (array >> 8).astype(np.uint8)
    if array.dtype.kind == "f":
        low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
        if not (low >= -0.001 and high <= 1.001):
            found = f"holds floats from {low:.4g} to {high:.4g}"
            raise UnreadableImageError(f"{name} {found}", remedy="scale them to 0 to 1, or convert to uint8 (0 to 255)")
        scaled: NDArray[np.uint8] = (np.clip(array, 0, 1) * 255 + 0.5).astype(np.uint8)
        return scaled
    raise UnreadableImageError(f"{name} holds {array.dtype}", remedy="convert it to uint8 (0 to 255)")


def _eight_bit_pil(image: Image.Image, name: str) -> Image.Image:
    if image.mode.startswith("I;16"):
        return Image.fromarray(eight_bit(np.asarray(image), name))
    if image.mode == "I":
        array = array_from_pil(image)
        # Pillow reads 16-bit files of some formats into 32 bits, so small numbers are taken for 16 bits.
        shift = 8 if array.max() < 1 << 16 else 23
        return Image.fromarray((np.maximum(array, 0) >> shift).astype(np.uint8))
    if image.mode == "F":
        return Image.fromarray(eight_bit(array_from_pil(image), name))
    return image


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    if image.mode == "La":
        image = image.convert("LA")
    layered = image.convert("RGBA")
    alpha = layered.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return layered.convert("RGB")
    canvas = Image.new("RGB", image.size, (255, 255, 255))
    canvas.paste(layered, mask=alpha)
    return canvas
