"""A segmenter against photos with known masks: pairs of files, a report, and pictures of the worst cases."""

from figureground.evaluate.gallery import write_gallery
from figureground.evaluate.pairs import Pair, find_pairs, find_photos_without_people, read_mask
from figureground.evaluate.run import Report, evaluate

__all__ = ["Pair", "Report", "evaluate", "find_pairs", "find_photos_without_people", "read_mask", "write_gallery"]
