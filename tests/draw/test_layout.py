from __future__ import annotations

import numpy as np
import pytest

from figureground.checks import ArgumentError
from figureground.draw import checkerboard, legend, sheet, side_by_side, with_legend
from figureground.labels import Label


def test_checkerboard():
    board = checkerboard(5, 7, square=2, colors=((0, 0, 0), (9, 9, 9)))
    assert board.shape == (5, 7, 3)
    assert (board[:, :, 0] > 0).tolist() == [[(y // 2 + x // 2) % 2 == 1 for x in range(7)] for y in range(5)]


def test_pictures_stand_in_a_row():
    a, b = np.full((10, 20, 3), 1, np.uint8), np.full((10, 5, 3), 2, np.uint8)
    out = side_by_side([a, b], gap=3, color=(7, 7, 7))
    assert out[4, :, 0].tolist() == [1] * 20 + [7] * 3 + [2] * 5


def test_the_lowest_picture_sets_the_height():
    out = side_by_side([np.zeros((10, 20, 3), np.uint8), np.zeros((40, 40, 3), np.uint8)], gap=0)
    assert out.shape == (10, 30, 3)


def test_transparency_is_shown_over_a_checkerboard():
    clear = np.zeros((64, 64, 4), np.uint8)
    assert np.array_equal(side_by_side([clear]), checkerboard(64, 64, square=8))
    opaque = np.full((64, 64, 4), 255, np.uint8)
    assert (side_by_side([opaque]) == 255).all()


def test_legend_shows_each_color_and_indents_children():
    labels = [Label("person", (255, 0, 0)), Label("head", (0, 255, 0), parent="person")]
    out = legend(labels, row_height=30)
    assert out.dtype == np.uint8
    left_edges = [np.argwhere((out == label.color).all(-1))[:, 1].min() for label in labels]
    assert left_edges[1] == left_edges[0] + 30
    assert (out.sum(-1) < 200).any(), "the names are written"
    wider = legend([*labels, Label("a very long name indeed", (0, 0, 255))], row_height=30)
    assert wider.shape[1] > out.shape[1]


@pytest.mark.parametrize(("height", "count"), [(20, 1), (300, 3), (300, 40), (4000, 2)])
def test_a_legend_stands_beside_the_picture(height, count):
    labels = [Label(f"label {i}", (200, i, 0)) for i in range(count)]
    picture = np.random.default_rng(0).integers(0, 255, (height, 50, 3), np.uint8)
    out = with_legend(picture, labels)
    assert np.array_equal(out[:height, :50], picture)
    beside = out[:, 50:]
    assert all((beside == label.color).all(-1).any() for label in labels)
    assert (beside[:, -1] == 255).all()
    assert out.shape[0] == height or (height < 20 * count and (out[height:, :50] == 255).all())


def test_a_sheet_has_every_picture_and_its_caption():
    pictures = [np.full((50 + 90 * i, 80, 3), 10 + i, np.uint8) for i in range(5)]
    out = sheet(pictures, ["a", "b", "c", "d", "a very long caption that does not fit in its cell"], cell=100)
    for picture in pictures:
        assert (out == picture[0, 0]).all(-1).sum() > 1000
    assert out.shape[1] == 3 * 112 + 12, "five pictures stand in three columns"
    without = sheet(pictures, ["", "", "", "", ""], cell=100)
    assert (out != without).any()
    clear = np.zeros((30, 30, 4), np.uint8)
    assert (sheet([clear], [""]) == 255).all()


def test_bad_parameters_are_refused_by_name():
    for call, message in [
        (lambda: side_by_side([]), "images must hold at least one"),
        (lambda: side_by_side([np.zeros((4, 4), np.uint8)]), "images must be uint8"),
        (lambda: side_by_side([np.zeros((4, 4, 3), np.uint8)], gap=-1), "gap must be at least 0"),
        (lambda: checkerboard(4, 0), "width must be at least 1"),
        (lambda: sheet([], []), "as many, one or more, not 0, 0"),
        (lambda: sheet([np.zeros((4, 4), np.uint8)], ["a"]), "pictures must be uint8"),
        (lambda: sheet([np.zeros((4, 4, 3), np.uint8)], ["a"], cell=1), "cell must be from 32"),
        (lambda: with_legend(np.zeros((4, 4), np.uint8), [Label("a", (0, 0, 0))]), "image must be uint8"),
        (lambda: legend([]), "labels must hold at least one"),
        (lambda: legend([Label("a", (0, 0, 0))], row_height=1), "row_height must be from 8"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            call()
