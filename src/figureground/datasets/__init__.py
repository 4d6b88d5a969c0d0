"""Folders of photos and masks as files: what is wrong with them, what is in them, and other people's layouts."""

from figureground.datasets.check import Findings, Problem, check
from figureground.datasets.convert import Converted, convert
from figureground.datasets.folders import Split, find_splits
from figureground.datasets.layouts import LAYOUTS, Layout
from figureground.datasets.masks import read_values
from figureground.datasets.show import contact_sheet, marked
from figureground.datasets.similar import Looks, look_at, perceptual_hash, similar
from figureground.datasets.stats import SplitStats, stats

__all__ = [
    "LAYOUTS",
    "Converted",
    "Findings",
    "Layout",
    "Looks",
    "Problem",
    "Split",
    "SplitStats",
    "check",
    "contact_sheet",
    "convert",
    "find_splits",
    "look_at",
    "marked",
    "perceptual_hash",
    "read_values",
    "similar",
    "stats",
]
