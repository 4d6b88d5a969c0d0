from __future__ import annotations

import numpy as np
import pytest

from figureground.checks import ArgumentError
from figureground.labels import LabelTree
from figureground.refine import COARSE, DenseCrf, coarse_crf, dense_crf


@pytest.fixture
def scene():
    """A light disc on a dark ground with noise, and a mask of it that lies eight pixels too far to the right."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:200, :260]
    true = np.hypot(rows - 100, columns - 120) < 60
    image = np.clip(np.where(true, 200, 60)[..., None] + rng.normal(0, 4, (200, 260, 3)), 0, 255).astype(np.uint8)
    shifted = np.hypot(rows - 100, columns - 128) < 60
    return image, np.where(shifted, 0.8, 0.2).astype(np.float32)[None], true


def test_a_small_picture_is_that_of_the_dense_crf(scene, person):
    image, p = np.ascontiguousarray(scene[0][:50, :60]), person((50, 60), leaves=3).astype(np.float32)
    settings = DenseCrf(width=20, weight=2, smooth_weight=1)
    assert coarse_crf(p, image, settings) == pytest.approx(dense_crf(p, image, settings), abs=1e-4)


def test_an_outline_moves_towards_the_edge_of_the_photo(scene):
    image, p, true = scene
    settings = DenseCrf(width=60, weight=6, smooth_weight=0)
    coarse, dense = coarse_crf(p, image, settings)[0] > 0.5, dense_crf(p, image, settings)[0] > 0.5
    assert (coarse != true).mean() < 0.3 * ((p[0] > 0.5) != true).mean()
    assert (coarse != dense).mean() < 0.01


def test_details_that_the_copy_cannot_see_stay(scene):
    lines = np.full((1, 200, 260), 0.02, np.float32)
    lines[:, 10, :] = 0.98
    flat = np.full((200, 260, 3), 90, np.uint8)
    assert np.array_equal(coarse_crf(lines, flat)[0] > 0.5, lines[0] > 0.5)


def test_shapes_and_refusals(scene):
    image, p, _ = scene
    assert COARSE.smooth_weight == 0
    assert coarse_crf(np.full((1, 1, 9000), 0.5), np.zeros((1, 9000, 3), np.uint8)).shape == (1, 1, 9000)
    with pytest.raises(ArgumentError, match="image is 100x260"):
        coarse_crf(p, image[:100])
    with pytest.raises(ArgumentError, match="probabilities must be from 0 to 1"):
        coarse_crf(p * np.nan, image)
    with pytest.raises(ArgumentError, match="1 maps but labels has"):
        coarse_crf(p, image, labels=LabelTree.named("pascal-person-part"))
