from __future__ import annotations

import json

import numpy as np
import pytest

import figureground as fg
from figureground.checks import ArgumentError
from figureground.errors import PredictorError
from figureground.labels import LabelTree
from figureground.refine import guided_upsample, keep_largest
from figureground.runtime.refined import Refined
from figureground.runtime.segmenter import Segmenter


class Brightness(Segmenter):
    """Bright is figure; it sees every photo at 32 x 48."""

    def __init__(self):
        super().__init__("brightness", LabelTree.person(), 0.5)

    def network_size(self, height, width):
        return 32, 48

    def probabilities(self, image):
        assert image.shape == (32, 48, 3)
        return image[None, ..., 0].astype(np.float32) / 255


@pytest.fixture
def photo():
    pixels = np.full((128, 192, 3), 10, np.uint8)
    pixels[20:90, 20:100] = 240
    pixels[100:110, 150:160] = 240
    return pixels


def test_the_answer_is_refined(photo):
    plain, refined = Brightness(), Refined(Brightness(), "largest")
    assert refined.network_size(128, 192) == (32, 48)
    expected = keep_largest(plain(photo).coarse_probabilities[0], 0.5)
    assert np.array_equal(refined(photo).coarse_probabilities[0], expected)
    assert refined(photo).mask[20:90, 20:100].mean() > 0.9
    assert not refined(photo).mask[95:].any()
    assert plain(photo).mask[95:].any()
    assert refined.name == "brightness largest"
    assert [r.is_empty for r in refined.batch([photo, photo * 0])] == [False, True]


def test_a_step_that_enlarges_sees_a_larger_picture(photo):
    refined = Refined(Brightness(), "guided:zoom=3")
    assert refined.network_size(128, 192) == (96, 144)
    assert refined.network_size(64, 96) == (64, 96)  # never above the photo's own size
    assert refined.network_size(16, 24) == (32, 48)  # nor below what the network sees
    large = refined(photo)
    assert large.coarse_probabilities.shape == (1, 96, 144)
    whole = Refined(Brightness(), "guided:zoom=64")(photo).coarse_probabilities[0]
    assert np.array_equal(whole, guided_upsample(Brightness()(photo).coarse_probabilities[0], photo))


def test_steps_come_in_order_and_see_the_enlarged_maps(photo):
    refined = Refined(Brightness(), "guided:zoom=3,crf:iterations=1,largest")
    assert refined(photo).coarse_probabilities.shape == (1, 96, 144)
    assert not refined(photo).mask[95:].any()


def test_refined_can_be_refined_and_its_threshold_moved(photo):
    twice = Refined(Refined(Brightness(), "holes"), [{"name": "specks", "min_area": 0.05}])
    assert not twice(photo).mask[95:].any()
    # Above 240 / 255 nothing is figure, so nothing is an area that could stay.
    assert twice.renamed("strict", 0.97)(photo).is_empty


def test_a_predictor_file_holds_it(tmp_path, bundle_file, photo):
    refined = Refined(fg.load(bundle_file), "crf:width=9,largest")
    path = tmp_path / "refined.json"
    fg.save_predictor(refined, path)
    document = json.loads(path.read_text())["predictor"]
    assert document["kind"] == "refined"
    assert document["steps"][0]["width"] == 9
    assert document["steps"][1] == {"name": "largest"}
    again = fg.load(path)
    assert again.chain == refined.chain
    assert np.array_equal(again(photo).coarse_probabilities, refined(photo).coarse_probabilities)


def test_a_predictor_file_with_a_wrong_step_is_refused(tmp_path, bundle_file):
    path = tmp_path / "refined.json"
    fg.save_predictor(Refined(fg.load(bundle_file), "crf"), path)
    path.write_text(path.read_text().replace('"width": 80.0', '"width": -1'))
    with pytest.raises(PredictorError, match=r"width must be from 0.1 to 10000, not -1"):
        fg.load(path)


def test_wrong_steps_are_refused():
    with pytest.raises(ArgumentError, match="no refinement 'sharpen'"):
        Refined(Brightness(), "sharpen")


@pytest.mark.parametrize("steps", [None, ["holes"], {"name": "crf"}], ids=str)
def test_what_is_no_list_of_steps(segmenter, steps):
    with pytest.raises(ArgumentError, match="refinements are "):
        Refined(segmenter, steps)
