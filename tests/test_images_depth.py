"""Depth maps from files, and their normalisation against the plain formula and a measured map."""

from __future__ import annotations

import statistics
from importlib import resources

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from figureground import images
from figureground.errors import SourceError, UnreadableImageError
from figureground.images import depth_size, normalised_depth, read_depth

MAPS = hnp.arrays(np.float32, (4, 5), elements=st.one_of(st.just(0.0), st.floats(0.125, 64, width=32)))


@pytest.fixture(scope="module")
def measured():
    """The disparities of the Middlebury 2014 motorcycle, recorded with structured light; scikit-image carries it."""
    pytest.importorskip("skimage")
    with np.load(str(resources.files("skimage") / "data" / "motorcycle_disp.npz")) as stored:
        return stored["arr_0"]


def plain(depth: np.ndarray, values: str) -> np.ndarray:
    """The formula of the docstring, pixel by pixel."""
    known = sorted(1 / v if values == "distance" else v for v in depth.ravel().tolist() if v > 0)
    if not known:
        return np.zeros_like(depth)
    median = statistics.median_low(known)
    spread = max(sum(abs(v - median) for v in known) / len(known), images.DEPTH_FLAT * median)
    out = [0 if v <= 0 else ((1 / v if values == "distance" else v) - median) / spread for v in depth.ravel().tolist()]
    return np.clip(out, -3, 3).reshape(depth.shape)


@settings(deadline=None, max_examples=60)
@given(depth=MAPS, values=st.sampled_from(["inverse", "distance"]))
def test_normalised_depth_is_the_formula(depth, values):
    found = normalised_depth(depth, values)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, plain(depth, values), atol=1e-5)


@settings(deadline=None, max_examples=30)
@given(depth=MAPS, scale=st.floats(0.001, 1000))
def test_the_unit_of_distances_does_not_matter(depth, scale):
    once = normalised_depth(depth, "distance")
    again = normalised_depth((depth * np.float32(scale)).astype(np.float32), "distance")
    np.testing.assert_allclose(once, again, atol=1e-3)


def test_a_flat_map_says_nothing():
    flat = np.full((6, 7), 5, np.float32)
    flat[0, 0] = np.nextafter(np.float32(5), np.float32(6))
    assert np.abs(normalised_depth(flat, "inverse")).max() < 0.01
    assert not normalised_depth(np.zeros((3, 3), np.float32), "distance").any()


def test_a_measured_map(measured):
    depth = read_depth(measured)
    assert depth.shape == measured.shape
    unknown = ~np.isfinite(measured) | (measured <= 0)
    assert 0.01 < unknown.mean() < 0.5  # what one of the two cameras did not see
    assert np.array_equal(depth == 0, unknown)
    near = normalised_depth(depth, "inverse")
    assert not near[unknown].any()
    known = near[~unknown]
    assert abs(np.median(known)) < 0.01
    assert 0.5 < np.abs(known).mean() <= 1
    # The same scene in distances: nearness is one over distance up to scale, and the order of all pixels is the same.
    distance = np.divide(1000, depth, out=np.zeros_like(depth), where=depth > 0)
    np.testing.assert_allclose(normalised_depth(distance, "distance"), near, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_pictures_are_read_as_they_are_stored(tmp_path, dtype):
    stored = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (9, 14)).astype(dtype)
    Image.fromarray(stored).save(tmp_path / "d.png")
    assert np.array_equal(read_depth(tmp_path / "d.png"), stored.astype(np.float32))
    assert depth_size(tmp_path / "d.png") == (9, 14)


def test_arrays_are_read_and_what_is_not_known_is_zero(tmp_path):
    stored = np.array([[1.5, np.nan, np.inf], [-2, 0, 7]])
    np.save(tmp_path / "d.npy", stored)
    assert read_depth(tmp_path / "d.npy").tolist() == [[1.5, 0, 0], [0, 0, 7]]
    assert depth_size(tmp_path / "d.npy") == (2, 3)
    assert read_depth(stored[..., None]).shape == (2, 3)


def test_what_is_no_depth_map(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "rgb.png")
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY nonsense")
    np.save(tmp_path / "objects.npy", np.array([[{}, 1]], dtype=object), allow_pickle=True)
    np.save(tmp_path / "many.npy", np.zeros((2, 3, 4)))
    with pytest.raises(UnreadableImageError, match="grey PNG of 8 or 16"):
        read_depth(tmp_path / "rgb.png")
    for name in ("broken", "objects"):
        with pytest.raises(UnreadableImageError):
            read_depth(tmp_path / f"{name}.npy")
    for wrong in (read_depth, depth_size):
        with pytest.raises(UnreadableImageError, match=r"\(2, 3, 4\)"):
            wrong(tmp_path / "many.npy")
        with pytest.raises(SourceError if wrong is read_depth else UnreadableImageError):
            wrong(tmp_path / "nowhere.npy")
    with pytest.raises(UnreadableImageError, match="complex"):
        read_depth(np.zeros((2, 2), complex))
