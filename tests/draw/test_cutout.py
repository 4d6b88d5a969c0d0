from __future__ import annotations

import numpy as np
import pytest

from figureground.checks import ArgumentError
from figureground.draw import cutout, eight_bit, foreground_colors


def test_colors_are_kept_where_something_shows_and_alpha_is_rounded(scene):
    out = cutout(scene.image, scene.alpha)
    assert out.dtype == np.uint8
    shows = out[..., 3] > 0
    assert shows.any()
    assert not shows.all()
    assert np.array_equal(out[..., :3][shows], scene.image[shows])
    assert not out[~shows].any(), "a cut-out carries colours of the background it seems to have lost"
    assert np.abs(out[..., 3] - scene.alpha.astype(np.float64) * 255).max() < 0.5001


def test_eight_bit_is_exact_both_ways_and_clips():
    steps = np.arange(256, dtype=np.uint8)
    assert np.array_equal(eight_bit(steps / np.float32(255)), steps)
    assert eight_bit(np.array([-1, 2, np.nan, np.inf], np.float32)).tolist() == [0, 255, 0, 255]


def weighted_error(colors, scene) -> float:
    """Mean distance to the true foreground over the soft edge, weighted by how much of it is seen."""
    soft = (scene.alpha > 0.02) & (scene.alpha < 0.98)
    difference = np.abs(colors[soft] - np.clip(scene.foreground[soft], 0, 255)).mean(axis=1)
    return float((difference * scene.alpha[soft]).sum() / scene.alpha[soft].sum())


def test_foreground_colors_find_the_known_foreground(scene):
    # The photo's own colours are off by 33 of 255 on this edge, the estimate by 3.5.
    assert weighted_error(scene.image, scene) > 15
    assert weighted_error(foreground_colors(scene.image, scene.alpha), scene) < 7


def test_the_photo_is_seen_again_over_its_own_background(scene):
    estimate = foreground_colors(scene.image, scene.alpha)
    a = scene.alpha[..., None]
    again = a * estimate + (1 - a) * scene.background
    assert np.abs(again - scene.image).mean(axis=-1).max() < 12


def test_no_fringe_of_the_old_background_is_left(scene):
    """Seen over black, the blue of the old background must not stand out along the edge."""
    ring = (scene.alpha > 0.2) & (scene.alpha < 0.8)
    estimate = foreground_colors(scene.image, scene.alpha).astype(float)
    excess_of_blue = (scene.image[ring, 2].astype(float) - scene.foreground[ring, 2]).mean()
    assert excess_of_blue > 30
    assert abs((estimate[ring, 2] - scene.foreground[ring, 2]).mean()) < 6


def test_hard_pixels_keep_their_colors(scene):
    estimate = foreground_colors(scene.image, scene.alpha)
    hard = (scene.alpha < 0.015) | (scene.alpha > 0.985)
    assert np.array_equal(estimate[hard], scene.image[hard])
    assert np.array_equal(foreground_colors(scene.image, (scene.alpha > 0.5).astype(np.float32)), scene.image)


@pytest.mark.parametrize("value", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (65, 33)])
def test_a_flat_alpha_gives_valid_colors(value, shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    out = foreground_colors(image, np.full(shape, value, np.float32))
    assert out.shape == image.shape
    assert out.dtype == np.uint8


def test_large_and_small_pictures_agree(scene):
    """Above some size colours are sampled; the estimate has to stay the same."""
    large = np.kron(scene.image, np.ones((10, 10, 1), np.uint8))
    alpha = np.kron(scene.alpha, np.ones((10, 10), np.float32))
    estimate = foreground_colors(large, alpha)[5::10, 5::10].astype(float)
    assert np.abs(estimate - foreground_colors(scene.image, scene.alpha)).mean() < 1.5


@pytest.mark.parametrize("function", [cutout, foreground_colors])
@pytest.mark.parametrize(
    ("image", "alpha", "message"),
    [
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), np.float32), "alpha is 4x5"),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), bool), "alpha must be floating point"),
        (np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4), np.float32), "image must be uint8"),
        (np.zeros((0, 4, 3), np.uint8), np.zeros((0, 4), np.float32), "image must be uint8"),
    ],
)
def test_wrong_arrays_are_refused_by_name(function, image, alpha, message):
    with pytest.raises(ArgumentError, match=message):
        function(image, alpha)
