"""The person alone, on transparency."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.checks import require_alpha, require_image, require_same_size

__all__ = ["cutout", "eight_bit"]


def cutout(image: NDArray[np.uint8], alpha: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Put `alpha` behind the colours of `image`, which are copied as they are.

    Where alpha is 0 the colours are black: a cut-out must not carry the background that it seems to have lost, and the
    file is far smaller for it.

    At a soft edge a photo's colours are a mixture of person and background; pass `foreground_colors(image, alpha)` as
    the image where that mixture must not show.

    Args:
        image: uint8 `(H, W, 3)`.
        alpha: floating point `(H, W)` in [0, 1]; values outside are clipped.

    Returns:
        RGBA, not premultiplied, uint8 `(H, W, 4)`.

    Raises:
        ArgumentError: an array of the wrong shape or type, or the sizes differ.
    """
    require_image("image", image)
    require_alpha("alpha", alpha)
    require_same_size("alpha", alpha, "image", image)
    out = np.empty((*alpha.shape, 4), dtype=np.uint8)
    out[..., :3] = image
    out[..., 3] = eight_bit(alpha)
    # As 32-bit numbers: one pass over the pixels instead of one for each channel.
    pixels = out.view(np.uint32)
    pixels[out[..., 3:] == 0] = 0
    return out


def eight_bit(alpha: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Alpha in [0, 1] as uint8, rounded to the nearest of 256 steps and clipped; same shape. NaN becomes 0."""
    scaled = alpha * np.float32(255)
    scaled += np.float32(0.5)
    # The comparison order of fmax drops NaN, which has no defined value as an integer.
    np.fmax(scaled, 0, out=scaled)
    np.fmin(scaled, 255, out=scaled)
    return scaled.astype(np.uint8)
