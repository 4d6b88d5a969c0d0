"""Run lengths against a loop over pixels, and against pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from figureground.errors import DataError
from figureground.images import mask_from_coco, mask_from_rle, mask_to_rle

masks = arrays.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def runs_by_hand(mask):
    """The published task's form, pixel by pixel."""
    pixels, runs = [bool(pixel) for row in mask for pixel in row], []
    for number, pixel in enumerate(pixels, start=1):
        if pixel and (number == 1 or not pixels[number - 2]):
            runs += [number, 0]
        if pixel:
            runs[-1] += 1
    return " ".join(str(run) for run in runs)


@given(masks)
def test_runs_are_those_of_a_loop_and_lead_back(mask):
    assert mask_to_rle(mask) == runs_by_hand(mask)
    assert np.array_equal(mask_from_rle(mask_to_rle(mask), mask.shape), mask)


def test_runs_go_by_rows_and_count_from_one():
    mask = np.zeros((320, 240), bool)
    mask[0, 0] = mask[1, 1] = mask[319, 239] = True
    assert mask_to_rle(mask) == "1 1 242 1 76800 1"
    assert mask_to_rle(np.zeros((2, 2), bool)) == ""
    assert not mask_from_rle("", (2, 2)).any()


@pytest.mark.parametrize("text", ["1", "0 1", "1 -1", "a b", "1.5 2", "4 2", "99999999999999999999 1"])
def test_bad_runs_are_refused(text):
    with pytest.raises(DataError):
        mask_from_rle(text, (2, 2))


@given(masks)
def test_coco_runs_are_those_of_pycocotools(mask):
    coco = pytest.importorskip("pycocotools.mask")
    encoded = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert np.array_equal(mask_from_coco(encoded["counts"], mask.shape), mask)
    assert np.array_equal(mask_from_coco(encoded["counts"].decode(), mask.shape), mask)


def test_coco_runs_of_a_large_mask():
    coco = pytest.importorskip("pycocotools.mask")
    mask = np.random.default_rng(0).random((400, 500)) > 0.5
    mask[:, 100:300] = True
    encoded = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert np.array_equal(mask_from_coco(encoded["counts"], mask.shape), mask)


def test_plain_coco_runs():
    assert mask_from_coco([1, 2, 3], (3, 2)).tolist() == [[False, False], [True, False], [True, False]]


@pytest.mark.parametrize("counts", [[1, 2], [7, -1], "\x01", "o", "p" * 20, [5, 2]])
def test_damaged_coco_runs_are_refused(counts):
    with pytest.raises(DataError):
        mask_from_coco(counts, (3, 2))
