from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from scipy.spatial.distance import cdist

from figureground.checks import ArgumentError
from figureground.labels import Label, LabelTree
from figureground.refine import DenseCrf, agreement, dense_crf, factored_pairs, mean_field, near_pairs, pair_sums
from figureground.refine.factored_pairs import FactoredPairs
from figureground.refine.near_pairs import NearPairs, NearTree

PHOTO = Path(__file__).parents[2] / "src" / "figureground" / "demo" / "astronaut.jpg"


def softmax(scores):
    scores = np.exp(scores - scores.max(0))
    return scores / scores.sum(0)


def brute_force(log_p, image, settings, agree=None):
    """Mean field over the matrix of all pairs; `log_p` (classes, H, W) with the background first."""
    height, width = image.shape[:2]
    place = np.argwhere(np.ones((height, width), bool)).astype(float)
    colors = image.reshape(-1, 3).astype(float)
    total = 0
    for weight, features in (
        (settings.smooth_weight, place / settings.smooth_width),
        (settings.weight, np.concatenate([place / settings.width, colors / settings.color], 1)),
    ):
        kernel = np.exp(-0.5 * cdist(features, features, "sqeuclidean"))
        np.fill_diagonal(kernel, 0)
        if settings.normalisation == "symmetric":
            sums = kernel.sum(1) + 1e-20
            kernel /= np.sqrt(sums[:, None] * sums[None])
        total = total + weight * kernel
    flat = log_p.reshape(len(log_p), -1)
    agree = np.eye(len(flat)) if agree is None else agree
    q = softmax(flat)
    for _ in range(settings.iterations):
        q = softmax(flat + agree @ (q @ total))
    return q.reshape(log_p.shape)


@pytest.mark.parametrize(
    ("normalisation", "corner", "entropy"), [("symmetric", 0.00574705, 0.12906450), ("none", 1.0, 0.0)]
)
def test_the_brute_force_of_these_tests_gives_the_golden_values(normalisation, corner, entropy, hashed):
    log_p = np.log(softmax(4 * hashed("dcrf", 3, 6, 6)))
    image = np.moveaxis((hashed("img", 3, 6, 6) + 0.5) * 255, 0, 2)
    q = brute_force(log_p, image, DenseCrf(normalisation=normalisation))
    assert q[0, 0, 0] == pytest.approx(corner, abs=1e-8)
    assert -(q * np.log(q + 1e-300)).sum(0).mean() == pytest.approx(entropy, abs=1e-8)


def photo(size, corner=(0, 0)):
    pixels = np.asarray(Image.open(PHOTO).convert("RGB").reduce(4))
    return np.ascontiguousarray(pixels[corner[0] :, corner[1] :][: size[0], : size[1]])


def with_background(p):
    return np.log(np.maximum(np.concatenate([1 - p.sum(0, keepdims=True), p]), 1e-5))


WIDTHS = [(80, 13, 10, 3), (20, 13, 5, 3), (10, 30, 5, 1), (80, 20, 3, 5), (5, 30, 4, 2), (40, 10, 10, 3)]
NARROW = [(40, 8, 9, 3), (60, 5, 9, 3), (2, 13, 9, 3), (1, 13, 9, 3), (0.3, 13, 9, 1), (80, 0.5, 9, 3), (3, 2, 9, 3)]


@pytest.fixture
def never_written_out(monkeypatch):
    monkeypatch.setattr(pair_sums, "_WRITTEN_OUT", 0)


@pytest.fixture
def always_factored(monkeypatch, never_written_out):
    monkeypatch.setattr(pair_sums, "_SMALL", 0)
    monkeypatch.setattr(pair_sums, "_NARROW", 0)


@pytest.fixture
def nothing_rare(monkeypatch):
    monkeypatch.setattr(factored_pairs, "_RARE", 0)


def random_map(size):
    return np.random.default_rng(3).random((1, *size))


