from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from figureground.checks import ArgumentError
from figureground.refine import close_holes, keep_areas, keep_largest, keep_touching, label_areas, opacity

EIGHT = np.ones((3, 3))
maps = st.builds(
    lambda seed, blur: np.clip(
        ndimage.gaussian_filter(np.random.default_rng(seed).random((23, 31)), blur) * (1 + 3 * blur) - 1.5 * blur, 0, 1
    ),
    st.integers(0, 2**31),
    st.floats(0.3, 2),
)
thresholds = st.floats(0.1, 0.9)


@given(maps)
@settings(max_examples=60, deadline=None)
def test_areas_have_the_numbers_of_scipy(p):
    ours, (theirs, count) = label_areas(p > 0.5), ndimage.label(p > 0.5, EIGHT)
    assert len({(a, b) for a, b in zip(ours.ravel(), theirs.ravel(), strict=True)}) == len(np.unique(theirs))
    assert ours.max(initial=0) == count


@given(maps, thresholds, st.floats(0, 0.2))
@settings(max_examples=60, deadline=None)
def test_small_areas_go_with_their_outlines(p, threshold, min_area):
    areas, count = ndimage.label(p > threshold / 2, EIGHT)
    sizes = ndimage.sum_labels(p >= threshold, areas, np.arange(count + 1))
    stays = (sizes >= min_area * p.size)[areas] | (areas == 0)
    assert np.array_equal(keep_areas(p, threshold, min_area=min_area), np.where(stays, p, 0).astype(np.float32))


@given(maps, thresholds)
@settings(max_examples=60, deadline=None)
def test_the_largest_stays_alone(p, threshold):
    kept = keep_largest(p, threshold)
    areas, count = ndimage.label(p > threshold / 2, EIGHT)
    sizes = ndimage.sum_labels(p >= threshold, areas, np.arange(1, count + 1))
    if count:
        assert (kept >= np.float32(threshold)).sum() == sizes.max()
        assert ndimage.label(opacity(kept, threshold) > 1e-6, EIGHT)[1] <= 1 or threshold > 0.5
    else:
        assert np.array_equal(kept, p.astype(np.float32))


def test_what_touches_the_box_stays():
    p = np.zeros((20, 40), np.float32)
    p[2:8, 2:30] = 0.9
    p[15:18, 2:10] = 0.9
    p[15:18, 35:39] = 0.9
    kept = keep_touching(p, 0.5)
    assert (kept[2:8, 2:30] > 0).all()
    assert kept[10:].max() == 0
    assert keep_touching(p, 0.5, box=(0.9, 0.8, 1, 1))[15:18, 35:39].min() > 0.8
    assert keep_touching(p, 0.5, box=(0.9, 0.8, 1, 1))[:, :30].max() == 0
    assert keep_touching(p, 0.5, box=(1, 1, 1, 1)).max() == 0


@given(maps, thresholds)
@settings(max_examples=60, deadline=None)
def test_all_holes_closed_is_what_scipy_fills(p, threshold):
    closed = close_holes(p, threshold, max_area=1)
    expected = ndimage.binary_fill_holes(p >= threshold)
    clear = np.abs(p - threshold) > 1e-6
    assert np.array_equal((closed >= threshold)[clear], expected[clear])
    assert closed.max() <= 1


def test_bad_arguments_are_refused_by_name():
    p = np.full((4, 4), 0.5)
    for wrong, message in (
        (lambda: keep_areas(p, 0.5, min_area=-1), "min_area must be from 0 to 1, not -1"),
        (lambda: keep_areas(p, 1.0), "threshold must be above 0 and below 1, not 1.0"),
        (lambda: close_holes(p, 0.5, max_area=3), "max_area must be from 0 to 1, not 3"),
        (lambda: keep_touching(p, 0.5, box=(0.6, 0, 0.5, 1)), "box right must be from 0.6 to 1, not 0.5"),
        (lambda: keep_largest(p * np.nan, 0.5), "probabilities must be from 0 to 1 everywhere"),
    ):
        with pytest.raises(ArgumentError, match=message):
            wrong()


@pytest.mark.parametrize("box", [(0, 0, 1), 0.5, "0011", ("a", 0, 1, 1)], ids=str)
def test_what_is_no_box(box):
    with pytest.raises(ArgumentError, match=r"box .*must be"):
        keep_touching(np.zeros((5, 6)), 0.5, box=box)
