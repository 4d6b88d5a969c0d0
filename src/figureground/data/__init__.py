"""Training data: sources of pictures, paired augmentation and weighted mixtures."""

from figureground.data.build import build_source, build_sources
from figureground.data.mixture import Draw, Mixture, MixtureSampler
from figureground.data.sources import CompositeSource, EmptySource, PairSource, Sample, Source, picture_files
from figureground.data.specs import Augment, Folds, SourceSpec, Stage
from figureground.data.transforms import augmented

__all__ = [
    "Augment",
    "CompositeSource",
    "Draw",
    "EmptySource",
    "Folds",
    "Mixture",
    "MixtureSampler",
    "PairSource",
    "Sample",
    "Source",
    "SourceSpec",
    "Stage",
    "augmented",
    "build_source",
    "build_sources",
    "picture_files",
]
