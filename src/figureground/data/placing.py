"""Where people that are pasted on a picture stand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Place:
    """Where pasted people stand on a picture, in its pixels; they may reach over its edges."""

    left: int
    top: int
    width: int
    height: int
    mirrored: bool

    @classmethod
    def draw(cls, canvas: tuple[int, int], people: tuple[int, int], rng: np.random.Generator) -> Place:
        """A quarter to 1.3 times as tall as the picture, and so that enough of them is on it.

        canvas, people: (width, height) in pixels.
        """
        height = max(8, int(canvas[1] * rng.uniform(0.25, 1.3)))
        width = max(4, round(people[0] * height / people[1]))
        mirrored = bool(rng.random() < 0.5)
        leftmost = -0.3 * width
        left = int(rng.uniform(leftmost, max(leftmost, canvas[0] - 0.7 * width)))
        lowest = canvas[1] - height // 2
        top = int(rng.uniform(min(0, lowest), lowest)) if height < canvas[1] else int(rng.uniform(0, 0.2) * height)
        return cls(left, top, width, height, mirrored)

    def fitted(self, picture: Image.Image, resample: Image.Resampling) -> Image.Image:
        """The picture at the place's size, mirrored where the place says so."""
        resized = picture.resize((self.width, self.height), resample)
        return resized.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if self.mirrored else resized
