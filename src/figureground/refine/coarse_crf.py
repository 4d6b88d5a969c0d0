"""The dense CRF on a small copy of the picture: what it changes there is enlarged and added to the map as it was.

Mean field at full size asks a network's map the same questions many times over. A copy of 3072 pixels is small enough
to add up all pairs as they are, takes the same time for every photo, and what it finds wrong, outlines a few pixels off
an edge and areas that are like the other side, is as wrong there. Details of the map stay, because only the change, in
log-odds, is enlarged.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.checks import require_image, require_probabilities, require_same_size
from figureground.images import resize, resize_map
from figureground.labels import LabelTree
from figureground.refine.mean_field import DenseCrf, dense_crf, log_odds, softmax

__all__ = ["COARSE", "coarse_crf"]

_COPY = 3072
"""Pixels of the copy, at most."""

COARSE = DenseCrf(width=40.0, weight=1.5, smooth_weight=0.0)
"""Its settings unless told otherwise."""


def coarse_crf(
    probabilities: NDArray[np.floating[Any]],
    image: NDArray[np.uint8],
    settings: DenseCrf | None = None,
    *,
    labels: LabelTree | None = None,
) -> NDArray[np.float32]:
    """`dense_crf` on a copy of at most 3072 pixels, its change of the log-odds enlarged; float32 `(K, H, W)`.

    Arguments and errors are those of `dense_crf`; `COARSE` are the settings when not given. Widths are in pixels of
    the map as it is given.
    """
    settings = settings or COARSE
    require_probabilities("probabilities", probabilities, axes=3)
    require_image("image", image)
    require_same_size("image", image, "probabilities", probabilities[0])
    height, width = image.shape[:2]
    shrink = max(1.0, math.sqrt(height * width / _COPY))
    # Rounded down, so that the copy is never above the limit.
    size = max(1, int(height / shrink)), max(1, min(_COPY, int(width / shrink)))
    small = resize_map(probabilities, size)
    there = replace(
        settings, **{name: max(0.1, getattr(settings, name) / shrink) for name in ("width", "smooth_width")}
    )
    change = log_odds(dense_crf(small, resize(image, size), there, labels=labels)) - log_odds(small)
    return np.asarray(softmax(log_odds(probabilities) + resize_map(change, (height, width))), np.float32)
