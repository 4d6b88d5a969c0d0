"""Tiles against the whole: exact for a network that looks no further than it may, and blended without seams."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from figureground import images, load
from figureground.checks import ArgumentError
from figureground.labels import LabelTree
from figureground.runtime.blending import starts, window
from figureground.runtime.bundle import Bundle
from figureground.runtime.onnx_segmenter import OnnxSegmenter
from figureground.runtime.segmenter import Segmenter
from figureground.runtime.sizing import Sizing
from figureground.runtime.tiled import Tiled

PHOTO = Path(__file__).parents[2] / "src" / "figureground" / "demo" / "astronaut.jpg"


@pytest.fixture(scope="module")
def blurred():
    """A linear network that looks three pixels around: a 7x7 convolution with zeros outside the picture."""
    rng = np.random.default_rng(2)
    weights = (rng.normal(size=(1, 3, 7, 7)) / 300).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["channels_first"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["channels_first", "weights"], ["logits"], pads=[3, 3, 3, 3]),
    ]
    graph = helper.make_graph(
        nodes,
        "blurred",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 1, "H", "W"])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    bundle = Bundle.create(
        model.SerializeToString(),
        name="blurred",
        labels=LabelTree.person(),
        sizing=Sizing(96 * 96, 32),
        threshold=0.5,
        card={},
    )
    return OnnxSegmenter(bundle, threads=1)


def noise(height, width):
    return np.random.default_rng(height + width).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("tile", [64, 96, 160, 224, None], ids=str)
@pytest.mark.parametrize("shape", [(192, 192), (120, 400), (317, 251)], ids=str)
def test_tiles_of_a_linear_network_equal_the_whole(blurred, tile, shape):
    """A quarter of the overlap of a quarter of 64 pixels is 4: more than the 3 that this network looks around."""
    photo = noise(*shape)
    tiled = Tiled(blurred, zoom=2.0, tile=tile, trust="tiles")
    size = tiled.network_size(*shape)
    picture = images.resize(photo, size)
    assert size[0] * size[1] > 1.5 * 96 * 96
    np.testing.assert_allclose(tiled.probabilities(picture), blurred.probabilities(picture), atol=1e-6)


@pytest.mark.parametrize("tile", [64, 96, 160, None], ids=str)
def test_detail_is_added_to_what_the_whole_says(blurred, tile):
    """By hand: the whole at the network's size, enlarged, and what the large picture has beyond that."""
    photo = noise(317, 251)
    tiled = Tiled(blurred, zoom=2.0, tile=tile)
    size = tiled.network_size(317, 251)
    picture = images.resize(photo, size)
    small = blurred.network_size(*size)
    whole = blurred.probabilities(images.resize(picture, small))
    large = blurred.probabilities(picture)
    detail = large - images.resize_map(images.resize_map(large, small), size)
    wanted = np.clip(images.resize_map(whole, size) + detail, 0, 1)
    np.testing.assert_allclose(tiled.probabilities(picture), wanted, atol=1e-5)


def test_the_shipped_network_says_nearly_the_same_with_any_tiles():
    photo = images.read(PHOTO)
    photo = images.resize(photo, (2 * photo.shape[0], 2 * photo.shape[1]))
    said = []
    for side in (256, 384, 512):
        tiled = Tiled(load("person"), zoom=2, tile=side)
        said.append(tiled.probabilities(images.resize(photo, tiled.network_size(*photo.shape[:2]))).sum(axis=0))
    for one, other in combinations(said, 2):
        assert np.abs(one - other).mean() < 0.003
        assert ((one >= 0.5) != (other >= 0.5)).mean() < 0.003


