"""Resizing against torch's interpolation, and against the triangle filter written out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from figureground import images

sides = st.integers(1, 40)


def triangle_filter(before, after):
    """The (after, before) weights: a triangle around each centre, one input pixel wide, wider when shrinking."""
    scale = before / after
    centres = (np.arange(after) + 0.5) * scale - 0.5
    weights = np.maximum(0, 1 - np.abs(np.arange(before) - centres[:, None]) / max(1, scale))
    return weights / weights.sum(axis=1, keepdims=True)


@settings(max_examples=60, deadline=None)
@given(st.tuples(sides, sides), st.tuples(sides, sides), st.integers(0, 2**32 - 1))
def test_resize_map_equals_the_filter_written_out(size, target, seed):
    values = np.random.default_rng(seed).normal(size=(2, *size)).astype(np.float32)
    expected = triangle_filter(size[0], target[0]) @ values @ triangle_filter(size[1], target[1]).T
    found = images.resize_map(values, target)
    assert found.dtype == np.float32
    assert found.shape == (2, *target)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(images.resize_map(values[0], target), found[0])


@pytest.mark.parametrize("target", [(13, 9), (26, 18), (200, 301), (14, 9)])
def test_enlarging_a_map_equals_torch(target):
    functional = pytest.importorskip("torch.nn.functional")
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(0).normal(size=(2, 13, 9)).astype(np.float32)
    expected = functional.interpolate(torch.from_numpy(values)[None], target, mode="bilinear", align_corners=False)
    np.testing.assert_allclose(images.resize_map(values, target), expected[0].numpy(), atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.float32, (5, 7), elements=st.floats(0, 1, width=32)), st.tuples(sides, sides))
def test_resize_map_stays_in_range(values, target):
    resized = images.resize_map(values, target)
    assert resized.min() >= values.min() - 1e-6
    assert resized.max() <= values.max() + 1e-6


def test_resize_map_takes_other_types_and_strides():
    mask = np.zeros((4, 6), dtype=bool)
    mask[:, 3:] = True
    assert images.resize_map(mask[::-1, ::-1], (4, 6))[:, 0].tolist() == [1, 1, 1, 1]
    assert images.resize_map(np.zeros((0, 4, 6)), (8, 8)).shape == (0, 8, 8)
    assert images.resize_map(np.full((1, 1), 0.25), (3, 5)).tolist() == [[0.25] * 5] * 3


@pytest.mark.parametrize("shape", [(64, 96), (64, 96, 3), (64, 96, 4)])
@pytest.mark.parametrize("size", [(16, 24), (2, 3), (100, 50), (64, 96), (1, 1)])
def test_resize_keeps_channels_and_the_mean(shape, size):
    y, x = np.mgrid[:64, :96]
    image = np.broadcast_to(((x + y) % 200).reshape(64, 96, *[1] * (len(shape) - 2)), shape).astype(np.uint8)
    if shape[2:] == (4,):
        image[..., 3] = 255
    resized = images.resize(image, size)
    assert resized.shape == (*size, *shape[2:])
    assert resized.dtype == np.uint8
    assert abs(float(resized.mean()) - float(image.mean())) < 6


def test_shrinking_averages_instead_of_skipping():
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    assert np.abs(images.resize(board, (16, 16)).astype(int) - 128).max() < 16
    assert np.abs(images.resize(board, (3, 5)).astype(int) - 128).max() < 16


def test_extreme_shapes_resize():
    line = np.full((1, 10000, 3), 7, dtype=np.uint8)
    assert (images.resize(line, (32, 1024)) == 7).all()
    assert (images.resize(line.swapaxes(0, 1), (1024, 32)) == 7).all()
    assert images.resize_map(np.ones((32, 1024), dtype=np.float32), (1, 10000)).shape == (1, 10000)
