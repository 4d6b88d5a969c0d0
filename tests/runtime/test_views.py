"""Views and their mean against the same done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from figureground import images
from figureground.checks import ArgumentError
from figureground.labels import Label, LabelTree
from figureground.runtime.bundle import Bundle
from figureground.runtime.onnx_segmenter import OnnxSegmenter
from figureground.runtime.segmenter import Segmenter
from figureground.runtime.sizing import Sizing
from figureground.runtime.views import View, augmented, views


class Sided(Segmenter):
    """Not symmetric on purpose: the further right and the redder, the surer; two leaves that mirror one another."""

    def __init__(self) -> None:
        tree = LabelTree([Label("left", (255, 0, 0), flip="right"), Label("right", (0, 0, 255), flip="left")])
        super().__init__("sided", tree, 0.5)

    def network_size(self, height, width):
        return 24, 40

    def probabilities(self, image):
        position = np.linspace(0.1, 0.9, image.shape[1], dtype=np.float32)
        red = image[..., 0] / np.float32(255)
        return np.stack([0.6 * red * position, 0.3 * red * (1 - position)])


@pytest.fixture
def photo():
    return np.random.default_rng(3).integers(0, 256, (24, 40, 3), np.uint8)


def test_a_mirrored_view_is_what_the_mirror_image_says_turned_back(photo):
    inner = Sided()
    said = inner.probabilities(np.ascontiguousarray(photo[:, ::-1]))
    by_hand = np.stack([said[1][:, ::-1], said[0][:, ::-1]])
    np.testing.assert_array_equal(View(inner, mirrored=True).probabilities(photo), by_hand)
    np.testing.assert_allclose(View(inner, mirrored=True).logits(photo), inner.logits(photo[:, ::-1])[::-1, :, ::-1])


def test_flip_is_the_mean_of_both(photo):
    inner = Sided()
    plain, turned = inner.probabilities(photo), View(inner, mirrored=True).probabilities(photo)
    np.testing.assert_allclose(augmented(inner).probabilities(photo), (plain + turned) / 2, atol=1e-6)


def test_the_answer_for_a_mirrored_photo_is_the_mirrored_answer(photo):
    both = augmented(Sided())
    said = both(photo).probabilities
    mirrored = both(np.ascontiguousarray(photo[:, ::-1])).probabilities
    np.testing.assert_allclose(mirrored[::-1, :, ::-1], said, atol=1e-5)


def test_a_network_that_knows_no_sides_is_not_changed(segmenter, photo):
    np.testing.assert_allclose(augmented(segmenter)(photo).probabilities, segmenter(photo).probabilities, atol=1e-6)


def test_scales_are_what_the_network_says_about_resized_photos(color_segmenter):
    # Both sides are multiples of 16 at each scale, and the photo is as the network wants it.
    photo = np.random.default_rng(5).integers(0, 256, (64, 64, 3), np.uint8)
    maps = []
    for side in (32, 64, 96):
        seen = images.resize(photo, (side, side))
        maps.append(images.resize_map(color_segmenter.probabilities(seen), (96, 96)))
    seen = augmented(color_segmenter, flip=False, scales=(0.5, 1, 1.5))
    assert seen.network_size(64, 64) == (64, 64)
    np.testing.assert_allclose(seen.probabilities(photo), np.mean(maps, axis=0), atol=1e-6)


def test_a_constant_photo_says_the_same_at_every_scale(segmenter):
    grey = np.full((50, 70, 3), 130, np.uint8)
    said = augmented(segmenter, scales=(0.5, 1, 2))(grey).probabilities
    np.testing.assert_allclose(said, segmenter(grey).probabilities, atol=1e-6)


def test_the_mean_of_logits(color_segmenter, photo):
    picture = images.resize(photo, color_segmenter.network_size(*photo.shape[:2]))
    logits = [color_segmenter.logits(picture), View(color_segmenter, mirrored=True).logits(picture)]
    mean = np.exp(np.mean(logits, axis=0, dtype=np.float64))
    wanted = mean / (1 + mean.sum(axis=0))
    np.testing.assert_allclose(augmented(color_segmenter, mean="logit").probabilities(picture), wanted, atol=1e-5)


def test_names_and_thresholds(segmenter):
    made = augmented(segmenter, scales=(1, 1.5))
    assert made.name == "bright x1.5 flip"
    assert [member.name for member in made.members] == [
        "bright", "bright mirrored", "bright x1.5", "bright x1.5 mirrored",
    ]  # fmt: skip
    assert made.threshold == segmenter.threshold


def test_what_is_refused(segmenter):
    with pytest.raises(ArgumentError, match="its own sizes"):
        View(Sided(), scale=2)
    for scale in (0, -1, 11, float("nan")):
        with pytest.raises(ArgumentError, match="scale must be"):
            View(segmenter, scale=scale)
    for scales in ((), (1, 1)):
        with pytest.raises(ArgumentError, match="none twice"):
            views(segmenter, scales=scales)


def test_extreme_photos(segmenter):
    made = augmented(segmenter, scales=(0.1, 3))
    for shape in ((1, 1, 3), (1, 300, 3), (300, 1, 3)):
        assert made(np.full(shape, 255, np.uint8)).mask.all()


def test_sizes_that_a_bundle_takes(color_model, color_tree):
    made = OnnxSegmenter(
        Bundle.create(color_model, name="c", labels=color_tree, sizing=Sizing(4096, 16), threshold=0.5, card={})
    )
    assert made.fitting_size(1, 100) == (16, 96)
    assert View(made, scale=0.5).network_size(64, 64) == (32, 32)


@pytest.mark.parametrize("scales", [2.0, "12", None])
def test_what_is_no_list_of_scales(segmenter, scales):
    with pytest.raises(ArgumentError, match=r"scales is .*; give a list of numbers such as \(1, 1\.25\)"):
        augmented(segmenter, scales=scales)
    with pytest.raises(ArgumentError, match=r"scale must be from 0\.1 to 10, not 'a'"):
        augmented(segmenter, scales=["a"])
