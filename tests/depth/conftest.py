"""A tiny random depth network, a photo whose depth was measured, and another whose depth was not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper


def tiny_network(
    size: Sequence[int | str] = ("h", "w"), *, rank: int = 4, opset: int = 17, kind: int = TensorProto.FLOAT, seed=0
) -> onnx.ModelProto:
    """Two random convolutions, the first of stride 2: (n, 3, h, w) -> (n, 1, h / 2, w / 2), or of rank 3."""
    rng = np.random.default_rng(seed)
    wide = rng.normal(size=(8, 3, 3, 3)).astype(helper.tensor_dtype_to_np_dtype(kind))
    narrow = rng.normal(size=(1, 8, 3, 3)).astype(wide.dtype)
    nodes = [
        helper.make_node("Conv", ["pixels", "wide"], ["a"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "narrow"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Squeeze" if rank == 3 else "Identity", ["c", "one"][: 5 - rank], ["said"]),
    ]
    shape = ["n", 1, "y", "x"] if rank == 4 else ["n", "y", "x"]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("pixels", kind, ["n", 3, *size])],
        [helper.make_tensor_value_info("said", kind, shape)],
        [numpy_helper.from_array(value, name) for name, value in (("wide", wide), ("narrow", narrow))]
        + [numpy_helper.from_array(np.array([1]), "one")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.fixture(scope="session")
def network() -> Callable[..., onnx.ModelProto]:
    return tiny_network


@pytest.fixture(scope="session")
def network_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("estimators") / "tiny.onnx"
    onnx.save(tiny_network(), path)
    return path


@pytest.fixture(scope="session")
def picture() -> np.ndarray:
    """Smooth noise, uint8 (96, 160, 3)."""
    from PIL import Image

    coarse = np.random.default_rng(0).integers(0, 256, (7, 11, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((160, 96), Image.Resampling.BICUBIC))
