"""Two passes against what the parts of them say, and against a network that sees large things only."""

from __future__ import annotations

import numpy as np
import pytest

from figureground import images
from figureground.checks import ArgumentError
from figureground.labels import LabelTree
from figureground.runtime.people_first import PeopleFirst, _merged
from figureground.runtime.segmenter import Segmenter


class Recorder(Segmenter):
    """Red is person, seen at 64 x 64 whatever the photo; keeps the pictures that it saw."""

    def __init__(self) -> None:
        super().__init__("recorder", LabelTree.person(), 0.5)
        self.seen: list[np.ndarray] = []

    def network_size(self, height, width):
        return 64, 64

    def probabilities(self, image):
        assert image.shape == (64, 64, 3)
        self.seen.append(image)
        return image[None, ..., 0] / np.float32(255)


def scene(*boxes: tuple[int, int, int, int], size: tuple[int, int] = (256, 256)) -> np.ndarray:
    photo = np.zeros((*size, 3), np.uint8)
    for top, left, bottom, right in boxes:
        photo[top:bottom, left:right, 0] = 255
    return photo


def test_a_small_person_is_sharper_than_in_one_pass():
    photo = scene((101, 51, 133, 77))
    true = photo[..., 0] > 0
    inner = Recorder()
    plain, closer = inner(photo).mask, PeopleFirst(inner)(photo).mask
    assert (closer != true).sum() < 0.5 * (plain != true).sum()


def test_the_middle_of_a_crop_is_what_the_crop_alone_says():
    photo = scene((100, 60, 140, 80))
    inner = Recorder()
    said = PeopleFirst(inner, find=0.5).probabilities(photo)
    # 40 rows and a margin of 12 on each side; for the columns 20 + 24, but no less than a quarter of 256.
    top, left, bottom, right = 88, 38, 152, 102
    crop = np.ascontiguousarray(photo[top:bottom, left:right])
    assert len(inner.seen) == 2
    np.testing.assert_array_equal(inner.seen[1], images.resize(crop, (64, 64)))
    np.testing.assert_allclose(said[0, 100:140, 60:80], photo[100:140, 60:80, 0] / 255, atol=1e-6)
    overview = images.resize_map(inner.seen[0][..., 0] / np.float32(255), (256, 256))
    outside = np.ones((256, 256), bool)
    outside[top:bottom, left:right] = False
    np.testing.assert_allclose(said[0][outside], overview[outside], atol=1e-6)


def test_nobody_and_somebody_everywhere_take_one_pass():
    for photo in (scene(), scene((0, 0, 256, 256)), scene((10, 10, 250, 240))):
        inner = Recorder()
        said = PeopleFirst(inner).probabilities(photo)
        assert len(inner.seen) == 1
        np.testing.assert_allclose(said[0], images.resize_map(inner.seen[0][..., 0] / np.float32(255), (256, 256)))


def test_people_far_apart_get_a_crop_each_and_neighbours_share_one():
    inner = Recorder()
    PeopleFirst(inner).probabilities(scene((20, 20, 50, 40), (200, 200, 230, 220)))
    assert len(inner.seen) == 3
    inner = Recorder()
    PeopleFirst(inner).probabilities(scene((20, 20, 50, 40), (20, 50, 50, 70)))
    assert len(inner.seen) == 2
    inner = Recorder()
    PeopleFirst(inner, crops=1).probabilities(scene((20, 20, 40, 40), (200, 190, 230, 220)))
    assert len(inner.seen) == 2
    assert inner.seen[1][32, 32, 0] == 255


def test_boxes_that_overlap_become_one():
    assert _merged([(0, 0, 10, 10), (5, 5, 20, 20), (50, 50, 60, 60)]) == [(0, 0, 20, 20), (50, 50, 60, 60)]
    # The third joins the first two.
    assert _merged([(0, 0, 10, 10), (20, 0, 30, 10), (5, 5, 25, 9)]) == [(0, 0, 30, 10)]
    assert _merged([]) == []


def test_a_large_photo_is_cut_from_four_megapixels(segmenter):
    height, width = PeopleFirst(segmenter).network_size(6000, 8000)
    assert height / width == pytest.approx(0.75, abs=1e-3)
    assert height * width == pytest.approx(4e6, rel=1e-3)
    assert PeopleFirst(segmenter).network_size(375, 500) == (375, 500)


def test_a_photo_of_any_shape(segmenter):
    for shape in ((1, 1), (1, 500), (500, 1), (33, 77)):
        photo = np.zeros((*shape, 3), np.uint8)
        photo[shape[0] // 2, shape[1] // 2] = 255
        assert PeopleFirst(segmenter)(photo).size == shape


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"find": 0}, "find must be"),
        ({"margin": -1}, "margin must be"),
        ({"zoom": (0.5, 4)}, r"zoom\[0\] must be"),
        ({"zoom": (3, 2)}, r"zoom\[1\] must be"),
        ({"crops": 0}, "crops must be"),
    ],
)
def test_what_is_refused(segmenter, wrong, said):
    with pytest.raises(ArgumentError, match=said):
        PeopleFirst(segmenter, **wrong)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"zoom": 2}, "zoom must be two numbers, not 2"),
        ({"zoom": (2,)}, "zoom must be two"),
        ({"zoom": ("a", 3)}, r"zoom\[0\] must be from"),
        ({"crops": 2.5}, "crops must be a whole number"),
        ({"margin": "x"}, "margin must be"),
    ],
    ids=str,
)
def test_what_is_no_such_number(segmenter, given, said):
    with pytest.raises(ArgumentError, match=said):
        PeopleFirst(segmenter, **given)
