"""Other people's layouts of data sets, each as a function from its folder to photos and masks."""

from figureground.datasets.layouts.coco import COCO
from figureground.datasets.layouts.item import Choices, Item, Layout
from figureground.datasets.layouts.listed import PP_HUMANSEG, RLE_CSV
from figureground.datasets.layouts.mattes import AISEGMENT, P3M
from figureground.datasets.layouts.parsing import ATR, CIHP, EASYPORTRAIT, LIP, MIL, PASCAL_ARRAYS, PASCAL_PERSON_PART
from figureground.datasets.layouts.supervisely import SUPERVISELY

__all__ = ["LAYOUTS", "Choices", "Item", "Layout"]

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        COCO,
        SUPERVISELY,
        EASYPORTRAIT,
        PASCAL_PERSON_PART,
        PASCAL_ARRAYS,
        LIP,
        CIHP,
        ATR,
        P3M,
        AISEGMENT,
        PP_HUMANSEG,
        MIL,
        RLE_CSV,
    )
}
"""By the name that `convert` takes."""
