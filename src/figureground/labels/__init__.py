"""The label tree: what the networks name, what is part of what, and what mirrors what.

`person` alone is a tree of one node; body -> upper and lower body -> head, torso, arms and legs is a tree of three
levels. Losses, metrics, drawing and results all read the same tree, so they have no special case for two classes.
Networks predict only the **leaves**; the probability of an inner node is the sum over the leaves below it.
"""

from figureground.labels.label import Color, Label
from figureground.labels.shipped import shipped_trees
from figureground.labels.tree import LabelTree

__all__ = ["Color", "Label", "LabelTree", "shipped_trees"]
