"""An ONNX graph that grows node by node, with names that nothing else has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class GrowingGraph:
    """Nodes and constants in the order in which they were asked for; what stands for a value is its name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []
        self._count = 0

    def node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """The output of a new node of one output."""
        output = self.name()
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def constant(self, value: np.ndarray | np.generic) -> str:
        """A constant."""
        name = self.name()
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def integers(self, *values: int) -> str:
        """A constant int64 (values,)."""
        return self.constant(np.array(values, dtype=np.int64))

    def real(self, value: float) -> str:
        """A constant float64 ()."""
        return self.constant(np.float64(value))

    def name(self) -> str:
        """A name that nothing else has."""
        self._count += 1
        return f"join/{self._count}"
