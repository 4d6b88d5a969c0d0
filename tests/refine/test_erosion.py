from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from figureground.checks import ArgumentError
from figureground.refine import erosion_kernel, soft_erosion


def direct(alpha: np.ndarray, kernel: int, threshold: float, iterations: int) -> np.ndarray:
    """The definition, with scipy's direct convolution."""
    weights = erosion_kernel(kernel)
    x = alpha.astype(np.float64)
    for _ in range(iterations - 1):
        x = np.minimum(x, ndimage.convolve(x, weights, mode="constant"))
    x = ndimage.convolve(x, weights, mode="constant")
    inside = x >= threshold
    x[~inside] /= x[~inside].max()
    x[inside] = 1
    return x


def test_kernel_golden_values():
    large = erosion_kernel(15)
    assert large[7, 7] == pytest.approx(0.01054762956086244, abs=1e-15)
    assert large[0, 7] == pytest.approx(0.003089329172932922, abs=1e-15)
    assert large[0, 0] == 0
    expected = [[0, 0.134876, 0], [0.134876, 0.460496, 0.134876], [0, 0.134876, 0]]
    assert erosion_kernel(3) == pytest.approx(np.array(expected), abs=1e-6)


def test_golden_picture():
    alpha = np.zeros((24, 24), np.float32)
    alpha[4:20, 6:18] = 1
    out = soft_erosion(alpha)
    assert out.mean(dtype=np.float64) == pytest.approx(0.4990311881536, abs=1e-8)
    assert out[4, 6] == pytest.approx(0.50402475, abs=1e-6)
    assert out[0, 0] == pytest.approx(0.019008, abs=1e-6)
    # 92 pixels reach the threshold. The picture is symmetric in both directions, so the largest value below it occurs
    # four times and becomes 1 as well; in the original's single precision that was true of only one of them, hence 93.
    assert (out == 1).sum() >= 93
    assert (out > 1 - 1e-6).sum() == 96


@pytest.mark.parametrize(("kernel", "threshold", "iterations"), [(3, 0.5, 1), (15, 0.6, 1), (7, 0.7, 3), (31, 0.9, 2)])
@pytest.mark.parametrize("shape", [(50, 41), (5, 90), (1, 1), (530, 33)])
def test_agrees_with_direct_convolution(kernel, threshold, iterations, shape):
    alpha = np.random.default_rng(0).random(shape) ** 0.3
    expected = direct(alpha, kernel, threshold, iterations)
    assert soft_erosion(alpha, kernel=kernel, threshold=threshold, iterations=iterations) == pytest.approx(
        expected, abs=1e-6
    )


def test_empty_stays_empty_and_nothing_below_the_threshold_is_no_error():
    assert not soft_erosion(np.zeros((30, 40), np.float32)).any()
    assert (soft_erosion(np.ones((30, 40), np.float32), threshold=0.01) == 1).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"kernel": 4}, "kernel must be odd, not 4; try 5"),
        ({"kernel": 1}, "kernel must be from 3"),
        ({"threshold": 0}, "threshold must be"),
        ({"threshold": 1.5}, "threshold must be"),
        ({"iterations": 0}, "iterations must be from 1 to 100"),
    ],
)
def test_bad_parameters_are_refused_by_name(parameters, message):
    with pytest.raises(ArgumentError, match=message):
        soft_erosion(np.zeros((9, 9), np.float32), **parameters)


@pytest.mark.parametrize("value", [float("nan"), -0.5, 7.0, float("inf")])
def test_what_is_no_alpha_is_refused(value):
    with pytest.raises(ArgumentError, match="alpha must be from 0 to 1 everywhere"):
        soft_erosion(np.full((9, 9), value))


@pytest.mark.parametrize(
    "given", [{"kernel": 15.0}, {"kernel": "15"}, {"iterations": 1.5}, {"iterations": True}], ids=str
)
def test_fractions_are_no_numbers_of_pixels(given):
    (name,) = given
    with pytest.raises(ArgumentError, match=f"{name} must be a whole number, not"):
        soft_erosion(np.zeros((9, 9)), **given)
