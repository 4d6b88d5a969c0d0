"""Improvements of a mask or an alpha after the network: sharper outlines, fewer specks, no holes."""

from figureground.refine.areas import close_holes, keep_areas, keep_largest, keep_touching
from figureground.refine.coarse_crf import COARSE, coarse_crf
from figureground.refine.components import (
    bounding_boxes,
    connected_areas,
    drop_unsure,
    fill_holes,
    label_areas,
    remove_specks,
)
from figureground.refine.erosion import erosion_kernel, soft_erosion
from figureground.refine.guided import box_mean, guided_upsample
from figureground.refine.mean_field import DenseCrf, agreement, dense_crf
from figureground.refine.opacity import opacity
from figureground.refine.smooth_crf import SmoothCrf, smooth_crf

__all__ = [
    "COARSE",
    "DenseCrf",
    "SmoothCrf",
    "agreement",
    "bounding_boxes",
    "box_mean",
    "close_holes",
    "coarse_crf",
    "connected_areas",
    "dense_crf",
    "drop_unsure",
    "erosion_kernel",
    "fill_holes",
    "guided_upsample",
    "keep_areas",
    "keep_largest",
    "keep_touching",
    "label_areas",
    "opacity",
    "remove_specks",
    "smooth_crf",
    "soft_erosion",
]
