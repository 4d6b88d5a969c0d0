"""An ensemble against the mean worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figureground import images
from figureground.checks import ArgumentError
from figureground.labels import Label, LabelTree
from figureground.runtime.bundle import Bundle
from figureground.runtime.ensemble import Ensemble, weighted_mean
from figureground.runtime.onnx_segmenter import OnnxSegmenter
from figureground.runtime.segmenter import Segmenter
from figureground.runtime.sizing import Sizing
from figureground.runtime.views import View


@pytest.fixture
def small(brightness_model, segmenter):
    """The bright network, but seeing photos at half the sides."""
    made = Bundle.create(
        brightness_model, name="small", labels=segmenter.labels, sizing=Sizing(32 * 32, 16), threshold=0.7, card={}
    )
    return OnnxSegmenter(made, threads=1)


class Constant(Segmenter):
    """The same probability everywhere, and a count of how often it was asked."""

    def __init__(self, value: float, size: tuple[int, int] = (8, 8), threshold: float = 0.5) -> None:
        super().__init__(f"constant {value}", LabelTree.person(), threshold)
        self.value, self.size, self.asked = value, size, 0

    def network_size(self, height, width):
        return self.size

    def probabilities(self, image):
        self.asked += 1
        assert image.shape[:2] == self.size
        return np.full((1, *self.size), self.value, np.float32)


def noise(height, width):
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


def test_members_of_several_sizes_see_the_photo_as_they_would_alone(segmenter, small):
    photo = noise(60, 90)
    maps = [images.resize_map(one._run(one._fit(photo), 0.5)._leaves, (48, 80)) for one in (segmenter, small)]
    both = Ensemble([segmenter, small], [3, 1])
    assert both.network_size(60, 90) == (60, 90)
    assert segmenter.network_size(60, 90) == (48, 80)
    np.testing.assert_allclose(both.probabilities(photo), 0.75 * maps[0] + 0.25 * maps[1], atol=1e-6)


def test_members_of_one_size_share_its_picture(segmenter):
    both = Ensemble([segmenter, segmenter])
    assert both.network_size(1200, 1800) == segmenter.network_size(1200, 1800)
    photo = noise(120, 180)
    np.testing.assert_allclose(both(photo).probabilities, segmenter(photo).probabilities, atol=1e-6)


def test_a_large_photo_is_not_kept_larger_than_needed(segmenter, small):
    assert Ensemble([segmenter, small]).network_size(6000, 8000) == (120, 160)  # twice 60 x 80, from 48 x 80 at 2:3


@given(st.lists(st.tuples(st.floats(0.01, 0.99), st.floats(0, 10)), min_size=1, max_size=5))
def test_the_weighted_mean_of_probabilities(drawn):
    values, weights = zip(*drawn, strict=True)
    if sum(weights) < 1e-6:
        return
    said = Ensemble([Constant(value) for value in values], weights)(noise(5, 7)).probabilities
    np.testing.assert_allclose(said, np.average(values, weights=weights), atol=1e-5)


@given(st.lists(st.tuples(st.floats(0.01, 0.99), st.floats(0.1, 10)), min_size=1, max_size=5))
def test_the_weighted_mean_of_logits(drawn):
    values, weights = (np.array(column) for column in zip(*drawn, strict=True))
    said = Ensemble([Constant(value) for value in values], weights, mean="logit")(noise(5, 7)).probabilities
    odds = np.exp(np.average(np.log(values / (1 - values)), weights=weights))
    np.testing.assert_allclose(said, odds / (1 + odds), atol=1e-4)


def test_a_sure_network_is_not_cut_off_in_the_mean_of_logits(segmenter, color_model):
    """0.5 * (255 - 127.5) is far beyond what a float32 probability holds."""
    white = np.full((64, 64, 3), 255, np.uint8)
    said = Ensemble([segmenter, Constant(1e-6, (64, 64))], mean="logit").logits(white)
    assert said == pytest.approx((63.75 - 13.8) / 2, abs=0.1)


def test_a_member_without_weight_is_not_run():
    idle, working = Constant(0.9), Constant(0.2)
    made = Ensemble([idle, working], [0, 2])
    assert made(noise(4, 4)).probabilities == pytest.approx(0.2)
    assert (idle.asked, working.asked) == (0, 1)
    assert made.weights == (0, 1)


def test_names_and_thresholds():
    members = [Constant(0.5, threshold=0.4), Constant(0.6, threshold=0.8)]
    assert Ensemble(members, [3, 1]).threshold == pytest.approx(0.5)
    assert Ensemble(members, threshold=0.3).threshold == 0.3
    assert Ensemble(members).name == "constant 0.5 + constant 0.6"
    assert Ensemble(members, name="two").name == "two"
    assert Ensemble([Ensemble(members), Constant(0.1)])(noise(3, 3)).probabilities == pytest.approx(0.325, abs=1e-6)


def test_the_mean_is_taken_at_the_largest_size():
    rng = np.random.default_rng(0)
    low, high = rng.random((2, 3, 4), np.float32), rng.random((2, 6, 8), np.float32)
    wanted = 0.5 * images.resize_map(low, (6, 8)) + 0.5 * high
    np.testing.assert_allclose(weighted_mean([low, high], [0.5, 0.5]), wanted, atol=1e-6)


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], [1, float("nan")], [float("inf"), 1], [1, 1, 1]], ids=str)
def test_weights_that_do_not_fit(weights):
    with pytest.raises(ArgumentError, match="one number per member"):
        Ensemble([Constant(0.5), Constant(0.6)], weights)


def test_what_is_refused(segmenter):
    with pytest.raises(ArgumentError, match="without members"):
        Ensemble([])
    with pytest.raises(ArgumentError, match="did you mean 'logit'"):
        Ensemble([segmenter], mean="logits")
    other = Constant(0.5)
    other.labels = LabelTree([Label("cat", (1, 2, 3))])
    with pytest.raises(ArgumentError, match=r"'constant 0\.5' has other labels than 'bright'"):
        Ensemble([segmenter, other])


@pytest.fixture
def peaked(brightness_model):
    """Two bright networks, of which the second is less sure and drops what it is not half sure of."""

    def made(peak):
        bundle = Bundle.create(
            brightness_model,
            name=f"peak {peak}",
            labels=LabelTree.person(),
            sizing=Sizing(32 * 32, 16),
            threshold=0.5,
            peak=peak,
            card={},
        )
        return OnnxSegmenter(bundle, threads=1)

    return made(0.5), made(0.9)


def test_unsure_areas_are_dropped_from_a_mean_of_logits(peaked):
    """A grey square of probability 0.78 and one of 0.95, for peaks of 0.5 and 0.9: the mean takes 0.7 or 0.8."""
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[4:10, 4:10], picture[20:26, 20:26] = 130, 133
    for weights, peak, kept in (([1, 1], 0.7, True), ([1, 3], 0.8, False)):
        made = Ensemble(peaked, weights, mean="logit")
        assert made.peak == pytest.approx(peak)
        said = made.probabilities(picture)[0]
        assert said[22, 22] == pytest.approx(0.94, abs=0.01)
        assert said[6, 6] == pytest.approx(0.777 if kept else 0, abs=0.01)
        assert made.logits(picture)[0, 6, 6] == pytest.approx(1.25)
        np.testing.assert_array_equal(
            View(made, mirrored=True).probabilities(picture[:, ::-1].copy())[0, :, ::-1], said
        )
        assert View(made, mirrored=True).peak == made.peak
    each = Ensemble(peaked).probabilities(picture)[0]
    assert each[6, 6] == pytest.approx(0.777 / 2, abs=0.01)  # the second drops it on its own
    assert Ensemble(peaked).peak == 0


@pytest.mark.parametrize("weights", [["a"], 3, [None], [10**400]], ids=lambda value: str(value)[:9])
def test_weights_that_are_no_numbers(weights):
    with pytest.raises(ArgumentError, match="one number per member"):
        Ensemble([Constant(0.5)], weights)


def test_a_name_is_no_member():
    with pytest.raises(ArgumentError, match="'person' is no segmenter; give what load"):
        Ensemble(["person"])
