"""What a prediction costs: parameters, and the multiplications with an addition that one photo takes.

ONNX Runtime itself says which shapes went through which node of the graph, so that neither the `onnx` package nor any
guess about sizes is needed. Counted are convolutions and products of matrices, as in most papers; norms, activations,
interpolation and biases count nothing.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.errors import BundleError
from figureground.runtime.bundle import Bundle
from figureground.runtime.onnx_segmenter import OnnxSegmenter
from figureground.runtime.segmenter import Segmenter

__all__ = ["Cost", "cost", "multiply_adds"]

Size = tuple[int, int]
_CONVOLUTIONS = frozenset({"Conv", "ConvInteger"})
_PRODUCTS = frozenset({"MatMul", "MatMulInteger", "Gemm"})
_UNCOUNTED = frozenset({"Einsum", "LSTM", "GRU", "RNN", "Attention", "QLinearConv", "QLinearMatMul"})
"""Nodes that multiply, but not in a way that is counted here."""


@dataclass(frozen=True)
class Cost:
    """What one photo costs; None where it is not known.

    parameters: of all networks that take part, each counted once.
    multiply_adds: of all their runs.
    """

    parameters: int | None
    multiply_adds: int | None


def cost(segmenter: Segmenter, photo: NDArray[np.uint8]) -> Cost:
    """The cost of segmenting `photo`, uint8 (H, W, 3), found by doing it.

    A segmenter that is made of others costs what they do, as often as each is run. Only networks of bundles are known.

    Raises:
        BundleError: a network cannot be loaded or run.
    """
    networks = list({id(network): network for network in _networks(segmenter)}.values())
    if not networks:
        return Cost(None, None)
    with ExitStack() as stack:
        seen = [(network, stack.enter_context(_recorded(network))) for network in networks]
        depth = None if segmenter.depth_input is None else np.ones(photo.shape[:2], np.float32)
        segmenter(photo, depth=depth)
    on_cards = [network.bundle.card.get("parameters") for network in networks]
    parameters = [number for number in on_cards if isinstance(number, int)]
    runs = [multiply_adds(network.bundle, size) for network, sizes in seen for size in sizes]
    known = [count for count in runs if count is not None]
    return Cost(
        sum(parameters) if len(parameters) == len(networks) else None,
        sum(known) if len(known) == len(runs) else None,
    )


@lru_cache(maxsize=64)
def multiply_adds(bundle: Bundle, size: Size) -> int | None:
    """Multiply-adds of a bundle's network for one image of `size` = (height, width); None where it has other products.

    Raises:
        BundleError: the model cannot be loaded or run.
    """
    total = 0
    for arguments in _nodes(bundle, size):
        if arguments["op_name"] in _UNCOUNTED:
            return None
        total += _of_node(arguments)
    return total


def _networks(segmenter: Segmenter) -> Iterator[OnnxSegmenter]:
    if isinstance(segmenter, OnnxSegmenter):
        yield segmenter
        return
    inside = getattr(segmenter, "members", None) or [getattr(segmenter, "inner", None)]
    for part in inside:
        if isinstance(part, Segmenter):
            yield from _networks(part)


@contextmanager
def _recorded(network: OnnxSegmenter) -> Iterator[list[Size]]:
    """Give a list that gets the size of every image that `network` sees from now on."""
    sizes: list[Size] = []
    run = network.logits

    def logits(image: NDArray[np.uint8], depth: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        sizes.append((image.shape[0], image.shape[1]))
        return run(image, depth)

    vars(network)["logits"] = logits
    try:
        yield sizes
    finally:
        del vars(network)["logits"]


def _nodes(bundle: Bundle, size: Size) -> list[Mapping[str, Any]]:
    """What ONNX Runtime tells about each node that it ran."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    # As the file has them: fused nodes have other names and other shapes.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    # Weights that are packed for a kernel have no shape any more.
    options.add_session_config_entry("session.disable_prepacking", "1")
    options.enable_profiling = True
    with tempfile.TemporaryDirectory(prefix="figureground-") as folder:
        options.profile_file_prefix = str(Path(folder, "run"))
        try:
            session = ort.InferenceSession(bundle.model_bytes, options, providers=["CPUExecutionProvider"])
            depth = {} if bundle.depth is None else {"depth": np.zeros((1, *size), np.float32)}
            session.run(["logits"], {"image": np.zeros((1, *size, 3), np.uint8), **depth})
        except Exception as error:  # onnxruntime's errors share no base class
            raise BundleError(f"network '{bundle.name}' failed: {error}") from error
        events = json.loads(Path(session.end_profiling()).read_bytes())
    return [event["args"] for event in events if "output_type_shape" in event.get("args", {})]


def _of_node(arguments: Mapping[str, Any]) -> int:
    kind = arguments["op_name"]
    given = [_shape(entry) for entry in arguments["input_type_shape"]]
    made = [_shape(entry) for entry in arguments["output_type_shape"]]
    if kind in _CONVOLUTIONS:
        return math.prod(made[0]) * math.prod(given[1][1:])
    if kind == "ConvTranspose":
        return math.prod(given[0]) * math.prod(given[1][1:])
    if kind == "Gemm":
        # Either side may be transposed, so the common side is what the first has beside the rows of the result.
        return math.prod(made[0]) * (math.prod(given[0]) // made[0][0])
    return math.prod(made[0]) * given[0][-1] if kind in _PRODUCTS else 0


def _shape(entry: Mapping[str, Sequence[int]]) -> Sequence[int]:
    """{"float": [1, 3, 8, 8]} -> [1, 3, 8, 8]."""
    return next(iter(entry.values()), ())
