from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from figureground.checks import ArgumentError
from figureground.refine import box_mean, guided_upsample


def brute_force(alpha: np.ndarray, image: np.ndarray, radius: int, eps: float) -> np.ndarray:
    """Window by window as in the paper, with numpy's own solver; the unexplained rest added; enlarged as a whole."""
    size = (alpha.shape[1], alpha.shape[0])
    guide = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX)) / 255.0
    fits = np.empty((*alpha.shape, 4))
    for y, x in np.ndindex(alpha.shape):
        window = slice(max(y - radius, 0), y + radius + 1), slice(max(x - radius, 0), x + radius + 1)
        colors, values = guide[window].reshape(-1, 3), alpha[window].ravel()
        spread = np.cov(colors.T, bias=True) + eps * np.eye(3)
        slope = np.linalg.solve(spread, (colors * values[:, None]).mean(0) - colors.mean(0) * values.mean())
        fits[y, x] = [*slope, values.mean() - slope @ colors.mean(0)]
    mean_fits = np.empty_like(fits)
    for y, x in np.ndindex(alpha.shape):
        window = slice(max(y - radius, 0), y + radius + 1), slice(max(x - radius, 0), x + radius + 1)
        mean_fits[y, x] = fits[window].mean((0, 1))
    mean_fits[..., 3] = alpha - (mean_fits[..., :3] * guide).sum(-1)
    large = [
        Image.fromarray(mean_fits[..., i].astype(np.float32)).resize(image.shape[1::-1], Image.Resampling.BILINEAR)
        for i in range(4)
    ]
    red, green, blue, rest = (np.asarray(values, dtype=np.float64) for values in large)
    return np.clip(red * image[..., 0] / 255 + green * image[..., 1] / 255 + blue * image[..., 2] / 255 + rest, 0, 1)


@pytest.mark.parametrize("radius", [1, 3, 50])
def test_box_mean_agrees_with_scipy(radius):
    values = np.random.default_rng(0).random((23, 31))
    ones = np.ones_like(values)
    size = 2 * radius + 1
    expected = ndimage.uniform_filter(values, size, mode="constant") / ndimage.uniform_filter(
        ones, size, mode="constant"
    )
    assert box_mean(values, radius) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("radius", "eps"), [(1, 1e-2), (3, 1e-3), (40, 1e-4)])
def test_agrees_with_window_by_window(radius, eps):
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (30, 41, 3), dtype=np.uint8)
    alpha = rng.random((13, 17))
    expected = brute_force(alpha, image, radius, eps)
    assert guided_upsample(alpha, image, radius=radius, eps=eps) == pytest.approx(expected, abs=1e-5)


def test_at_one_size_nothing_changes():
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (13, 17, 3), dtype=np.uint8)
    alpha = rng.random((13, 17)).astype(np.float32)
    assert guided_upsample(alpha, image, radius=3) == pytest.approx(alpha, abs=1e-5)


def test_strips_leave_no_seams(monkeypatch):
    rng = np.random.default_rng(2)
    image = rng.integers(0, 256, (101, 67, 3), dtype=np.uint8)
    alpha = rng.random((23, 19))
    whole = guided_upsample(alpha, image)
    monkeypatch.setattr("figureground.refine.guided._STRIP_PIXELS", 67 * 7)
    assert guided_upsample(alpha, image) == pytest.approx(whole, abs=1e-5)


def test_the_edge_snaps_to_the_edge_of_the_photo():
    y, x = np.mgrid[:240, :320]
    true = np.hypot(y - 120, x - 160) < 80
    image = np.where(true[..., None], np.uint8([200, 90, 60]), np.uint8([40, 80, 120]))
    alpha = np.asarray(Image.fromarray(true.astype(np.float32)).resize((40, 30), Image.Resampling.BOX))
    plain = np.asarray(Image.fromarray(alpha).resize((320, 240), Image.Resampling.BILINEAR))
    guided = guided_upsample(alpha, image)
    assert np.abs(guided - true).mean() < 0.35 * np.abs(plain - true).mean()
    assert ((guided > 0.5) == true).mean() > 0.999


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_flat_alpha_stays_flat(value):
    image = np.random.default_rng(3).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    out = guided_upsample(np.full((15, 20), value, np.float32), image)
    assert out.dtype == np.float32
    assert out == pytest.approx(np.full((60, 80), value), abs=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (7, 9)])
def test_odd_sizes(shape):
    image = np.random.default_rng(4).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert guided_upsample(np.full((1, 1), 0.5, np.float32), image).shape == shape


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"radius": 0}, "radius must be from 1 to 1000"),
        ({"eps": 0}, "eps must be from 1e-08 to 1"),
        ({"alpha": np.zeros((9, 9))}, "larger than image"),
        ({"alpha": np.zeros((2, 2), bool)}, "alpha must be floating point"),
        ({"image": np.zeros((8, 8), np.uint8)}, "image must be uint8"),
    ],
)
def test_bad_arguments_are_refused_by_name(parameters, message):
    arguments = {"alpha": np.zeros((4, 4)), "image": np.zeros((8, 8, 3), np.uint8), **parameters}
    with pytest.raises(ArgumentError, match=message):
        guided_upsample(**arguments)


@pytest.mark.parametrize("value", [float("nan"), -0.5, 7.0, float("inf")])
def test_what_is_no_alpha_is_refused(value):
    with pytest.raises(ArgumentError, match="alpha must be from 0 to 1 everywhere"):
        guided_upsample(np.full((4, 4), value), np.zeros((9, 9, 3), np.uint8))


@pytest.mark.parametrize(("radius", "said"), [(1.5, "a whole number"), ("2", "a whole number"), (-1, "at least 0")])
def test_a_radius_is_a_whole_number(radius, said):
    with pytest.raises(ArgumentError, match=f"radius must be {said}"):
        box_mean(np.zeros((9, 9)), radius)
    with pytest.raises(ArgumentError, match="radius must be"):
        guided_upsample(np.zeros((4, 4)), np.zeros((9, 9, 3), np.uint8), radius=radius)