def test_tiles_cannot_lose_what_the_whole_sees():
    """A network that calls a picture person only where it sees an edge: a tile inside the disk sees none."""

    class Context(Segmenter):
        def network_size(self, height, width):
            return 64, 64

        def fitting_size(self, height, width):
            return height // 32 * 32, width // 32 * 32

        def probabilities(self, image):
            sees_edge = image.min() != image.max()
            return (image[None, ..., 0] > 127).astype(np.float32) * np.float32(sees_edge)

    rows, columns = np.ogrid[:256, :256]
    disk = (rows - 128) ** 2 + (columns - 128) ** 2 < 110**2
    photo = np.repeat((disk * np.uint8(255))[..., None], 3, axis=2)
    context = Context("context", LabelTree.person(), 0.5)
    alone = Tiled(context, zoom=4, trust="tiles")(photo).mask
    anchored = Tiled(context, zoom=4)(photo).mask
    plain = context(photo).mask
    assert (alone != disk).sum() > 2000
    assert (anchored != disk).sum() < 0.8 * (plain != disk).sum()


class Seen(Segmenter):
    """One half everywhere; takes only pictures of the size that it asks for."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__("seen", LabelTree.person(), 0.5)
        self.size = size

    def network_size(self, height, width):
        return self.size

    def probabilities(self, image):
        assert image.shape[:2] == self.size
        return np.full((1, *self.size), 0.5, np.float32)


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([32, 50, 64, None]), st.floats(0, 0.5))
@settings(max_examples=40)
def test_every_pixel_is_covered_whatever_the_sizes(height, width, tile, overlap):
    tiled = Tiled(Seen((48, 64)), zoom=4.0, tile=tile, overlap=overlap)
    said = tiled.probabilities(np.zeros((*tiled.network_size(height, width), 3), np.uint8))
    np.testing.assert_allclose(said, 0.5, atol=1e-6)


def test_the_photo_is_seen_larger_but_not_larger_than_it_is(segmenter):
    assert segmenter.network_size(6000, 8000) == (48, 80)
    assert Tiled(segmenter, zoom=3).network_size(6000, 8000) == (144, 240)
    assert Tiled(segmenter, zoom=3).network_size(72, 120) == (64, 128)  # 1.5 times 48 x 80, in multiples of 16
    assert Tiled(segmenter, zoom=3).network_size(30, 50) == (48, 80)


def test_a_photo_of_any_shape(segmenter):
    for shape in ((1, 1), (1, 500), (500, 1), (333, 777)):
        assert Tiled(segmenter, tile=32)(np.full((*shape, 3), 255, np.uint8)).mask.all()


def test_what_is_refused(segmenter):
    for wrong in ({"zoom": 0.5}, {"zoom": float("nan")}, {"overlap": -0.1}, {"overlap": 0.6}, {"tile": 8}):
        with pytest.raises(ArgumentError, match=f"{next(iter(wrong))} must be"):
            Tiled(segmenter, **wrong)
    with pytest.raises(ArgumentError, match="trust is 'both'; it must be 'whole'"):
        Tiled(segmenter, trust="both")


def test_window_starts_of_the_specification():
    assert starts(1000, 512, 341) == [0, 341, 488]
    assert starts(512, 512, 341) == [0]
    assert starts(100, 512, 341) == [0]


@given(st.integers(1, 300), st.integers(1, 300), st.data())
def test_starts_cover_everything(length, piece, data):
    step = data.draw(st.integers(1, piece))
    found = starts(length, piece, step)
    covered = np.zeros(length, bool)
    for start in found:
        assert 0 <= start < length
        covered[start : start + piece] = True
    assert covered.all()
    assert found == sorted(set(found))


@given(st.integers(1, 100))
def test_two_ends_that_meet_sum_to_one(half):
    overlap = 2 * half
    up = window(3 * overlap, overlap, soft_start=True, soft_end=False)
    down = window(3 * overlap, overlap, soft_start=False, soft_end=True)
    np.testing.assert_allclose(up[:overlap] + down[-overlap:], 1, atol=1e-6)
    assert (up[: overlap // 4] == 0).all()
    assert (up[overlap:] == 1).all()


def test_a_tile_is_a_whole_number_of_pixels(segmenter):
    for tile in (100.5, "64", 64.0):
        with pytest.raises(ArgumentError, match="tile must be a whole number, not"):
            Tiled(segmenter, tile=tile)
