from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from figureground.checks import ArgumentError
from figureground.refine import bounding_boxes, connected_areas, drop_unsure, fill_holes, remove_specks

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


@given(drawn_masks)
@settings(max_examples=200, deadline=None)
def test_boxes_agree_with_scipy(mask):
    labelled, _ = ndimage.label(mask, EIGHT)
    slices = ndimage.find_objects(labelled)
    wanted = [[rows.start, columns.start, rows.stop, columns.stop] for rows, columns in slices]
    boxes = bounding_boxes(mask)
    assert sorted(boxes.tolist()) == sorted(wanted)
    if len(wanted):
        largest = slices[int(np.bincount(labelled.ravel())[1:].argmax())]
        assert boxes[0].tolist()[0] == largest[0].start


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


@given(drawn_masks, st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**31))
@settings(max_examples=200, deadline=None)
def test_unsure_areas_agree_with_scipy(mask, support, peak, seed):
    probabilities = np.where(mask, np.random.default_rng(seed).random(mask.shape), 0).astype(np.float32)
    labelled, count = ndimage.label(probabilities > support, EIGHT)
    highest = ndimage.maximum(probabilities, labelled, np.arange(count + 1))
    unsure = highest < peak
    unsure[0] = False
    assert np.array_equal(drop_unsure(probabilities, support, peak), np.where(unsure[labelled], 0, probabilities))


def test_a_sure_area_stays_whole_and_a_faint_one_goes_whole():
    probabilities = np.full((20, 30), 0.2, np.float32)
    probabilities[2:8, 2:8] = 0.3
    probabilities[4, 4] = 0.95
    probabilities[10:18, 15:25] = 0.89
    before = probabilities.copy()
    kept = drop_unsure(probabilities)
    assert (kept[10:18, 15:25] == 0).all()
    assert np.array_equal(kept[:9], before[:9])
    assert np.array_equal(probabilities, before)
    assert not drop_unsure(np.full((4, 4), 0.6)).any()


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
    with pytest.raises(ArgumentError, match="peak must be from 0 to 1"):
        drop_unsure(np.zeros((3, 3)), peak=1.5)
    with pytest.raises(ArgumentError, match="support must be from 0 to 1"):
        drop_unsure(np.zeros((3, 3)), support=-0.1)
    with pytest.raises(ArgumentError, match="probabilities must be from 0 to 1 everywhere"):
        drop_unsure(np.array([[0.5, np.nan]]))
    with pytest.raises(ArgumentError, match=r"probabilities must be floating point of shape \(H, W\)"):
        drop_unsure(np.zeros((1, 3, 3)))
