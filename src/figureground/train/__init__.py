"""Training: a typed recipe, the Lightning task and the run folder."""

from figureground.train.recipe import Recipe
from figureground.train.run import build_model, load_run, run
from figureground.train.soup import soup

__all__ = ["Recipe", "build_model", "load_run", "run", "soup"]
