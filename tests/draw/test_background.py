from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps
from scipy import ndimage

from figureground.checks import ArgumentError
from figureground.draw import blur_background, composite, replace_background


def test_composite_is_the_weighted_sum(scene):
    a = scene.alpha[..., None]
    behind = scene.image[::-1].copy()
    expected = a * scene.image + (1 - a) * behind
    assert composite(scene.image, scene.alpha, behind) == pytest.approx(expected, abs=1.6)


@pytest.mark.parametrize("radius", [1, 5, 20, 60])
def test_blur_agrees_with_the_weighted_gaussian(scene, radius):
    outside = 1 - scene.alpha
    weights = ndimage.gaussian_filter(outside, radius, mode="nearest")
    sums = [ndimage.gaussian_filter(scene.image[..., c] * outside, radius, mode="nearest") for c in range(3)]
    expected = np.stack(sums, axis=-1) / np.maximum(weights, 1e-9)[..., None]
    got = blur_background(scene.image, scene.alpha, radius)
    background = scene.alpha == 0
    assert np.abs(got[background] - expected[background]).mean() < 1.5
    assert np.abs(got[background] - expected[background]).max() < 12


def test_no_halo_of_the_person(scene):
    """Before a ground of one colour, the blurred ground has that colour right up to the person."""
    image = np.where(scene.alpha[..., None] > 0.5, np.uint8([255, 0, 0]), np.uint8([0, 60, 200]))
    alpha = (scene.alpha > 0.5).astype(np.float32)
    out = blur_background(image, alpha, 15)
    # Weights and colours have 8 bits, so a few steps are lost; a blur that does not know the person is 127 off.
    assert np.abs(out.astype(int) - image).max() <= 4


def test_the_person_stays_sharp(scene):
    out = blur_background(scene.image, scene.alpha, 10)
    assert np.array_equal(out[scene.alpha == 1], scene.image[scene.alpha == 1])


def test_radius_zero_and_a_picture_full_of_person_change_nothing(scene):
    assert np.array_equal(blur_background(scene.image, scene.alpha, 0), scene.image)
    assert np.array_equal(blur_background(scene.image, np.ones_like(scene.alpha), 20), scene.image)


@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (37, 3)])
@pytest.mark.parametrize("radius", [0.4, 7, 900])
def test_odd_sizes_can_be_blurred(shape, radius):
    image = np.full((*shape, 3), 77, np.uint8)
    assert np.abs(blur_background(image, np.zeros(shape, np.float32), radius).astype(int) - 77).max() <= 1


def test_replace_by_color(scene):
    out = replace_background(scene.image, scene.alpha, (0, 255, 0))
    assert (out[scene.alpha == 0] == (0, 255, 0)).all()
    assert np.array_equal(out[scene.alpha == 1], scene.image[scene.alpha == 1])
    soft = (scene.alpha > 0.1) & (scene.alpha < 0.9)
    a = scene.alpha[..., None]
    expected = a * scene.foreground + (1 - a) * np.array([0, 255, 0])
    assert np.abs(out - expected)[soft].mean() < 5


@pytest.mark.parametrize("size", [(50, 50), (400, 90), (600, 700)])
def test_a_picture_covers_without_being_distorted(scene, size):
    behind = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    out = replace_background(scene.image, np.zeros_like(scene.alpha), behind)
    expected = ImageOps.fit(Image.fromarray(behind), (240, 180), Image.Resampling.BICUBIC)
    assert np.array_equal(out, np.asarray(expected))


def test_bad_parameters_are_refused_by_name(scene):
    with pytest.raises(ArgumentError, match="radius must be from 0 to 10000, not -1"):
        blur_background(scene.image, scene.alpha, -1)
    with pytest.raises(ArgumentError, match="background must be three numbers from 0 to 255"):
        replace_background(scene.image, scene.alpha, (0, 0, 300))
    with pytest.raises(ArgumentError, match="background must be uint8"):
        replace_background(scene.image, scene.alpha, np.zeros((4, 4), np.uint8))
    with pytest.raises(ArgumentError, match="background is 4x4"):
        composite(scene.image, scene.alpha, np.zeros((4, 4, 3), np.uint8))
