"""Polygons against scikit-image, pycocotools and a point-in-polygon loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figureground.datasets.polygons import polygon_mask

corners = st.lists(st.tuples(st.floats(-5, 25), st.floats(-5, 20)), min_size=3, max_size=7)


def inside(points, x, y):
    """The crossing rule, edge by edge."""
    is_inside = False
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
        if (y0 <= y) != (y1 <= y) and x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x:
            is_inside = not is_inside
    return is_inside


@settings(max_examples=25)
@given(corners)
def test_pixels_are_those_of_a_loop(points):
    points = [(round(x * 8) / 8 + 0.013, round(y * 8) / 8 + 0.017) for x, y in points]
    wanted = [[inside(points, x + 0.5, y + 0.5) for x in range(20)] for y in range(15)]
    assert np.array_equal(polygon_mask(points, (15, 20)), wanted)


def test_a_star_is_that_of_scikit_image():
    draw = pytest.importorskip("skimage.draw")
    turns = np.arange(10) * np.pi / 5
    radius = np.where(np.arange(10) % 2, 20, 45)
    points = np.stack([60.3 + radius * np.cos(turns), 50.2 + radius * np.sin(turns)], 1)
    rows, columns = draw.polygon(points[:, 1] - 0.5, points[:, 0] - 0.5, (100, 120))
    wanted = np.zeros((100, 120), bool)
    wanted[rows, columns] = True
    assert np.array_equal(polygon_mask(points, (100, 120)), wanted)


def test_pycocotools_draws_the_same_but_for_the_edge():
    coco = pytest.importorskip("pycocotools.mask")
    points = np.array([[10.5, 12.2], [80.1, 20.9], [95.7, 70.3], [40.2, 90.8], [15.0, 60.0]])
    theirs = coco.decode(coco.frPyObjects([points.ravel().tolist()], 100, 110))[..., 0] > 0
    ours = polygon_mask(points, (100, 110))
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.98


def test_a_square_of_whole_pixels():
    mask = polygon_mask([(2, 1), (5, 1), (5, 3), (2, 3)], (4, 6))
    assert mask.astype(int).tolist() == [[0] * 6, [0, 0, 1, 1, 1, 0], [0, 0, 1, 1, 1, 0], [0] * 6]
    assert not polygon_mask([], (4, 6)).any()
