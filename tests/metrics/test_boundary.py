from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from figureground.checks import ArgumentError
from figureground.metrics import boundary_f, boundary_pixels


def reference(pred: np.ndarray, true: np.ndarray, tolerance: float) -> float:
    """The definition itself: outlines drawn pixel by pixel, distances from a full distance transform."""
    edges = []
    for mask in (pred, true):
        edge = np.zeros_like(mask)
        for y, x in np.ndindex(mask.shape):
            corner = mask[y : y + 2, x : x + 2]
            edge[y, x] = (corner != mask[y, x]).any()
        edges.append(edge)
    radius = math.ceil(tolerance * math.hypot(*true.shape))
    if not (edges[0].any() and edges[1].any()):
        return float((pred == true).all())
    found = [(ndimage.distance_transform_edt(~other)[edge] <= radius).mean() for edge, other in (edges, edges[::-1])]
    return 2 * found[0] * found[1] / sum(found) if sum(found) else 0.0


@given(st.integers(0, 2**31), st.floats(0, 0.3), st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_agrees_with_distance_transform(seed, tolerance, smoothness):
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 40, 2)
    pred, true = (ndimage.gaussian_filter(rng.random(shape), smoothness) > 0.5 for _ in range(2))
    assert boundary_f(pred, true, tolerance=tolerance) == pytest.approx(reference(pred, true, tolerance), abs=1e-12)


@pytest.mark.parametrize("radius", [0, 1, 2, 3, 5, 7])
def test_a_pixel_is_found_exactly_within_the_disk(radius):
    size = 41
    tolerance = radius / math.hypot(size, size)
    true = np.zeros((size, size), bool)
    true[20, 20] = True
    # A single pixel's outline is four pixels; two such outlines match wholly when their offset lies inside of the disk.
    for dy in range(-8, 9):
        pred = np.zeros_like(true)
        pred[20 + dy, 26] = True
        nearest = reference(pred, true, tolerance)
        assert boundary_f(pred, true, tolerance=tolerance) == pytest.approx(nearest)


def test_the_edge_of_the_picture_is_no_boundary():
    mask = np.zeros((10, 12), bool)
    mask[:, :6] = True
    edge = boundary_pixels(mask)
    assert edge[:, 5].all()
    assert edge.sum() == 10


def test_empty_and_full_masks():
    empty, full = np.zeros((20, 30), bool), np.ones((20, 30), bool)
    some = empty.copy()
    some[5:10, 5:10] = True
    assert boundary_f(empty, empty) == 1.0
    assert boundary_f(full, full) == 1.0
    assert boundary_f(full, empty) == 0.0
    assert boundary_f(some, empty) == 0.0
    assert boundary_f(empty, some) == 0.0


def test_a_shift_within_the_tolerance_costs_nothing_and_beyond_it_something():
    true = np.zeros((375, 500), bool)
    true[100:300, 100:400] = True
    # 0.0075 of the diagonal of 625 is 4.7 pixels, rounded up to 5.
    assert boundary_f(np.roll(true, 5, 0), true) == 1.0
    assert boundary_f(np.roll(true, 6, 0), true) < 0.7


@pytest.mark.parametrize("tolerance", [-0.1, 1.1, math.nan])
def test_tolerance_out_of_range_is_refused(tolerance):
    mask = np.zeros((4, 4), bool)
    with pytest.raises(ArgumentError, match="tolerance must be from 0 to 1"):
        boundary_f(mask, mask, tolerance=tolerance)
