"""A segmenter against photos with known masks: a report, pictures of the worst cases, and a search for the best."""

from figureground.evaluate.comparison import Comparison, Contestant, Difference, Standing, Value, compare
from figureground.evaluate.comparison_files import as_csv, as_html, as_markdown, as_scatter, write_comparison
from figureground.evaluate.gallery import write_gallery
from figureground.evaluate.pairs import (
    Pair,
    find_pairs,
    find_photos_without_people,
    read_mask,
    read_parts,
    with_depth_maps,
)
from figureground.evaluate.part_gallery import write_confusions, write_part_gallery
from figureground.evaluate.parts import PartsRecord, PartsReport, evaluate_parts
from figureground.evaluate.predictions import Prediction, PredictionFiles, write_predictions
from figureground.evaluate.refining import REFINEMENTS, Refinement, closer_looks
from figureground.evaluate.run import Report, evaluate
from figureground.evaluate.tuning import Choice, Tuning, tune

__all__ = [
    "REFINEMENTS",
    "Choice",
    "Comparison",
    "Contestant",
    "Difference",
    "Pair",
    "PartsRecord",
    "PartsReport",
    "Prediction",
    "PredictionFiles",
    "Refinement",
    "Report",
    "Standing",
    "Tuning",
    "Value",
    "as_csv",
    "as_html",
    "as_markdown",
    "as_scatter",
    "closer_looks",
    "compare",
    "evaluate",
    "evaluate_parts",
    "find_pairs",
    "find_photos_without_people",
    "read_mask",
    "read_parts",
    "tune",
    "with_depth_maps",
    "write_comparison",
    "write_confusions",
    "write_gallery",
    "write_part_gallery",
    "write_predictions",
]
