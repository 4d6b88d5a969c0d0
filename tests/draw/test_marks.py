from __future__ import annotations

import numpy as np
import pytest

from figureground.checks import ArgumentError
from figureground.draw import contour, label_map, overlay, parse_color, tint

RED, BLUE = (255, 0, 0), (0, 0, 255)


def test_overlay_tints_in_proportion(scene):
    out = overlay(scene.image, scene.alpha[None], [RED], 0.6)
    tint = 0.6 * scene.alpha[..., None]
    assert out == pytest.approx((1 - tint) * scene.image + tint * np.array(RED), abs=1.6)


def test_overlay_of_bool_masks_and_several_colors(scene):
    left = np.zeros(scene.alpha.shape, bool)
    left[:, :100] = True
    out = overlay(scene.image, np.stack([left, ~left]), [RED, BLUE], 1.0)
    assert (out[left] == RED).all()
    assert (out[~left] == BLUE).all()
    assert np.array_equal(overlay(scene.image, np.stack([left, ~left]), [RED, BLUE], 0.0), scene.image)


@pytest.mark.parametrize("opacity", [0.0, 0.3, 0.5, 1.0])
def test_tint_is_an_overlay_of_each_index(scene, opacity):
    index_map = (np.arange(scene.alpha.size) % 3).reshape(scene.alpha.shape)
    masks = np.stack([index_map == 1, index_map == 2])
    expected = overlay(scene.image, masks, [RED, BLUE], opacity)
    assert np.array_equal(tint(scene.image, index_map, [RED, BLUE], opacity), expected)


@pytest.mark.parametrize("width", [2, 5, 12])
def test_contour_is_as_wide_as_asked_and_centred(width):
    image = np.zeros((80, 120, 3), np.uint8)
    mask = np.zeros((80, 120), bool)
    mask[:, 60:] = True
    line = contour(image, mask, (255, 255, 255), width)[40, :, 0] / 255
    assert line.sum() == pytest.approx(width, abs=1.0)
    assert (line * (np.arange(120) + 0.5)).sum() / line.sum() == pytest.approx(60, abs=0.3)


def test_contour_of_nothing_and_of_everything_draws_nothing(scene):
    empty = np.zeros(scene.alpha.shape, bool)
    assert np.array_equal(contour(scene.image, empty, RED), scene.image)
    assert np.array_equal(contour(scene.image, ~empty, RED), scene.image)


def test_label_map_paints_background_labels_and_ignore():
    index_map = np.array([[0, 1], [2, 255]])
    assert label_map(index_map, [RED, BLUE], background=(9, 9, 9)).tolist() == [
        [[9, 9, 9], [255, 0, 0]],
        [[0, 0, 255], [128, 128, 128]],
    ]


@pytest.mark.parametrize(
    ("text", "color"),
    [("white", (255, 255, 255)), (" #0f0 ", (0, 255, 0)), ("#102030", (16, 32, 48)), ("rgb(1, 2, 3)", (1, 2, 3))],
)
def test_colors_as_people_write_them(text, color):
    assert parse_color(text) == color


@pytest.mark.parametrize("text", ["", "nocolour", "#12", "#ff000080", "rgb(1,2)"])
def test_what_is_no_color_is_refused(text):
    with pytest.raises(ArgumentError, match="write a name or a code"):
        parse_color(text)


def test_bad_parameters_are_refused_by_name(scene):
    mask = scene.alpha > 0.5
    for call, message in [
        (lambda: overlay(scene.image, mask[None], [RED], 1.5), "opacity must be from 0 to 1, not 1.5"),
        (lambda: overlay(scene.image, mask[None], [RED, BLUE]), "colors must be one per mask, 1, not 2"),
        (lambda: overlay(scene.image, mask, [RED]), "masks must be of shape"),
        (lambda: tint(scene.image, mask.astype(int), [RED], -1), "opacity must be from 0 to 1, not -1"),
        (lambda: tint(scene.image, mask.astype(int), []), "index_map holds 1, but there are 0 colors"),
        (lambda: tint(scene.image, mask[1:].astype(int), [RED]), "index_map is .* but image is"),
        (lambda: overlay(scene.image, mask[None], [(1, 2)]), "colors must be three numbers"),
        (lambda: contour(scene.image, mask, RED, 0), "width must be from 1 to 1000"),
        (lambda: contour(scene.image, mask[:9], RED), "mask is 9x240"),
        (lambda: label_map(np.array([[3]]), [RED]), "index_map holds 3, but there are 1 colors"),
        (lambda: label_map(np.array([[0.5]]), [RED]), "index_map must be integer"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            call()
