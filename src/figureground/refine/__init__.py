"""Improvements of a mask or an alpha after the network: sharper outlines, fewer specks, no holes."""

from figureground.refine.components import bounding_boxes, connected_areas, drop_unsure, fill_holes, remove_specks
from figureground.refine.erosion import erosion_kernel, soft_erosion
from figureground.refine.guided import box_mean, guided_upsample
from figureground.refine.mean_field import DenseCrf, agreement, dense_crf
from figureground.refine.opacity import opacity
from figureground.refine.smooth_crf import SmoothCrf, smooth_crf

__all__ = [
    "DenseCrf",
    "SmoothCrf",
    "agreement",
    "bounding_boxes",
    "box_mean",
    "connected_areas",
    "dense_crf",
    "drop_unsure",
    "erosion_kernel",
    "fill_holes",
    "guided_upsample",
    "opacity",
    "remove_specks",
    "smooth_crf",
    "soft_erosion",
]
