from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from figureground.checks import ArgumentError
from figureground.refine import connected_areas, fill_holes, remove_specks

EIGHT = np.ones((3, 3))

drawn_masks = st.builds(
    lambda seed, share: np.random.default_rng(seed).random(np.random.default_rng(seed).integers(1, 30, 2)) < share,
    st.integers(0, 2**31),
    st.floats(0, 1),
)


@given(drawn_masks)
@settings(max_examples=200, deadline=None)
def test_areas_agree_with_scipy(mask):
    labelled, _ = ndimage.label(mask, EIGHT)
    assert connected_areas(mask).tolist() == sorted(np.bincount(labelled.ravel())[1:].tolist(), reverse=True)


@given(drawn_masks, st.floats(0, 0.1))
@settings(max_examples=200, deadline=None)
def test_specks_agree_with_scipy(mask, min_area):
    labelled, _ = ndimage.label(mask, EIGHT)
    keep = np.bincount(labelled.ravel()) >= min_area * mask.size
    keep[0] = False
    assert np.array_equal(remove_specks(mask, min_area=min_area), keep[labelled])


@given(drawn_masks)
@settings(max_examples=200, deadline=None)
def test_filling_all_holes_agrees_with_scipy(mask):
    assert np.array_equal(fill_holes(mask, max_area=1), ndimage.binary_fill_holes(mask))


@given(drawn_masks, st.floats(0, 0.1))
@settings(max_examples=200, deadline=None)
def test_only_small_holes_are_filled(mask, max_area):
    holes, _ = ndimage.label(ndimage.binary_fill_holes(mask) & ~mask)
    fill = np.bincount(holes.ravel()) <= max_area * mask.size
    fill[0] = False
    assert np.array_equal(fill_holes(mask, max_area=max_area), mask | fill[holes])


def test_a_spiral_is_one_area():
    # Runs of a spiral only meet far away, the case in which labels have to travel longest.
    spiral = np.zeros((41, 41), bool)
    y, x, dy, dx = 0, 0, 0, 1
    spiral[0, 0] = True
    for length in [40, 40, 40, *[n for n in range(38, 0, -2) for _ in range(2)]]:
        for _ in range(length):
            y, x = y + dy, x + dx
            spiral[y, x] = True
        dy, dx = dx, -dy
    assert connected_areas(spiral).tolist() == [spiral.sum()]


def test_a_large_mask_agrees_with_scipy():
    rng = np.random.default_rng(0)
    mask = ndimage.gaussian_filter(rng.random((700, 900)), 2) > 0.5
    labelled, _ = ndimage.label(mask, EIGHT)
    keep = np.bincount(labelled.ravel()) >= 2e-4 * mask.size
    keep[0] = False
    assert np.array_equal(remove_specks(mask, min_area=2e-4), keep[labelled])


def test_the_input_is_not_changed():
    mask = np.zeros((9, 9), bool)
    mask[2:7, 2:7] = True
    mask[4, 4] = False
    before = mask.copy()
    assert fill_holes(mask, max_area=1).sum() == 25
    assert not remove_specks(mask, min_area=0.5).any()
    assert np.array_equal(mask, before)


def test_bad_parameters_are_refused_by_name():
    mask = np.zeros((3, 3), bool)
    with pytest.raises(ArgumentError, match="min_area must be from 0 to 1"):
        remove_specks(mask, min_area=-1)
    with pytest.raises(ArgumentError, match="max_area must be from 0 to 1"):
        fill_holes(mask, max_area=2)
    with pytest.raises(ValueError, match="mask must be bool"):
        fill_holes(mask.astype(np.uint8))
