"""Any ONNX depth network as one graph from the picture's bytes to normalised depth of the picture's size.

What stands around the network, its input's size and normalisation and the robust normalisation of its output, becomes
part of the graph. So what training is shown and what a bundle computes is one and the same thing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper, version_converter

from figureground.errors import NetworkError
from figureground.images import DEPTH_CLIP, DEPTH_FLAT, DepthValues

OPSET = 18
_PREFIX = "estimator/"
_TINY = 1e-30
_NEAREST = 1e-6
"""A distance is at least this before it is turned into nearness."""
_LAST = int(np.iinfo(np.int64).max)

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """How an estimator looks at a picture, and what its answer grows with.

    Attributes:
        mean: subtracted from red, green and blue between 0 and 1.
        std: what they are divided by then.
        size: (height, width) that it is shown; None where the network fixes it, or else the picture's own.
        values: `inverse` for nearness (MiDaS, DPT, Depth Anything), `distance` for metres.
    """

    mean: Triple = (0.485, 0.456, 0.406)
    std: Triple = (0.229, 0.224, 0.225)
    size: tuple[int, int] | None = None
    values: DepthValues = "inverse"


def depth_graph(network: onnx.ModelProto, look: Look, *, facts: Mapping[str, str]) -> bytes:
    """The graph `image`, uint8 (N, H, W, 3) -> `depth`, float32 (N, H, W), normalised as `images.normalised_depth`.

    The picture goes in and the answer comes back to the picture's size by bicubic interpolation, as MiDaS does it.

    Args:
        network: float (N, 3, h, w) -> (N, h, w) or (N, 1, h, w), its first output.
        look: how it looks at a picture.
        facts: what the file is to say about the estimator, under these keys.

    Raises:
        NetworkError: another interface, a size that the network does not take, or an operator set that is too new.
    """
    fed, kind, fixed = _interface(network)
    if fixed is not None and look.size not in (None, fixed):
        raise NetworkError(
            f"the depth network takes {fixed[0]}x{fixed[1]} (height x width), not {look.size}",
            remedy="leave estimator.size away",
        )
    body = compose.add_prefix(at_operator_set(network, OPSET), _PREFIX)
    steps = _Steps()
    picture = steps.node("Transpose", steps.node("Cast", "image", to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
    shown = steps.resized(picture, steps.integers(*size)) if (size := look.size or fixed) else picture
    spread = 255 * np.array(look.std, np.float32).reshape(1, 3, 1, 1)
    centre = 255 * np.array(look.mean, np.float32).reshape(1, 3, 1, 1)
    normal = steps.node("Div", steps.node("Sub", shown, steps.constant(centre)), steps.constant(spread))
    steps.nodes.append(helper.make_node("Cast", [normal], [_PREFIX + fed], to=kind))
    steps.nodes.extend(body.graph.node)
    steps.constants.extend(body.graph.initializer)
    raw = steps.node("Cast", body.graph.output[0].name, to=TensorProto.FLOAT)
    steps.normalised(_at_size(steps, raw, look.values))
    graph = helper.make_graph(
        steps.nodes,
        "depth",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, ["N", "H", "W"])],
        steps.constants,
    )
    model = helper.make_model(
        graph,
        opset_imports=body.opset_import,
        functions=body.functions,
        ir_version=max(8, body.ir_version),
        producer_name="",
    )
    helper.set_model_props(model, dict(facts))
    return bytes(model.SerializeToString())


def at_operator_set(model: onnx.ModelProto, version: int) -> onnx.ModelProto:
    """The model at ONNX's operator set `version`, or as it is where it has that or a newer one.

    Raises:
        NetworkError: it cannot be converted.
    """
    if operator_set(model) >= version:
        return model
    try:
        return version_converter.convert_version(model, version)
    except (RuntimeError, ValueError) as error:
        raise NetworkError(
            f"the network cannot be converted to operator set {version}: {error}",
            remedy=f"export it again with opset_version={version}",
        ) from error


def operator_set(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operator set that a model uses."""
    return max((int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)


class _Steps:
    """Nodes and constants of a graph that grows, with names nobody else has."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        output = f"depth/{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def constant(self, value: NDArray[Any] | np.generic) -> str:
        name = f"depth/constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def number(self, value: float) -> str:
        return self.constant(np.float32(value))

    def integers(self, *values: int) -> str:
        return self.constant(np.array(values, dtype=np.int64))

    def part(self, name: str, start: int, end: int, axis: int = 0) -> str:
        return self.node("Slice", name, *(self.integers(value) for value in (start, end, axis)))

    def resized(self, x: str, size: str) -> str:
        """(N, C, h, w) -> (N, C, *size), bicubic: what torch's `interpolate(mode="bicubic")` gives."""
        whole = self.node("Concat", self.part(self.node("Shape", x), 0, 2), size, axis=0)
        return self.node("Resize", x, "", "", whole, mode="cubic", cubic_coeff_a=-0.75)

    def normalised(self, x: str) -> None:
        """(N, 1, H, W) -> the output `depth`, (N, H, W)."""
        flat = self.node("Flatten", x, axis=1)
        count = self.part(self.node("Shape", flat), 1, 2)
        half = self.node("Div", self.node("Add", count, self.integers(1)), self.integers(2))
        lower, places = f"depth/{len(self.nodes)}", f"depth/{len(self.nodes)}places"
        self.nodes.append(helper.make_node("TopK", [flat, half], [lower, places], axis=1, largest=0, sorted=1))
        median = self.part(lower, -1, _LAST, axis=1)
        centred = self.node("Sub", flat, median)
        deviation = self.node("ReduceMean", self.node("Abs", centred), self.integers(1), keepdims=1)
        least = self.node("Mul", self.node("Abs", median), self.number(DEPTH_FLAT))
        stretched = self.node("Div", centred, self.node("Max", deviation, least, self.number(_TINY)))
        cut = self.node("Clip", stretched, self.number(-DEPTH_CLIP), self.number(DEPTH_CLIP))
        shape = self.node("Shape", x)
        whole = self.node("Concat", self.part(shape, 0, 1), self.part(shape, 2, 4), axis=0)
        self.nodes.append(helper.make_node("Reshape", [cut, whole], ["depth"]))


def _at_size(steps: _Steps, raw: str, values: DepthValues) -> str:
    """What the network said, (N, h, w) or (N, 1, h, w), as nearness (N, 1, H, W) at the picture's size."""
    sides = steps.part(steps.node("Shape", raw), -2, _LAST)
    said = steps.node("Reshape", raw, steps.node("Concat", steps.integers(-1, 1), sides, axis=0))
    if values == "distance":
        said = steps.node("Reciprocal", steps.node("Max", said, steps.number(_NEAREST)))
    return steps.resized(said, steps.part(steps.node("Shape", "image"), 1, 3))


def _interface(network: onnx.ModelProto) -> tuple[str, int, tuple[int, int] | None]:
    """The name and the type of the network's input, and its (height, width) where they are fixed."""
    held = {tensor.name for tensor in network.graph.initializer}
    inputs = [value for value in network.graph.input if value.name not in held]
    kinds = (TensorProto.FLOAT, TensorProto.FLOAT16)
    sizes: Sequence[int] = []
    if len(inputs) == 1:
        tensor = inputs[0].type.tensor_type
        sizes = [dimension.dim_value for dimension in tensor.shape.dim]  # 0 for a dynamic one
        if tensor.elem_type in kinds and len(sizes) == 4 and sizes[1] in (0, 3):
            fixed = (sizes[2], sizes[3]) if sizes[2] and sizes[3] else None
            return inputs[0].name, tensor.elem_type, fixed
    raise NetworkError(
        f"the depth network has {len(inputs)} inputs, the first of shape {list(sizes)}",
        remedy="it must have one, float (N, 3, height, width): export it so",
    )
