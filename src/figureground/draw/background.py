"""Another background behind the person: blurred, one colour, or a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from figureground.checks import require_alpha, require_image, require_in_range, require_same_size
from figureground.draw.color import RGB, require_color
from figureground.draw.cutout import cutout, eight_bit
from figureground.draw.foreground import foreground_colors

__all__ = ["blur_background", "composite", "replace_background"]


def composite(
    foreground: NDArray[np.uint8], alpha: NDArray[np.floating[Any]], background: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Lay `foreground` over `background`: `alpha * foreground + (1 - alpha) * background`, alpha taken in 256 steps.

    Both pictures are uint8 `(H, W, 3)`, alpha is floating point `(H, W)`, the result uint8 `(H, W, 3)`. Wrong arrays
    raise `ArgumentError`.
    """
    require_image("foreground", foreground)
    require_image("background", background)
    require_alpha("alpha", alpha)
    require_same_size("alpha", alpha, "foreground", foreground)
    require_same_size("background", background, "foreground", foreground)
    mask = Image.fromarray(eight_bit(alpha))
    return np.asarray(Image.composite(Image.fromarray(foreground), Image.fromarray(background), mask))


def replace_background(
    image: NDArray[np.uint8], alpha: NDArray[np.floating[Any]], background: RGB | NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Put the person before a colour or a picture.

    Args:
        image: uint8 `(H, W, 3)`.
        alpha: floating point `(H, W)` in [0, 1].
        background: a colour, or a picture uint8 `(h, w, 3)` of any size. The picture is scaled until it covers the
            whole result, and what stands over is cut off evenly on both sides.

    Returns:
        uint8 `(H, W, 3)`. At soft edges the person's own colours are estimated, so the old background leaves no fringe.

    Raises:
        ArgumentError: an array of the wrong shape or type, the sizes of image and alpha differ, or not a colour.
    """
    person = foreground_colors(image, alpha)
    if isinstance(background, np.ndarray):
        require_image("background", background)
        size = image.shape[1], image.shape[0]
        behind = np.asarray(ImageOps.fit(Image.fromarray(background), size, Image.Resampling.BICUBIC))
    else:
        behind = np.empty_like(image)
        behind[:] = require_color("background", background)
    return composite(person, alpha, behind)


def blur_background(image: NDArray[np.uint8], alpha: NDArray[np.floating[Any]], radius: float) -> NDArray[np.uint8]:
    """Blur everything but the person, as a wide-open lens would.

    The blur averages background pixels only: a person's pixel weighs `1 - alpha`, so no halo of the person's colours
    surrounds it.

    Args:
        image: uint8 `(H, W, 3)`.
        alpha: floating point `(H, W)` in [0, 1].
        radius: standard deviation of the Gaussian in pixels, 0 to 10000. 0 leaves the photo as it is.

    Returns:
        uint8 `(H, W, 3)`.

    Raises:
        ArgumentError: an array of the wrong shape or type, the sizes differ, or the radius is out of range.
    """
    require_in_range("radius", radius, 0, 10_000)
    person = foreground_colors(image, alpha)
    if radius == 0:
        return image.copy()
    return composite(person, alpha, _blur_weighted(image, 1 - alpha, radius))


def _blur_weighted(image: NDArray[np.uint8], weight: NDArray[np.floating[Any]], radius: float) -> NDArray[np.uint8]:
    """Gaussian mean of the colours, each pixel weighted.

    Premultiplied colours and their weights are blurred alike and divided at the end. A wide blur has no detail left,
    so it is done on a reduced picture; a quarter of the radius is fine enough that the pixels of that picture do not
    show.
    """
    height, width = weight.shape
    picture = Image.fromarray(cutout(image, weight)).convert("RGBa")
    factor = max(1, min(int(radius / 4), height, width))
    small = picture.reduce(factor).filter(ImageFilter.GaussianBlur(radius / factor))
    # The last cell of a reduced picture may stand for fewer pixels; the box keeps the scale exact.
    box = (0, 0, width / factor, height / factor)
    large = small.resize((width, height), Image.Resampling.BILINEAR, box=box)
    return np.asarray(large.convert("RGBA").convert("RGB"))
