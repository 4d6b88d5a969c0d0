from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from figureground.checks import ArgumentError
from figureground.refine import SmoothCrf, smooth_crf
from figureground.refine.smooth_crf import smooth_logits


def test_one_leaf_has_the_golden_values_of_crfseg(hashed):
    z = 6 * hashed("crf", 1, 12, 12)
    smoothed = smooth_logits(z, SmoothCrf())
    assert smoothed.mean() == pytest.approx(0.31183157, abs=1e-7)
    assert smoothed[0, 0, 0] == pytest.approx(1.38515280, abs=1e-7)
    assert np.abs(smoothed).max() == pytest.approx(3.97798371, abs=1e-7)


def by_convolution(z, settings, softmax):
    """As the paper of the layer says it, class by class; `z` (classes, H, W)."""
    offset = np.arange(settings.size) - settings.size // 2
    line = np.exp(-0.5 * (offset / settings.width) ** 2) * (offset != 0)
    x = z
    for _ in range(settings.iterations):
        smooth = ndimage.convolve1d(softmax(x), line, axis=1, mode="constant")
        x = z + settings.weight * ndimage.convolve1d(smooth, line, axis=2, mode="constant")
    return x


def test_three_classes_have_the_golden_values_of_crfseg(hashed, softmax):
    z = 6 * hashed("crfm", 3, 12, 12)
    whole = by_convolution(z, SmoothCrf(), softmax)
    assert whole.mean() == pytest.approx(0.70206088, abs=1e-6)
    assert whole[0, 0, 0] == pytest.approx(-0.15453809, abs=1e-6)
    # Our logits are those of the leaves over the background's.
    assert smooth_logits(z[1:] - z[:1], SmoothCrf()) == pytest.approx(whole[1:] - whole[:1], abs=1e-9)


@pytest.mark.parametrize(
    "settings", [SmoothCrf(iterations=2, width=3, size=7, weight=0.5), SmoothCrf(size=301, width=9)]
)
def test_agrees_with_convolution(settings, softmax):
    z = np.random.default_rng(0).normal(size=(2, 140, 150)) * 3
    whole = by_convolution(np.concatenate([0 * z[:1], z]), settings, softmax)
    assert smooth_logits(z, settings) == pytest.approx(whole[1:] - whole[:1], abs=1e-6)


def test_probabilities_stay_probabilities(person):
    p = person((30, 40), leaves=3).astype(np.float32)
    q = smooth_crf(p)
    assert q.dtype == np.float32
    assert q.min() >= 0
    assert q.sum(0).max() <= 1 + 1e-6
    assert np.abs(q - p).max() > 0.01


def test_bad_arguments_are_refused_by_name():
    for setting, value, message in (
        ("iterations", 0, "iterations must be from 1 to 100, not 0"),
        ("width", -1, "width must be from 0.1 to 1000, not -1"),
        ("weight", -1, "weight must be from 0 to 1000, not -1"),
        ("size", 4, "size must be odd, not 4; try 5"),
    ):
        with pytest.raises(ArgumentError, match=message):
            SmoothCrf(**{setting: value})
    with pytest.raises(ArgumentError, match="probabilities must be from 0 to 1 everywhere"):
        smooth_crf(np.full((1, 3, 3), np.nan))


@pytest.mark.parametrize("given", [{"size": 11.0}, {"iterations": "5"}], ids=str)
def test_sizes_and_rounds_are_whole_numbers(given):
    with pytest.raises(ArgumentError, match="must be a whole number, not"):
        SmoothCrf(**given)
