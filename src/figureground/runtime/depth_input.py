"""Photos with a depth map beside them, and what a network that wants one says about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from figureground import images
from figureground.errors import BundleError, ImageError
from figureground.images import DepthMap, DepthValues, Source

_SHAPE_TOLERANCE = 0.02
"""How much the shape (width / height) of a map may differ from its photo's: sizes are rounded."""


@dataclass(frozen=True)
class WithDepth:
    """A photo with its depth map, in the place of a photo.

    Attributes:
        photo: whatever counts as an image.
        depth: the map: a grey picture, a .npy file or an array (H, W), 0 where it is unknown.
    """

    photo: Source
    depth: DepthMap


@dataclass(frozen=True)
class DepthInput:
    """That a network looks at depth, and what it was trained on.

    Attributes:
        values: what the numbers of maps grow with, `inverse` (nearness) or `distance`.
        needed: False where it learned to do without.
    """

    values: DepthValues
    needed: bool = True

    def fitted(self, depth: DepthMap, photo: tuple[int, int], size: tuple[int, int]) -> NDArray[np.float32]:
        """A depth map as the network sees it: normalised, float32, at `size` = (height, width).

        Args:
            depth: the map.
            photo: (height, width) of its photo.
            size: of the network's input.

        Raises:
            ImageError: no depth map, or one of another shape than the photo.
            SourceError: no such file.
        """
        read = images.read_depth(depth)
        height, width = read.shape
        if abs(width / height / (photo[1] / photo[0]) - 1) > _SHAPE_TOLERANCE:
            raise ImageError(
                f"the depth map is {width}x{height}, its photo {photo[1]}x{photo[0]}: another shape",
                remedy="crop or turn the depth map as the photo",
            )
        return images.resize_map(images.normalised_depth(read, self.values), size)

    def to_dict(self) -> dict[str, Any]:
        """A plain dict that `from_dict` reads back to an equal one."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> DepthInput:
        """What `to_dict` wrote; BundleError where a field is missing, unknown or wrong."""
        values: Any = fields.get("values")
        needed = fields.get("needed")
        if set(fields) != {"values", "needed"} or values not in get_args(DepthValues) or not isinstance(needed, bool):
            raise BundleError(f"depth is {dict(fields)!r}", remedy="it must hold values (inverse, distance) and needed")
        return cls(values, needed)
