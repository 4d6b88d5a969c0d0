"""Sizes and pictures that a graph computes are those of the runtime, to the last bit."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from figureground import images
from figureground.export.growing import GrowingGraph
from figureground.export.resampling import network_size, resized_maps, resized_picture
from figureground.runtime.sizing import Sizing

SIZES = st.tuples(st.integers(1, 90), st.integers(1, 90))


def session(graph, inputs, output, kind):
    made = helper.make_graph(
        graph.nodes, "made", inputs, [helper.make_tensor_value_info(output, kind, None)], graph.constants
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def resizing(function, kind):
    graph = GrowingGraph()
    size = helper.make_tensor_value_info("size", TensorProto.INT64, [2])
    values = helper.make_tensor_value_info("values", kind, [None] * 4)
    return session(graph, [values, size], function(graph, "values", "size"), kind)


PICTURES = resizing(resized_picture, TensorProto.UINT8)
MAPS = resizing(resized_maps, TensorProto.FLOAT)


def columns_first(old, new):
    """Whether Pillow 13 resizes columns before rows; earlier ones never do."""
    return new[0] < old[0] and 2 * (new[1] - old[1]) > new[0] - old[0]


@settings(max_examples=80, deadline=None)
@given(old=SIZES, new=SIZES, seed=st.integers(0, 9))
def test_pictures_are_pillows(old, new, seed):
    # From six times on `images.resize` lets Pillow do it in two steps.
    new = max(new[0], old[0] // 5 + 1), max(new[1], old[1] // 5 + 1)
    pictures = np.random.default_rng(seed).integers(0, 256, (2, *old, 3), np.uint8)
    (found,) = PICTURES.run(None, {"values": pictures, "size": np.array(new)})
    wanted = np.stack([images.resize(one, new) for one in pictures])
    most = 1 if columns_first(old, new) else 0
    assert np.abs(found.astype(int) - wanted).max() <= most


@pytest.mark.parametrize("size", [(600, 800), (901, 675), (520, 520)])
def test_photos_are_pillows_to_the_last_bit(size):
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    for area in (416 * 416, 224 * 224):
        new = Sizing(area).network_size(*size)
        (found,) = PICTURES.run(None, {"values": picture[None], "size": np.array(new)})
        np.testing.assert_array_equal(found[0], images.resize(picture, new))


@settings(max_examples=30, deadline=None)
@given(old=SIZES, new=SIZES, seed=st.integers(0, 9))
def test_maps_are_pillows(old, new, seed):
    maps = np.random.default_rng(seed).random((2, 3, *old)).astype(np.float32)
    (found,) = MAPS.run(None, {"values": maps, "size": np.array(new)})
    np.testing.assert_allclose(found, images.resize_map(maps, new), atol=1e-6)


@pytest.mark.parametrize("scales", [(), (1.25,), (0.75,), (1.5, 0.7)])
@pytest.mark.parametrize("sizing", [Sizing(416 * 416), Sizing(224 * 224, 16, 2.0), Sizing(1000, 1)])
def test_sizes_are_the_rules(sizing, scales):
    graph = GrowingGraph()
    output = network_size(graph, "image", sizing, scales)
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])
    rule = session(graph, [image], output, TensorProto.INT64)
    for height, width in np.random.default_rng(0).integers(1, 700, (40, 2)).tolist():
        (found,) = rule.run(None, {"image": np.zeros((1, height, width, 3), np.uint8)})
        wanted = sizing.network_size(height, width)
        for scale in scales:
            m = sizing.multiple
            wanted = tuple(max(1, round(round(side * scale) / m)) * m for side in wanted)
        assert tuple(found.tolist()) == wanted
