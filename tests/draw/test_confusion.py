"""The picture of a confusion matrix: a cell for each pair of labels, the bluer the larger its share of the row."""

from __future__ import annotations

import numpy as np
import pytest

from figureground.checks import ArgumentError
from figureground.draw import confusion_matrix
from figureground.draw.confusion import _BLUE, _CELL, _MARGIN


def cell(picture, classes, row, column):
    """A corner of a cell, away from its text."""
    height, width = picture.shape[:2]
    y, x = (size - _MARGIN - (classes - k) * _CELL + 3 for size, k in ((height, row), (width, column)))
    return picture[y, x]


def test_cells_show_the_share_of_their_row():
    counts = np.array([[30, 10, 0], [0, 500, 0], [0, 0, 0]])
    picture = confusion_matrix(counts, ["background", "a", "b"])
    assert (cell(picture, 3, 1, 1) == _BLUE).all()
    np.testing.assert_allclose(cell(picture, 3, 0, 0), 255 + 0.75 * (_BLUE - 255), atol=1)
    np.testing.assert_allclose(cell(picture, 3, 0, 1), 255 + 0.25 * (_BLUE - 255), atol=1)
    assert (cell(picture, 3, 0, 2) == 255).all()
    assert (picture[-_CELL - _MARGIN + 1 : -_MARGIN, -3 * _CELL - _MARGIN : -_MARGIN] == 255).all(), (
        "no pixels, no text"
    )


def test_long_names_have_room():
    short = confusion_matrix(np.eye(2, dtype=int), ["a", "b"])
    long = confusion_matrix(np.eye(2, dtype=int), ["a", "a name that is much longer"])
    assert long.shape[0] > short.shape[0] + 100
    assert long.shape[1] > short.shape[1] + 100


@pytest.mark.parametrize(
    ("counts", "names"),
    [(np.zeros((2, 3), int), ["a", "b"]), (np.zeros((2, 2), int), ["a"]), (-np.eye(1, dtype=int), ["a"])],
)
def test_what_is_no_table_is_refused(counts, names):
    with pytest.raises(ArgumentError, match="counts must be a table"):
        confusion_matrix(counts, names)
