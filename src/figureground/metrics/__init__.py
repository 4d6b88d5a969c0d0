"""Numbers for how well predicted masks agree with true ones."""

from figureground.metrics.boundary import boundary_f, boundary_pixels
from figureground.metrics.consistency import level_conflicts, score_violations
from figureground.metrics.counts import Counts, counts, dice, iou, precision, recall
from figureground.metrics.report import BinaryReport, ImageRecord
from figureground.metrics.significance import bootstrap, holm, sign_flip_test
from figureground.metrics.tree import TreeReport
from figureground.metrics.tree_counts import TreeCounts

__all__ = [
    "BinaryReport",
    "Counts",
    "ImageRecord",
    "TreeCounts",
    "TreeReport",
    "bootstrap",
    "boundary_f",
    "boundary_pixels",
    "counts",
    "dice",
    "holm",
    "iou",
    "level_conflicts",
    "precision",
    "recall",
    "score_violations",
    "sign_flip_test",
]
