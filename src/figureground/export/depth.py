"""A network that sees depth as an ONNX model, and an estimator joined to it, so that a bundle stays one file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from figureground import images
from figureground.depth.graph import at_operator_set, operator_set

Pixels = NDArray[np.uint8]


def with_estimator(model: bytes, graph: bytes) -> bytes:
    """One model, `image` -> `logits`, of a network that wants `depth` too and an estimator's graph.

    The estimator's weights stay as they are, whatever storage those of the network have.

    Args:
        model: `image` uint8 (N, H, W, 3) and `depth` float32 (N, H, W) -> `logits`.
        graph: of `depth.depth_graph`: `image` -> `depth`.

    Raises:
        NetworkError: one of them cannot be brought to the other's operator set.
    """
    network, estimator = onnx.load_model_from_string(model), onnx.load_model_from_string(graph)
    version = max(operator_set(network), operator_set(estimator))
    network, estimator = at_operator_set(network, version), at_operator_set(estimator, version)
    opsets = {entry.domain: entry for entry in (*estimator.opset_import, *network.opset_import)}
    joined = helper.make_graph(
        [*_apart(estimator.graph, network.graph), *network.graph.node],
        "segmentation with depth",
        [value for value in network.graph.input if value.name == "image"],
        list(network.graph.output),
        [*estimator.graph.initializer, *network.graph.initializer],
    )
    whole = helper.make_model(
        joined,
        opset_imports=list(opsets.values()),
        functions=[*estimator.functions, *network.functions],
        ir_version=max(network.ir_version, estimator.ir_version),
        producer_name="",
    )
    return bytes(whole.SerializeToString())


def example_depths(pictures: Sequence[Pixels]) -> list[NDArray[np.float32]]:
    """Smooth made-up depth maps for pictures, normalised, the last one unknown all over; to compare two models on."""
    rng = np.random.default_rng(0)
    coarse = [rng.uniform(1, 9, (5, 7)).astype(np.float32) for _ in pictures[1:]] + [np.zeros((5, 7), np.float32)]
    maps = zip(coarse, pictures, strict=True)
    return [images.resize_map(images.normalised_depth(one, "inverse"), picture.shape[:2]) for one, picture in maps]


def _apart(estimator: onnx.GraphProto, network: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The estimator's nodes; in its constants too no name is also one of the network's, but for `image` and `depth`."""
    taken = {tensor.name for tensor in network.initializer} | {name for node in network.node for name in node.output}
    renamed: dict[str, str] = {}
    for tensor in estimator.initializer:
        if tensor.name in taken:
            renamed[tensor.name] = tensor.name = f"estimator.{tensor.name}"
    for node in estimator.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name in renamed or (names is node.output and name in taken):
                    names[place] = renamed.setdefault(name, f"estimator.{name}")
    return list(estimator.node)
