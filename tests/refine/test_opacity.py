from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figureground.checks import ArgumentError
from figureground.refine import opacity


@given(st.floats(0.01, 0.99), st.floats(0, 1))
def test_the_line_written_out(threshold, probability):
    reach = min(threshold, 1 - threshold) / 2
    wanted = np.interp(probability, [threshold - reach, threshold + reach], [0, 1])
    assert opacity(np.full((1, 1), probability), threshold)[0, 0] == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.9])
def test_half_opaque_is_where_the_mask_begins(threshold):
    probability = np.linspace(0, 1, 4001, dtype=np.float32)[None]
    np.testing.assert_array_equal(opacity(probability, threshold) >= 0.5, probability >= np.float32(threshold))


def test_doubt_leaves_nothing_and_the_inside_is_solid():
    assert opacity(np.array([[0.0, 0.2, 0.25]]), 0.5).tolist() == [[0, 0, 0]]
    assert opacity(np.array([[0.75, 0.9, 1.0]]), 0.5).tolist() == [[1, 1, 1]]


@pytest.mark.parametrize("threshold", [0, 1, -0.5, float("nan")])
def test_a_threshold_out_of_range_is_named(threshold):
    with pytest.raises(ArgumentError, match="threshold"):
        opacity(np.zeros((2, 2), np.float32), threshold)


@pytest.mark.parametrize("value", [float("nan"), -0.5, 7.0, float("inf")])
def test_what_is_no_probability_is_refused(value):
    with pytest.raises(ArgumentError, match="probability must be from 0 to 1 everywhere"):
        opacity(np.full((9, 9), value), 0.5)
