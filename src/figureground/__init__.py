"""Cut people out of photos, offline, on a plain CPU.

    import figureground as fg
    fg.segment("photo.jpg").cutout().save("cutout.png")

Every public name is loaded when it is first used, so that `import figureground` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from figureground.errors import FiguregroundError
    from figureground.images import read
    from figureground.labels import Label, LabelTree
    from figureground.runtime.bundle import Bundle
    from figureground.runtime.catalogue import load, parse, segment, shipped
    from figureground.runtime.depth_input import WithDepth
    from figureground.runtime.ensemble import Ensemble
    from figureground.runtime.parts import Part
    from figureground.runtime.people_first import PeopleFirst
    from figureground.runtime.predictor import save_predictor
    from figureground.runtime.refined import Refined
    from figureground.runtime.segmentation import Segmentation
    from figureground.runtime.segmenter import Segmenter
    from figureground.runtime.tiled import Tiled
    from figureground.runtime.views import View, augmented

__version__ = "0.1.0"

__all__ = [
    "Bundle",
    "Ensemble",
    "FiguregroundError",
    "Label",
    "LabelTree",
    "Part",
    "PeopleFirst",
    "Refined",
    "Segmentation",
    "Segmenter",
    "Tiled",
    "View",
    "WithDepth",
    "__version__",
    "augmented",
    "load",
    "parse",
    "read",
    "save_predictor",
    "segment",
    "shipped",
]

_HOMES = {
    "Bundle": "figureground.runtime.bundle",
    "Ensemble": "figureground.runtime.ensemble",
    "FiguregroundError": "figureground.errors",
    "Label": "figureground.labels",
    "LabelTree": "figureground.labels",
    "Part": "figureground.runtime.parts",
    "PeopleFirst": "figureground.runtime.people_first",
    "Refined": "figureground.runtime.refined",
    "Segmentation": "figureground.runtime.segmentation",
    "Segmenter": "figureground.runtime.segmenter",
    "Tiled": "figureground.runtime.tiled",
    "View": "figureground.runtime.views",
    "WithDepth": "figureground.runtime.depth_input",
    "augmented": "figureground.runtime.views",
    "load": "figureground.runtime.catalogue",
    "parse": "figureground.runtime.catalogue",
    "read": "figureground.images",
    "save_predictor": "figureground.runtime.predictor",
    "segment": "figureground.runtime.catalogue",
    "shipped": "figureground.runtime.catalogue",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'figureground' has no attribute '{name}'")
    value: object = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
