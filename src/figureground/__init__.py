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
    from figureground.runtime.catalogue import load, segment, shipped
    from figureground.runtime.segmentation import Segmentation
    from figureground.runtime.segmenter import Segmenter

__version__ = "0.1.0"

__all__ = [
    "Bundle",
    "FiguregroundError",
    "Label",
    "LabelTree",
    "Segmentation",
    "Segmenter",
    "__version__",
    "load",
    "read",
    "segment",
    "shipped",
]

_HOMES = {
    "Bundle": "figureground.runtime.bundle",
    "FiguregroundError": "figureground.errors",
    "Label": "figureground.labels",
    "LabelTree": "figureground.labels",
    "Segmentation": "figureground.runtime.segmentation",
    "Segmenter": "figureground.runtime.segmenter",
    "load": "figureground.runtime.catalogue",
    "read": "figureground.images",
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
