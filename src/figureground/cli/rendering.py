"""From a segmentation to the picture the user asked for: `--as` and `--background`, checked before any network runs."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from figureground.errors import FiguregroundError, OutputError, SourceError

if TYPE_CHECKING:
    from PIL.Image import Image

    from figureground.runtime.segmentation import Segmentation

KINDS = ("cutout", "mask", "alpha", "overlay", "blur", "side-by-side")
_WITHOUT_TRANSPARENCY = ("jpg", "bmp")


@dataclass(frozen=True)
class Rendering:
    """How results are drawn. `kind` is the word that file names carry, `transparent` whether the picture has alpha."""

    kind: str
    transparent: bool
    draw: Callable[[Segmentation], Image]


def rendering(kind: str, background: str | None) -> Rendering:
    """The rendering for `--as kind --background background`.

    A background turns a cut-out into a picture without transparency. It is `blur:R` (R: radius in pixels), the path of
    an image, or a colour by name, `#rrggbb` or `rgb(r, g, b)`.

    Raises:
        FiguregroundError: a kind that has no background, not a radius, no such file, or an unknown colour.
        ImageError: the background image cannot be read.
    """
    if background is None:
        return Rendering(kind, kind == "cutout", lambda result: result.picture(kind))
    if kind not in ("cutout", "blur"):
        raise FiguregroundError(f"--as {kind} has no background to change", remedy="use --as cutout with --background")
    word, colon, radius_text = background.partition(":")
    if word.lower() == "blur":
        radius = _radius(radius_text) if colon else None
        return Rendering("blur", False, lambda result: result.blur_background(radius))
    if kind == "blur":
        raise FiguregroundError(
            f"--as blur takes no background '{background}'", remedy="give --background blur:20, or leave --as out"
        )
    ground = _ground(background)
    return Rendering("cutout", False, lambda result: result.replace_background(ground))


def check_format(drawn: Rendering, picture_format: str) -> None:
    """Refuse a picture with transparency in a format without it.

    Raises:
        OutputError: such a combination.
    """
    if drawn.transparent and picture_format in _WITHOUT_TRANSPARENCY:
        raise OutputError(
            f"a {picture_format} file keeps no transparency, so it cannot hold a cut-out",
            remedy="write .png or .webp, or give --background white",
        )


def _radius(text: str) -> float:
    try:
        radius = float(text)
    except ValueError:
        radius = math.nan
    if not 0.0 < radius <= 1000.0:  # NaN is not in any range either
        raise FiguregroundError(f"'{text}' is not a radius for blur", remedy="type a number of pixels, as in blur:20")
    return radius


def _ground(text: str) -> Any:
    """The pixels of an image file, uint8 (H, W, 3), or a colour (r, g, b)."""
    from figureground import draw, images

    if os.path.isfile(text):
        return images.read(text)
    if images.is_image_path(text) or os.sep in text:
        raise SourceError(f"no such background image: {text}", remedy="check the path, or give a colour")
    return draw.parse_color(text)