def noise(size, corner=(0, 0)):
    return np.random.default_rng(sum(corner)).integers(0, 256, (*size, 3), dtype=np.uint8)


@pytest.mark.parametrize(("width", "color", "weight", "smooth_width"), WIDTHS)
def test_factored_sums_stay_near_brute_force(width, color, weight, smooth_width, always_factored, person):
    settings = DenseCrf(width=width, color=color, weight=weight, smooth_width=smooth_width)
    for corner in ((0, 0), (20, 30)):
        image, p = photo((34, 38), corner), person((34, 38))
        expected = brute_force(with_background(p), image, settings)[1:]
        assert np.abs(dense_crf(p, image, settings) - expected).max() < 0.02


@pytest.mark.parametrize("picture", [photo, noise])
@pytest.mark.parametrize("maps", ["person", "random"])
@pytest.mark.parametrize(("width", "color", "weight", "smooth_width"), WIDTHS[:1] + NARROW)
def test_every_setting_is_near_brute_force(
    width, color, weight, smooth_width, maps, picture, never_written_out, person
):
    settings = DenseCrf(width=width, color=color, weight=weight, smooth_width=smooth_width)
    image, p = picture((34, 38)), person((34, 38)) if maps == "person" else random_map((34, 38))
    expected = brute_force(with_background(p), image, settings)[1:]
    assert np.abs(dense_crf(p, image, settings) - expected).max() < 1e-4


@pytest.mark.parametrize(("picture", "width", "color"), [(photo, 80, 0.5), (photo, 2, 13), (noise, 2, 9)])
def test_sums_that_cannot_be_factored_well_enough_are_exact(picture, width, color, always_factored, nothing_rare):
    assert isinstance(pair_sums.pair_sums(picture((40, 50)), width, color), NearPairs)


def test_a_wide_gaussian_of_a_photo_is_factored(always_factored):
    assert isinstance(pair_sums.pair_sums(photo((40, 50)), 80, 13), FactoredPairs)


@pytest.mark.parametrize("kind", ["near", "factored"])
def test_rare_colours_are_summed_exactly(kind, always_factored):
    image = np.full((60, 70, 3), 120, np.uint8)
    image[::7, ::9] = noise((9, 8))
    pairs = pair_sums.pair_sums(image, 30, 13, np.float64)
    if kind == "near":
        pairs = NearPairs(NearTree(image, 30, 13, np.float64))
    exact = pair_sums.AllPairs(image, 30, 13, np.float64)
    values = np.random.default_rng(0).random((2, 60, 70))
    assert isinstance(pairs, NearPairs if kind == "near" else FactoredPairs)
    assert pairs.totals == pytest.approx(exact.totals, rel=5e-3)
    assert pairs.sums(values) == pytest.approx(exact.sums(values), rel=5e-3)


def test_more_pairs_than_can_be_summed_are_refused(always_factored, nothing_rare, monkeypatch):
    monkeypatch.setattr(near_pairs, "_MOST_MEETINGS", 10)
    with pytest.raises(ArgumentError, match="pairs of a picture of 50x40 are too many to be summed exactly"):
        pair_sums.pair_sums(noise((40, 50)), 80, 5)


@pytest.mark.parametrize("normalisation", ["symmetric", "none"])
def test_a_small_picture_is_exact(normalisation, person):
    settings = DenseCrf(width=9, color=40, weight=2, smooth_weight=0.3, normalisation=normalisation)
    image, p = photo((23, 31)), person((23, 31), leaves=3)
    expected = brute_force(with_background(p), image, settings)[1:]
    assert np.abs(dense_crf(p, image, settings) - expected).max() < 1e-5
    assert np.abs(dense_crf(p.astype(np.float32), image, settings) - expected).max() < 2e-4


