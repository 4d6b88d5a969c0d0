"""Pictures of results: pure functions from arrays to arrays. No function changes its input."""

from figureground.draw.background import blur_background, composite, replace_background
from figureground.draw.color import parse_color
from figureground.draw.confusion import confusion_matrix
from figureground.draw.curves import curves
from figureground.draw.cutout import cutout, eight_bit
from figureground.draw.disk import poincare_disk
from figureground.draw.foreground import foreground_colors
from figureground.draw.layout import checkerboard, legend, side_by_side, with_legend
from figureground.draw.marks import contour, label_map, overlay, tint
from figureground.draw.scatter import Point, scatter
from figureground.draw.sheet import sheet

__all__ = [
    "Point",
    "blur_background",
    "checkerboard",
    "composite",
    "confusion_matrix",
    "contour",
    "curves",
    "cutout",
    "eight_bit",
    "foreground_colors",
    "label_map",
    "legend",
    "overlay",
    "parse_color",
    "poincare_disk",
    "replace_background",
    "scatter",
    "sheet",
    "side_by_side",
    "tint",
    "with_legend",
]
