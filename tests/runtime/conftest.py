"""Networks made by hand: what they answer is known for every pixel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import settings
from onnx import TensorProto, helper, numpy_helper

from figureground.labels import Label, LabelTree
from figureground.runtime.bundle import Bundle
from figureground.runtime.onnx_segmenter import OnnxSegmenter
from figureground.runtime.sizing import Sizing

GAIN, MIDDLE = 0.5, 127.5

# A busy machine is no failure of a property.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def _model(weights: np.ndarray, bias: np.ndarray) -> bytes:
    """logits[k] = sum_c weights[k, c] * image[c] + bias[k], pixel by pixel: a 1x1 convolution of the uint8 image."""
    leaves = len(weights)
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["channels_first"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["channels_first", "weights", "bias"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "pixelwise",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", leaves, "H", "W"])],
        [
            numpy_helper.from_array(weights.astype(np.float32).reshape(leaves, 3, 1, 1), "weights"),
            numpy_helper.from_array(bias.astype(np.float32), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


@pytest.fixture(scope="session")
def brightness_model() -> bytes:
    """One leaf: bright pixels are figure. logit = 0.5 * (mean of R, G, B - 127.5)."""
    return _model(np.full((1, 3), GAIN / 3), np.array([-GAIN * MIDDLE]))


@pytest.fixture(scope="session")
def color_model() -> bytes:
    """Three leaves, one for red, green and blue each; black is background."""
    return _model(np.eye(3) * GAIN, np.full(3, -GAIN * MIDDLE))


@pytest.fixture(scope="session")
def color_tree() -> LabelTree:
    """Body -> upper -> (red, green); body -> blue: a tree whose leaves end at different depths."""
    return LabelTree(
        [
            Label("body", (200, 200, 200)),
            Label("upper", (250, 250, 0), parent="body"),
            Label("red", (255, 0, 0), parent="upper"),
            Label("green", (0, 255, 0), parent="upper"),
            Label("blue", (0, 0, 255), parent="body"),
        ]
    )


@pytest.fixture(scope="session")
def bundle(brightness_model: bytes) -> Bundle:
    return Bundle.create(
        brightness_model,
        name="bright",
        labels=LabelTree.person(),
        sizing=Sizing(area=64 * 64, multiple=16),
        threshold=0.5,
        card={"description": "bright pixels", "licences": {"code": "Apache-2.0"}},
        created="2025-01-31T12:00:00Z",
    )


@pytest.fixture
def segmenter(bundle: Bundle) -> OnnxSegmenter:
    return OnnxSegmenter(bundle, threads=1)


@pytest.fixture
def color_segmenter(color_model: bytes, color_tree: LabelTree) -> OnnxSegmenter:
    made = Bundle.create(
        color_model, name="colors", labels=color_tree, sizing=Sizing(64 * 64, 16), threshold=0.5, card={}
    )
    return OnnxSegmenter(made, threads=1)


@pytest.fixture(scope="session")
def half_bright() -> Callable[[int, int], np.ndarray]:
    """A photo whose left half is white and whose right half is black."""

    def make(height: int, width: int) -> np.ndarray:
        photo = np.zeros((height, width, 3), np.uint8)
        photo[:, : width // 2] = 255
        return photo

    return make


@pytest.fixture
def bundle_file(bundle: Bundle, tmp_path: Path) -> Path:
    path = tmp_path / "bright.onnx"
    bundle.save(path)
    return path