def test_sums_over_distance_agree_with_scipy():
    values = np.random.default_rng(0).random((2, 150, 301))
    expected = [ndimage.gaussian_filter(v, 4.0, mode="constant", radius=20) * (2 * np.pi * 16) for v in values]
    assert mean_field.Distance(4.0).sums(values) + values == pytest.approx(np.stack(expected), rel=2e-5)


TREE = LabelTree(
    [
        Label("upper", (255, 0, 0)),
        Label("lower", (0, 255, 0)),
        Label("head", (0, 0, 255), parent="upper"),
        Label("torso", (0, 0, 1), parent="upper"),
    ]
)


def test_labels_that_part_low_in_the_tree_contradict_one_another_less():
    # Background, then the leaves in listed order: lower, head, torso.
    expected = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0.5], [0, 0, 0.5, 1]]
    assert [leaf.name for leaf in TREE.leaves] == ["lower", "head", "torso"]
    assert agreement(TREE).tolist() == expected
    assert agreement(LabelTree.person()).tolist() == [[1, 0], [0, 1]]


def test_the_tree_takes_part(person):
    image, p, settings = photo((20, 24)), person((20, 24), leaves=3), DenseCrf(width=9, color=40, weight=2)
    expected = brute_force(with_background(p), image, settings, agreement(TREE))[1:]
    assert np.abs(dense_crf(p, image, settings, labels=TREE) - expected).max() < 1e-5


def test_an_outline_moves_onto_the_edge_of_the_photo():
    image = np.zeros((80, 90, 3), np.uint8)
    image[:, 45:] = 200
    p = np.full((1, 80, 90), 0.1, np.float32)
    p[:, :, 40:] = 0.8  # five columns too far
    q = dense_crf(p, image)[0]
    assert ((q > 0.5) == (image[..., 0] > 0)).all()
    assert q.dtype == np.float32


def test_grey_pictures_and_single_rows():
    for shape in ((1, 1), (1, 9), (70, 80)):
        q = dense_crf(np.full((2, *shape), 0.4), np.full((*shape, 3), 7, np.uint8))
        assert np.isfinite(q).all()
        assert q[0] == pytest.approx(q[1])


def test_bad_arguments_are_refused_by_name():
    image, p = np.zeros((5, 6, 3), np.uint8), np.full((1, 5, 6), 0.5)
    for setting, span in {
        "iterations": "from 1 to 100",
        "smooth_width": "from 0.1 to 1000",
        "width": "from 0.1 to 10000",
        "color": "from 0.1 to 1000",
    }.items():
        with pytest.raises(ArgumentError, match=f"^{setting} must be {span}, not 0"):
            DenseCrf(**{setting: 0})
    with pytest.raises(ArgumentError, match=r"^weight must be from 0 to 1000, not -1"):
        DenseCrf(weight=-1)
    with pytest.raises(ArgumentError, match="smooth_weight must be from 0 to 1000, not nan"):
        DenseCrf(smooth_weight=float("nan"))
    with pytest.raises(ArgumentError, match="normalisation 'both'; it must be"):
        DenseCrf(normalisation="both")
    with pytest.raises(ArgumentError, match="probabilities must be from 0 to 1 everywhere, not from nan"):
        dense_crf(np.full((1, 5, 6), np.nan), image)
    with pytest.raises(ArgumentError, match=r"image is 4x6 .* but probabilities is 5x6"):
        dense_crf(p, image[:4])
    with pytest.raises(ArgumentError, match="image must be uint8"):
        dense_crf(p, image / 255)
    with pytest.raises(ArgumentError, match="1 maps but labels has 3 leaves"):
        dense_crf(p, image, labels=TREE)


@pytest.mark.parametrize("value", [2.5, "5", None])
def test_rounds_are_whole_numbers(value):
    with pytest.raises(ArgumentError, match="iterations must be a whole number, not"):
        DenseCrf(iterations=value)
    with pytest.raises(ArgumentError, match=r"width must be from 0\.1 to 10000, not 'wide'"):
        DenseCrf(width="wide")
