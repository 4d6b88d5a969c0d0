"""Several ONNX models of one interface in one graph: shared input, other sizes, mirrored copies, weighted means."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, version_converter

from figureground.errors import NetworkError
from figureground.export.growing import GrowingGraph
from figureground.export.onnx_model import OPSET
from figureground.export.resampling import resized_maps

_LAST = int(np.iinfo(np.int64).min)
"""Where a slice with a negative step ends so that the first element is in it."""
_SURE = 1e-7
"""As near to 0 as a probability that is enlarged gets: that is as near as the runtime tells it from 0."""


class Joiner(GrowingGraph):
    """A graph that grows: add the models, combine their logits, take the model.

    Args:
        partners: for each leaf the one that it becomes in a mirror, `LabelTree.flip_permutation()`.
    """

    def __init__(self, partners: Sequence[int]) -> None:
        super().__init__()
        self._partners = list(partners)
        self._functions: list[onnx.FunctionProto] = []
        self._opsets: dict[str, int] = {}
        self._ir_version = 0
        self._logits: dict[tuple[Hashable, bool], str] = {}
        self._constants_of: dict[bytes, str] = {}
        self._copies = 0

    def add(self, key: Hashable, model: bytes, turns: set[bool], picture: str = "image") -> None:
        """Put a model into the graph, as often as it is to be asked, in one batch. Its weights are in the graph once.

        Args:
            key: what `logits` will call it.
            model: of a bundle.
            turns: whether it is asked about the picture (False), its mirror image (True), or both.
            picture: the name of what it sees, uint8 (N, h, w, 3).

        Raises:
            NetworkError: it cannot be brought to our operator set.
        """
        prefix = f"m{self._copies}/"
        self._copies += 1
        proto = compose.add_prefix(_at_our_operators(model), prefix)
        for entry in proto.opset_import:
            self._opsets[entry.domain] = max(entry.version, self._opsets.get(entry.domain, 0))
        self._ir_version = max(self._ir_version, proto.ir_version)
        self._functions.extend(proto.functions)
        ordered = sorted(turns)
        pictures = [self._mirrored(picture, axis=2) if turn else picture for turn in ordered]
        batch = pictures[0] if len(pictures) == 1 else self.node("Concat", pictures, axis=0)
        self.nodes.append(helper.make_node("Identity", [batch], [f"{prefix}image"]))
        self._share_constants(proto.graph, model, prefix)
        self.nodes.extend(proto.graph.node)
        found = [f"{prefix}logits"] if len(ordered) == 1 else self._halves(f"{prefix}logits")
        for turn, logits in zip(ordered, found, strict=True):
            self._logits[key, turn] = self._back(logits) if turn else logits

    def logits(self, key: Hashable, *, mirrored: bool) -> str:
        """The name of a model's logits for the picture, or for its mirror image turned back, (N, K, H, W)."""
        return self._logits[key, mirrored]

    def largest_size(self, maps: Sequence[str]) -> str:
        """(height, width) of the largest of several maps, the first of equal ones: int64 (2,)."""
        largest, most = "", ""
        for one in maps:
            size = self.node("Slice", [self.node("Shape", [one]), self.integers(2), self.integers(4)])
            pixels = self.node("ReduceProd", [size], keepdims=1)
            if not largest:
                largest, most = size, pixels
                continue
            larger = self.node("Greater", [pixels, most])
            largest, most = self.node("Where", [larger, size, largest]), self.node("Max", [pixels, most])
        return largest

    def enlarged_logits(self, logits: str, size: str) -> str:
        """Logits at another size."""
        return resized_maps(self, logits, size)

    def enlarged_probabilities(self, logits: str, size: str) -> str:
        """The logits of probabilities that were brought to another size."""
        chances = self.node("Softmax", [self._with_background(logits)], axis=1)
        chances = self.node("Max", [resized_maps(self, chances, size), self.constant(np.float32(_SURE))])
        logs = self.node("Log", [chances])
        return self.node("Sub", [self._channels(logs, 1, 1 + len(self._partners)), self._channels(logs, 0, 1)])

    def mean_of_logits(self, maps: Sequence[str], weights: Sequence[float]) -> str:
        """The weighted mean of logits; `weights` sum to 1."""
        scaled = [
            self.node("Mul", [one, self.constant(np.float32(weight))])
            for one, weight in zip(maps, weights, strict=True)
        ]
        return scaled[0] if len(scaled) == 1 else self.node("Sum", scaled)

    def mean(self, maps: Sequence[str], weights: Sequence[float]) -> str:
        """The logits of the weighted mean of probabilities.

        In logarithms throughout: log p_k and log p_background are each a log-sum-exp over the members, so that what is
        nearly sure is not rounded to being sure.
        """
        if len(maps) == 1:
            return maps[0]
        weighted = []
        for one, weight in zip(maps, weights, strict=True):
            logs = self.node("LogSoftmax", [self._with_background(one)], axis=1)
            shifted = self.node("Add", [logs, self.constant(np.float32(np.log(weight)))])
            weighted.append(self.node("Unsqueeze", [shifted, self.integers(0)]))
        stacked = self.node("Concat", weighted, axis=0)
        logs = self.node("ReduceLogSumExp", [stacked, self.integers(0)], keepdims=0)
        every_leaf = 1 + len(self._partners)
        return self.node("Sub", [self._channels(logs, 1, every_leaf), self._channels(logs, 0, 1)])

    def model(self, logits: str) -> onnx.ModelProto:
        """The model whose output is the map of that name."""
        self.nodes.append(helper.make_node("Identity", [logits], ["logits"]))
        graph = helper.make_graph(
            self.nodes,
            "joined",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", len(self._partners), "h", "w"])],
            self.constants,
        )
        opsets = [helper.make_opsetid(domain, version) for domain, version in self._opsets.items()]
        return helper.make_model(
            graph, opset_imports=opsets, functions=self._functions, ir_version=self._ir_version, producer_name=""
        )

    def _share_constants(self, graph: onnx.GraphProto, model: bytes, prefix: str) -> None:
        """Take a model's constants, or where an earlier copy has brought them have `graph` use those."""
        first = self._constants_of.setdefault(model, prefix)
        if first == prefix:
            self.constants.extend(graph.initializer)
            return
        names = {tensor.name: first + tensor.name.removeprefix(prefix) for tensor in graph.initializer}
        _rename_inputs(graph.node, names)

    def _with_background(self, logits: str) -> str:
        background = self.node("Mul", [self._channels(logits, 0, 1), self.constant(np.float32(0))])
        return self.node("Concat", [background, logits], axis=1)

    def _mirrored(self, name: str, axis: int) -> str:
        return self.node("Slice", [name, *(self.integers(value) for value in (-1, _LAST, axis, -1))])

    def _back(self, logits: str) -> str:
        turned = self._mirrored(logits, axis=3)
        if self._partners == sorted(self._partners):
            return turned
        return self.node("Gather", [turned, self.integers(*self._partners)], axis=1)

    def _halves(self, name: str) -> list[str]:
        outputs = [self.name(), self.name()]
        self.nodes.append(helper.make_node("Split", [name], outputs, axis=0, num_outputs=2))
        return outputs

    def _channels(self, name: str, start: int, end: int) -> str:
        return self.node("Slice", [name, *(self.integers(value) for value in (start, end, 1))])


def _at_our_operators(model: bytes) -> onnx.ModelProto:
    proto = onnx.load_model_from_string(model)
    if next(entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")) >= OPSET:
        return proto
    try:
        return version_converter.convert_version(proto, OPSET)
    except (RuntimeError, ValueError) as error:
        raise NetworkError(f"a member cannot be converted to operator set {OPSET}: {error}") from error


def _rename_inputs(nodes: Sequence[onnx.NodeProto], names: Mapping[str, str]) -> None:
    for node in nodes:
        for place, name in enumerate(node.input):
            node.input[place] = names.get(name, name)
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                _rename_inputs(inner.node, names)
