"""Sizes and resized pictures inside an ONNX graph, computed as the runtime computes them with Python and Pillow.

ONNX has a Resize of its own, with which one pixel in a hundred is a grey level off Pillow's: it keeps positions in 32
bits. A network can make 0.01 of probability of that. So resizing is done here as Pillow does it: along rows, then along
columns, positions and weights in 64 bits; for pictures weights rounded to 22 binary places and sums in whole numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto

from figureground.export.growing import GrowingGraph
from figureground.runtime.sizing import Sizing

_PLACES = 22
"""Binary places of a weight, Pillow's PRECISION_BITS for 8 bits a channel."""


def network_size(graph: GrowingGraph, image: str, sizing: Sizing, scales: Sequence[float]) -> str:
    """(height, width) at which a network sees a picture: `Sizing.network_size`, then `View`'s for each scale in turn.

    Args:
        graph: what it is computed in.
        image: (N, h, w, 3).
        sizing: the network's.
        scales: of the views around it, the innermost first.

    Returns:
        int64 (2,).
    """
    size = graph.node("Slice", [graph.node("Shape", [image]), graph.integers(1), graph.integers(3)])
    sides = graph.node("Cast", [size], to=TensorProto.DOUBLE)
    height, width = graph.node("Gather", [sides, graph.integers(0)]), graph.node("Gather", [sides, graph.integers(1)])
    aspect = graph.node("Div", [width, height])
    aspect = graph.node("Max", [aspect, graph.real(1.0 / sizing.max_aspect)])
    aspect = graph.node("Min", [aspect, graph.real(sizing.max_aspect)])
    ideal_height = graph.node("Sqrt", [graph.node("Div", [graph.real(sizing.area), aspect])])
    ideal_width = graph.node("Mul", [ideal_height, aspect])
    fitted = _fitted(graph, graph.node("Concat", [ideal_height, ideal_width], axis=0), sizing.multiple)
    for scale in scales:
        wanted = graph.node("Round", [graph.node("Mul", [fitted, graph.real(scale)])])
        fitted = _fitted(graph, wanted, sizing.multiple)
    return graph.node("Cast", [fitted], to=TensorProto.INT64)


def _fitted(graph: GrowingGraph, sides: str, multiple: int) -> str:
    """Sides rounded to multiples, at least one; ONNX rounds halves to even, as Python does."""
    times = graph.node("Round", [graph.node("Div", [sides, graph.real(multiple)])])
    return graph.node("Mul", [graph.node("Max", [times, graph.real(1.0)]), graph.real(multiple)])


def resized_picture(graph: GrowingGraph, image: str, size: str) -> str:
    """`images.resize` without its `reducing_gap`: uint8 (N, h, w, 3) to uint8 (N, H, W, 3), `size` int64 (2,)."""
    whole = graph.node("Cast", [image], to=TensorProto.INT32)
    for axis, side in ((2, 1), (1, 0)):
        places, weights = _taps(graph, _length(graph, whole, axis), _side(graph, size, side))
        scaled = graph.node("Mul", [weights, graph.real(1 << _PLACES)])
        fixed = graph.node("Floor", [graph.node("Add", [scaled, graph.real(0.5)])])
        total = _weighed(graph, whole, axis, places, graph.node("Cast", [fixed], to=TensorProto.INT32))
        rounded = graph.node("Add", [total, graph.constant(np.int32(1 << (_PLACES - 1)))])
        whole = graph.node("Div", [rounded, graph.constant(np.int32(1 << _PLACES))])
    return graph.node("Cast", [whole], to=TensorProto.UINT8)


def resized_maps(graph: GrowingGraph, maps: str, size: str) -> str:
    """`images.resize_map`: float32 (N, K, h, w) to (N, K, H, W), `size` int64 (2,)."""
    for axis, side in ((3, 1), (2, 0)):
        places, weights = _taps(graph, _length(graph, maps, axis), _side(graph, size, side))
        maps = _weighed(graph, maps, axis, places, graph.node("Cast", [weights], to=TensorProto.FLOAT))
    return maps


def _length(graph: GrowingGraph, values: str, axis: int) -> str:
    return graph.node("Slice", [graph.node("Shape", [values]), graph.integers(axis), graph.integers(axis + 1)])


def _side(graph: GrowingGraph, size: str, side: int) -> str:
    return graph.node("Slice", [size, graph.integers(side), graph.integers(side + 1)])


def _weighed(graph: GrowingGraph, values: str, axis: int, places: str, weights: str) -> str:
    """Sums along one of the four axes of `values`, with places and weights (taps, target) of the same type."""
    seen = graph.node("Gather", [values, places], axis=axis)  # the axis becomes two, (taps, target)
    behind = range(2, 5 - axis)
    fitted = graph.node("Unsqueeze", [weights, graph.integers(*behind)]) if behind else weights
    return graph.node("ReduceSum", [graph.node("Mul", [seen, fitted]), graph.integers(axis)], keepdims=0)


def _taps(graph: GrowingGraph, length: str, target: str) -> tuple[str, str]:
    """Which of `length` make up each of `target`, int64 (taps, target), and how much each counts, float64 alike."""
    old, new = (graph.node("Cast", [side], to=TensorProto.DOUBLE) for side in (length, target))
    half = graph.real(0.5)
    scale = graph.node("Div", [old, new])
    support = graph.node("Max", [scale, graph.real(1.0)])
    middle = graph.node("Mul", [graph.node("Add", [_count_to(graph, target), half]), scale])
    first = graph.node("Floor", [graph.node("Add", [graph.node("Sub", [middle, support]), half])])
    first = graph.node("Max", [first, graph.real(0.0)])
    last = graph.node("Floor", [graph.node("Add", [graph.node("Add", [middle, support]), half])])
    last = graph.node("Min", [last, old])
    most = graph.node("Add", [graph.node("Mul", [graph.node("Ceil", [support]), graph.real(2.0)]), graph.real(1.0)])
    tap = _count_to(graph, graph.node("Cast", [most], to=TensorProto.INT64))
    place = graph.node("Add", [graph.node("Unsqueeze", [tap, graph.integers(1)]), first])
    off = graph.node("Add", [graph.node("Sub", [place, middle]), half])
    off = graph.node("Abs", [graph.node("Mul", [off, graph.node("Div", [graph.real(1.0), support])])])
    weight = graph.node("Max", [graph.node("Sub", [graph.real(1.0), off]), graph.real(0.0)])
    inside = graph.node("Cast", [graph.node("Less", [place, last])], to=TensorProto.DOUBLE)
    weight = graph.node("Mul", [weight, inside])
    weight = graph.node("Div", [weight, graph.node("ReduceSum", [weight, graph.integers(0)], keepdims=1)])
    there = graph.node("Min", [place, graph.node("Sub", [old, graph.real(1.0)])])
    return graph.node("Cast", [there], to=TensorProto.INT64), weight


def _count_to(graph: GrowingGraph, number: str) -> str:
    """0, 1 and so on below `number`, int64 (1,), as float64."""
    end = graph.node("Squeeze", [number])
    counted = graph.node("Range", [graph.constant(np.int64(0)), end, graph.constant(np.int64(1))])
    return graph.node("Cast", [counted], to=TensorProto.DOUBLE)
