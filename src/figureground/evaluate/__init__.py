"""A segmenter against photos with known masks: a report, pictures of the worst cases, and a search for the best."""

from figureground.evaluate.gallery import write_gallery
from figureground.evaluate.pairs import Pair, find_pairs, find_photos_without_people, read_mask
from figureground.evaluate.refining import REFINEMENTS, Refinement
from figureground.evaluate.run import Report, evaluate
from figureground.evaluate.tuning import Choice, Tuning, tune

__all__ = [
    "REFINEMENTS",
    "Choice",
    "Pair",
    "Refinement",
    "Report",
    "Tuning",
    "evaluate",
    "find_pairs",
    "find_photos_without_people",
    "read_mask",
    "tune",
    "write_gallery",
]
