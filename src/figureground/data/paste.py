"""People of one photo pasted on another, masks and all (copy-paste, Ghiasi et al., arXiv:2012.07177)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.data.placing import Place
from figureground.data.sources import Pixels, Sample
from figureground.losses import IGNORE


def pasted(sample: Sample, donor: Sample, rng: np.random.Generator, mirror: Pixels) -> Sample:
    """The sample with the people of `donor` in front, all together: scaled, perhaps mirrored, perhaps cut by the edge.

    Args:
        sample: what gets them; its own people may vanish behind them, and its depth is unknown where they are.
        donor: whose counted figure is taken, with the values it has in the target; nothing happens where it has none.
        rng: decides size, place and mirroring.
        mirror: (256,) the value that each target value becomes in a mirror.
    """
    figure = (donor.target > 0) & (donor.target != IGNORE)
    if not figure.any():
        return sample
    box = _box(figure)
    people = Image.fromarray(np.dstack([donor.image, 255 * figure.astype(np.uint8)])[box])
    values = Image.fromarray((donor.target * figure)[box])
    canvas = Image.fromarray(sample.image)
    place = Place.draw(canvas.size, people.size, rng)
    people, values = place.fitted(people, Image.Resampling.BILINEAR), place.fitted(values, Image.Resampling.NEAREST)
    canvas.paste(people.convert("RGB"), (place.left, place.top), people.getchannel("A"))
    front = Image.new("L", canvas.size)
    front.paste(values, (place.left, place.top))
    found = np.asarray(front)
    target = np.where(found > 0, mirror[found] if place.mirrored else found, sample.target).astype(np.uint8)
    depth = None if sample.depth is None else _hidden(sample.depth, found > 0)
    return replace(sample, image=np.asarray(canvas), target=target, depth=depth)


def _hidden(depth: NDArray[np.float32], front: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Depth (h, w) with 0, for unknown, where somebody is in `front` (H, W): nobody measured them there."""
    covered = Image.fromarray(255 * front.astype(np.uint8)).resize(depth.shape[::-1], Image.Resampling.BOX)
    return np.where(np.asarray(covered) > 0, np.float32(0), depth)


def _box(figure: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The rows and columns that the figure reaches over."""
    rows, columns = (np.flatnonzero(figure.any(axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
