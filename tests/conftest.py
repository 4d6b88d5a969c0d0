"""What tests of several folders need."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from figureground.labels import LabelTree


@pytest.fixture(scope="session")
def photos() -> Path:
    """The folder of real photos. They are not part of the project; FIGUREGROUND_DATA says where they are."""
    folder = os.environ.get("FIGUREGROUND_DATA")
    if not folder:
        pytest.skip("set FIGUREGROUND_DATA to the folder of the photos")
    return Path(folder)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a few hundred bytes that calls bright pixels a person: logit = (mean of R, G and B - 96) / 16."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    from figureground.labels import LabelTree
    from figureground.runtime.bundle import Bundle
    from figureground.runtime.sizing import Sizing

    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["pixels", "middle"], ["centred"]),
        helper.make_node("Mul", ["centred", "slope"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["channels"], perm=[0, 3, 1, 2]),
        helper.make_node("ReduceMean", ["channels"], ["logits"], axes=[1], keepdims=1),
    ]
    constants = [
        helper.make_tensor("middle", TensorProto.FLOAT, [], [96.0]),
        helper.make_tensor("slope", TensorProto.FLOAT, [], [1 / 16]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", "h", "w", 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 1, "h", "w"])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    bundle = Bundle.create(
        model.SerializeToString(),
        name="tiny",
        labels=LabelTree.person(),
        sizing=Sizing(area=128 * 128),
        threshold=0.5,
        card={"description": "calls bright pixels a person; for tests"},
    )
    path = tmp_path_factory.mktemp("bundle") / "tiny.onnx"
    bundle.save(path)
    return path


@pytest.fixture(scope="session")
def tiny_parts_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a few hundred bytes with the tree pascal-person-part; its parts are colours.

    Pixels are taken for the leaf whose corner of the colour cube they are near: see `PART_COLORS`. Black is background.
    """
    onnx = pytest.importorskip("onnx")
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    from figureground.labels import LabelTree
    from figureground.runtime.bundle import Bundle
    from figureground.runtime.sizing import Sizing

    labels = LabelTree.named("pascal-person-part")
    corners = np.array([PART_COLORS[leaf.name] for leaf in labels.leaves], np.float32) / 255
    # For a colour c in the cube, (2c - 1) . (2k - 1) is 3 at the corner k itself and at most 1 at any other.
    weights = (2 * corners - 1) * 16
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["pixels", "scale"], ["scaled"]),
            helper.make_node("Sub", ["scaled", "one"], ["centred"]),
            helper.make_node("MatMul", ["centred", "weights"], ["scores"]),
            helper.make_node("Sub", ["scores", "bias"], ["logits_last"]),
            helper.make_node("Transpose", ["logits_last"], ["logits"], perm=[0, 3, 1, 2]),
        ],
        "tiny_parts",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", "h", "w", 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(corners), "h", "w"])],
        [
            helper.make_tensor("scale", TensorProto.FLOAT, [], [2 / 255]),
            helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
            numpy_helper.from_array(weights.T.copy(), "weights"),
            helper.make_tensor("bias", TensorProto.FLOAT, [], [32.0]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    bundle = Bundle.create(
        model.SerializeToString(),
        name="tiny-parts",
        labels=labels,
        sizing=Sizing(area=128 * 128),
        threshold=0.5,
        card={"description": "calls colours parts; for tests"},
    )
    path = tmp_path_factory.mktemp("bundle") / "tiny-parts.onnx"
    bundle.save(path)
    return path


@pytest.fixture(scope="session")
def near_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that wants a depth map of distances and calls what is near a person: logit = 4 depth - 1."""
    pytest.importorskip("onnx")
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    from figureground.labels import LabelTree
    from figureground.runtime.bundle import Bundle
    from figureground.runtime.depth_input import DepthInput
    from figureground.runtime.sizing import Sizing

    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["depth", "gain"], ["scaled"]),
            helper.make_node("Sub", ["scaled", "bias"], ["map"]),
            helper.make_node("Unsqueeze", ["map", "one"], ["logits"]),
        ],
        "near",
        [
            helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", "h", "w", 3]),
            helper.make_tensor_value_info("depth", TensorProto.FLOAT, ["n", "h", "w"]),
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 1, "h", "w"])],
        [
            numpy_helper.from_array(value, name)
            for name, value in {"gain": np.float32(4), "bias": np.float32(1), "one": np.array([1])}.items()
        ],
    )
    bundle = Bundle.create(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString(),
        name="near",
        labels=LabelTree.person(),
        sizing=Sizing(area=96 * 128),
        threshold=0.5,
        card={"description": "calls near pixels a person; for tests", "parameters": 1},
        depth=DepthInput("distance"),
    )
    path = tmp_path_factory.mktemp("bundle") / "near.onnx"
    bundle.save(path)
    return path


PART_COLORS = {
    "head": (255, 0, 0),
    "torso": (0, 255, 0),
    "up_hand": (0, 0, 255),
    "low_hand": (255, 255, 0),
    "up_leg": (0, 255, 255),
    "low_leg": (255, 0, 255),
}
"""The colours that the network of `tiny_parts_bundle` takes for parts."""


@pytest.fixture(scope="session")
def tree_of() -> Callable[[Sequence[int]], LabelTree]:
    """A function: the parent of each node, -1 for none -> a tree of nodes n0, n1, ... with a colour each."""
    from figureground.labels import Label, LabelTree

    def build(parents: Sequence[int]) -> LabelTree:
        return LabelTree(
            [
                Label(f"n{i}", (i // 65536, i // 256 % 256, i % 256), None if parent < 0 else f"n{parent}")
                for i, parent in enumerate(parents)
            ]
        )

    return build


@pytest.fixture(scope="session")
def random_tree(tree_of) -> Callable[..., LabelTree]:
    """A function (seed, nodes, depth) -> a forest of that many nodes and at most that many levels, in any order."""
    import numpy as np

    def build(seed: int, *, nodes: int, depth: int) -> LabelTree:
        rng = np.random.default_rng(seed)
        parents, depths = [-1], [0]
        while len(parents) < nodes:
            parent = int(rng.integers(-1, len(parents)))
            if parent < 0 or depths[parent] + 1 < depth:
                parents.append(parent)
                depths.append(0 if parent < 0 else depths[parent] + 1)
        order = rng.permutation(nodes)
        place = np.argsort(order)
        return tree_of([int(place[parents[node]]) if parents[node] >= 0 else -1 for node in order])

    return build
