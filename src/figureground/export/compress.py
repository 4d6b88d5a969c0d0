"""Smaller model files at the same speed: weights are stored in fewer bits and widened when the model is loaded.

Every large weight becomes a small-typed constant followed by a Cast (and a Mul with the scale, for int8). ONNX Runtime
folds these at load, so that the network computes in float32 as before; only the rounding of the weights remains.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Storage = Literal["float32", "float16", "int8"]
_SMALLEST = 256
"""Tensors of fewer elements stay as they are: biases and scales cost nothing and matter most."""
_STEPS = 100
"""Levels to a channel's largest weight, in int8. All 127 would be a quarter finer and larger when zipped."""


def compress(model: bytes, storage: Storage) -> bytes:
    """The model with its weights stored as `storage`; int8 is symmetric with one scale per output channel."""
    if storage == "float32":
        return model
    proto = onnx.load_model_from_string(model)
    nodes: list[onnx.NodeProto] = []
    kept: list[TensorProto] = []
    for tensor in proto.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _SMALLEST or values.ndim < 2:
            kept.append(tensor)
            continue
        constants, steps = (_half if storage == "float16" else _byte)(tensor.name, values)
        kept.extend(constants)
        nodes.extend(steps)
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(kept)
    body = list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend([*nodes, *body])
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())


def _half(name: str, values: np.ndarray) -> tuple[list[TensorProto], list[onnx.NodeProto]]:
    small = numpy_helper.from_array(values.astype(np.float16), f"{name}.half")
    return [small], [helper.make_node("Cast", [small.name], [name], to=TensorProto.FLOAT)]


def _byte(name: str, values: np.ndarray) -> tuple[list[TensorProto], list[onnx.NodeProto]]:
    largest = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True)
    scale = np.where(largest > 0, largest / _STEPS, 1).astype(np.float32)
    small = numpy_helper.from_array(np.round(values / scale).astype(np.int8), f"{name}.byte")
    steps = numpy_helper.from_array(scale, f"{name}.scale")
    return [small, steps], [
        helper.make_node("Cast", [small.name], [f"{name}.wide"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{name}.wide", steps.name], [name]),
    ]
