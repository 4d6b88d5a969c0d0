"""Several ONNX models of one interface in one graph: shared input, mirrored copies, weighted means of their logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper, version_converter

from figureground.errors import NetworkError
from figureground.export.onnx_model import OPSET

_LAST = int(np.iinfo(np.int64).min)
"""Where a slice with a negative step ends so that the first element is in it."""


class Joiner:
    """A graph that grows: ask for what is needed of each model, add the models, combine their logits, take the model.

    Args:
        partners: for each leaf the one that it becomes in a mirror, `LabelTree.flip_permutation()`.
    """

    def __init__(self, partners: Sequence[int]) -> None:
        self._partners = list(partners)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[TensorProto] = []
        self._functions: list[onnx.FunctionProto] = []
        self._opsets: dict[str, int] = {}
        self._ir_version = 0
        self._turns: dict[str, tuple[bool, ...]] = {}
        self._logits: dict[tuple[str, bool], str] = {}
        self._count = 0

    def ask(self, key: str, turns: set[bool]) -> None:
        """Say about what the model `key` is to be asked: the photo (False), its mirror image (True), or both."""
        self._turns[key] = tuple(sorted(turns))

    def add(self, key: str, model: bytes) -> None:
        """Put a model into the graph, as often as `ask` said, in one batch.

        Raises:
            NetworkError: it cannot be brought to our operator set.
        """
        proto = onnx.load_model_from_string(model)
        if next(entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")) < OPSET:
            try:
                proto = version_converter.convert_version(proto, OPSET)
            except (RuntimeError, ValueError) as error:
                raise NetworkError(f"a member cannot be converted to operator set {OPSET}: {error}") from error
        prefix = f"m{len({name for name, _ in self._logits})}/"
        proto = compose.add_prefix(proto, prefix)
        for entry in proto.opset_import:
            self._opsets[entry.domain] = max(entry.version, self._opsets.get(entry.domain, 0))
        self._ir_version = max(self._ir_version, proto.ir_version)
        self._functions.extend(proto.functions)
        turns = self._turns[key]
        pictures = [self._mirrored("image", axis=2) if turn else "image" for turn in turns]
        batch = pictures[0] if len(pictures) == 1 else self._node("Concat", pictures, axis=0)
        self._nodes.append(helper.make_node("Identity", [batch], [f"{prefix}image"]))
        self._nodes.extend(proto.graph.node)
        self._constants.extend(proto.graph.initializer)
        found = [f"{prefix}logits"] if len(turns) == 1 else self._halves(f"{prefix}logits")
        for turn, logits in zip(turns, found, strict=True):
            self._logits[key, turn] = self._back(logits) if turn else logits

    def logits(self, key: str, *, mirrored: bool) -> str:
        """The name of a model's logits for the photo, or for its mirror image turned back, (N, K, H, W)."""
        return self._logits[key, mirrored]

    def mean_of_logits(self, maps: Sequence[str], weights: Sequence[float]) -> str:
        """The weighted mean of logits; `weights` sum to 1."""
        scaled = [
            self._node("Mul", [one, self._constant(np.float32(weight))])
            for one, weight in zip(maps, weights, strict=True)
        ]
        return scaled[0] if len(scaled) == 1 else self._node("Sum", scaled)

    def mean(self, maps: Sequence[str], weights: Sequence[float]) -> str:
        """The logits of the weighted mean of probabilities.

        In logarithms throughout: log p_k and log p_background are each a log-sum-exp over the members, so that what is
        nearly sure is not rounded to being sure.
        """
        if len(maps) == 1:
            return maps[0]
        weighted = []
        for one, weight in zip(maps, weights, strict=True):
            background = self._node("Mul", [self._channels(one, 0, 1), self._constant(np.float32(0))])
            logs = self._node("LogSoftmax", [self._node("Concat", [background, one], axis=1)], axis=1)
            shifted = self._node("Add", [logs, self._constant(np.float32(np.log(weight)))])
            weighted.append(self._node("Unsqueeze", [shifted, self._integers(0)]))
        stacked = self._node("Concat", weighted, axis=0)
        logs = self._node("ReduceLogSumExp", [stacked, self._integers(0)], keepdims=0)
        every_leaf = 1 + len(self._partners)
        return self._node("Sub", [self._channels(logs, 1, every_leaf), self._channels(logs, 0, 1)])

    def model(self, logits: str) -> onnx.ModelProto:
        """The model whose output is the map of that name."""
        self._nodes.append(helper.make_node("Identity", [logits], ["logits"]))
        graph = helper.make_graph(
            self._nodes,
            "joined",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", len(self._partners), "H", "W"])],
            self._constants,
        )
        opsets = [helper.make_opsetid(domain, version) for domain, version in self._opsets.items()]
        return helper.make_model(
            graph, opset_imports=opsets, functions=self._functions, ir_version=self._ir_version, producer_name=""
        )

    def _mirrored(self, name: str, axis: int) -> str:
        return self._node("Slice", [name, *(self._integers(value) for value in (-1, _LAST, axis, -1))])

    def _back(self, logits: str) -> str:
        turned = self._mirrored(logits, axis=3)
        if self._partners == sorted(self._partners):
            return turned
        return self._node("Gather", [turned, self._integers(*self._partners)], axis=1)

    def _halves(self, name: str) -> list[str]:
        outputs = [self._name(), self._name()]
        self._nodes.append(helper.make_node("Split", [name], outputs, axis=0, num_outputs=2))
        return outputs

    def _channels(self, name: str, start: int, end: int) -> str:
        return self._node("Slice", [name, *(self._integers(value) for value in (start, end, 1))])

    def _node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        output = self._name()
        self._nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def _constant(self, value: np.ndarray | np.generic) -> str:
        name = self._name()
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _integers(self, *values: int) -> str:
        return self._constant(np.array(values, dtype=np.int64))

    def _name(self) -> str:
        self._count += 1
        return f"join/{self._count}"
