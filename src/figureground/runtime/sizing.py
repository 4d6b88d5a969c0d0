"""How big a photo is when the network sees it: the aspect is kept, the area is (nearly) constant.

A fixed area rather than a fixed side makes every photo cost about the same, whatever its shape. The network's
stride asks for sides that are multiples of it; a very long photo is squeezed to `max_aspect`, because a strip a
few pixels high shows a network nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from figureground.errors import BundleError

_LARGEST_AREA = 2**26
"""No network of ours is run on more than 67 million pixels: a guard against a damaged number in a file."""


@dataclass(frozen=True)
class Sizing:
    """The rule from a photo's size to the network's size.

    Args:
        area: wanted height * width of the network's input, in pixels.
        multiple: both sides are multiples of this (the network's largest stride).
        max_aspect: the longest side is at most this many times the shortest (before rounding to `multiple`).

    Raises:
        BundleError: a number outside its range.
    """

    area: int
    multiple: int = 32
    max_aspect: float = 4.0

    def __post_init__(self) -> None:
        if not 1 <= self.multiple <= 4096:
            raise BundleError(f"sizing: multiple is {self.multiple}", remedy="it must be between 1 and 4096")
        if not self.multiple**2 <= self.area <= _LARGEST_AREA:
            raise BundleError(
                f"sizing: area is {self.area}",
                remedy=f"it must be between {self.multiple**2} (one {self.multiple} x {self.multiple} square) "
                f"and {_LARGEST_AREA}",
            )
        if not 1.0 <= self.max_aspect <= 100.0:
            raise BundleError(f"sizing: max_aspect is {self.max_aspect}", remedy="it must be between 1 and 100")

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the network's input for a photo of `height` x `width` pixels.

        Both are multiples of `multiple`, and at least `multiple`. A photo smaller than the area is enlarged: the
        network was trained at this area.
        """
        aspect = min(max(width / height, 1.0 / self.max_aspect), self.max_aspect)
        ideal_height = math.sqrt(self.area / aspect)
        return self._round(ideal_height), self._round(ideal_height * aspect)

    def _round(self, side: float) -> int:
        return max(1, round(side / self.multiple)) * self.multiple

    def to_dict(self) -> dict[str, Any]:
        """A plain dict that `from_dict` reads back to an equal Sizing."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Sizing:
        """The Sizing written by `to_dict`.

        Raises:
            BundleError: a field is missing, unknown, or not a number.
        """
        unknown = sorted(set(fields) - {"area", "multiple", "max_aspect"})
        if unknown:
            raise BundleError(f"sizing: unknown field '{unknown[0]}'", remedy="known: area, multiple, max_aspect")
        if "area" not in fields:
            raise BundleError("sizing: no area", remedy="write the wanted height * width in pixels")
        for name, value in fields.items():
            wanted = (int, float) if name == "max_aspect" else (int,)
            if isinstance(value, bool) or not isinstance(value, wanted):
                raise BundleError(f"sizing: {name} is {value!r}", remedy="it must be a number")
        return cls(**fields)
