"""A segmenter against photos with known masks: a report, pictures of the worst cases, and a search for the best."""

from figureground.evaluate.gallery import write_gallery
from figureground.evaluate.pairs import Pair, find_pairs, find_photos_without_people, read_mask, read_parts
from figureground.evaluate.part_gallery import write_confusions, write_part_gallery
from figureground.evaluate.parts import PartsRecord, PartsReport, evaluate_parts
from figureground.evaluate.refining import REFINEMENTS, Refinement
from figureground.evaluate.run import Report, evaluate
from figureground.evaluate.tuning import Choice, Tuning, tune

__all__ = [
    "REFINEMENTS",
    "Choice",
    "Pair",
    "PartsRecord",
    "PartsReport",
    "Refinement",
    "Report",
    "Tuning",
    "evaluate",
    "evaluate_parts",
    "find_pairs",
    "find_photos_without_people",
    "read_mask",
    "read_parts",
    "tune",
    "write_confusions",
    "write_gallery",
    "write_part_gallery",
]
