"""A network as a table of its stages: output shape, stride, parameters and multiply-adds of each.

Counted on the meta device, where nothing is computed. A multiply-add is one multiplication and one addition in a
convolution, a linear layer or a matrix product, attention's included; norms, activations, interpolation and biases
count nothing. That is what most papers call FLOPs or MACs, and half of what the others call FLOPs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from figureground.networks.registry import create, without_weights

Shape = tuple[int, ...]
Size = tuple[int, int]

_STRIDES_OF_A_TRUNK = 3
ITSELF = "(itself)"
"""Ends the name of what a module does outside of its parts."""


@dataclass(frozen=True)
class Stage:
    """One part of a network.

    name: dotted path of the module, with `ITSELF` where it is what the module does outside of the parts listed.
    kind: its class.
    shapes: of its outputs in the last call, without the batch; none for a module that a prediction does not call.
    stride: height and width of the image divided by those of the last output; None where it is no map.
    parameters, multiply_adds: its own, so that those of all stages add up to the network's.
    """

    name: str
    kind: str
    shapes: tuple[Shape, ...]
    stride: int | None
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Outline:
    """The stages of a network in the order in which they run, for one image of `size` = (height, width)."""

    name: str
    options: Mapping[str, Any]
    size: Size
    stages: tuple[Stage, ...]

    @property
    def parameters(self) -> int:
        """Of the whole network."""
        return sum(stage.parameters for stage in self.stages)

    @property
    def multiply_adds(self) -> int:
        """Of the whole network, for one image."""
        return sum(stage.multiply_adds for stage in self.stages)


def outline(name: str, /, *, size: Size = (512, 512), depth: int = 0, **options: Any) -> Outline:
    """The stages of network `name` with `options`, for one image of `size` = (height, width).

    A stage is the largest module that is given several maps, or whose parts give maps at fewer than three strides;
    `depth` opens so many levels more.

    Raises NetworkError as `create` does, and for an image that is too small.
    """
    with torch.device("meta"):
        network = create(name, **without_weights(name, options)).eval()
    channels = int(options.get("in_channels", 3))
    return Outline(name, options, size, stages_of(network, size, channels=channels, depth=depth))


def stages_of(network: nn.Module, size: Size, *, channels: int = 3, depth: int = 0) -> tuple[Stage, ...]:
    """The stages of a network that is on the meta device and in evaluation mode; see `outline`."""
    multiple = getattr(network, "multiple", 1)  # what it pads the image to
    seen = {module: _Calls() for module in network.modules()}
    _watch_one_call(network, torch.empty(1, channels, *size, device="meta"), seen)
    padded = (-(-size[0] // multiple) * multiple, -(-size[1] // multiple) * multiple)
    walk = _Walk(seen, padded, set())
    stages = list(walk.opened("", network, depth))
    stages.sort(key=lambda stage: stage[0])
    return tuple(stage for _, stage in stages)


@dataclass
class _Calls:
    """What the calls of one module left behind."""

    order: float = float("inf")
    flops: int = 0
    inputs: tuple[Shape, ...] = ()
    outputs: tuple[Shape, ...] = ()
    started: list[int] = field(default_factory=list)


def _watch_one_call(network: nn.Module, image: Tensor, seen: Mapping[nn.Module, _Calls]) -> None:
    counter, order = FlopCounterMode(display=False), count()

    def before(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        seen[module].started.append(counter.get_total_flops())
        seen[module].inputs = tuple(_shapes((inputs, named)))

    def after(module: nn.Module, _: tuple[Any, ...], output: Any) -> None:
        calls = seen[module]
        calls.flops += counter.get_total_flops() - calls.started.pop()
        calls.outputs = tuple(_shapes(output))
        calls.order = min(calls.order, next(order))

    handles = [module.register_forward_pre_hook(before, with_kwargs=True) for module in seen]
    handles += [module.register_forward_hook(after) for module in seen]
    try:
        with torch.device("meta"), torch.no_grad(), counter:
            network(image)
    finally:
        for handle in handles:
            handle.remove()


@dataclass
class _Walk:
    """From modules to stages. `counted` holds the parameters that a stage has already been given."""

    seen: Mapping[nn.Module, _Calls]
    image: Size
    counted: set[nn.Parameter]

    def opened(self, name: str, module: nn.Module, depth: int) -> Iterator[tuple[float, Stage]]:
        """The stages inside a module, with the order in which they ended, and what the module does itself."""
        parts = list(self._parts(name, module))
        for path, part in parts:
            if self._is_trunk(part):
                yield from self.opened(path, part, depth)
            elif depth and any(True for _ in part.children()):
                yield from self.opened(path, part, depth - 1)
            else:
                yield from self._stage(path, part, self.seen[part].flops, list(part.parameters()))
        rest = self.seen[module].flops - sum(self.seen[part].flops for _, part in parts)
        inside = {parameter for _, part in parts for parameter in part.parameters()}
        own = [parameter for parameter in module.parameters() if parameter not in inside]
        if rest or own:
            yield from self._stage(f"{name} {ITSELF}".strip(), module, rest, own)

    def _parts(self, name: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
        """The children, and in place of a child that only holds others, which are called one by one, those."""
        for key, child in module.named_children():
            path = f"{name}.{key}" if name else key
            called_inside = any(self.seen[part].inputs for part in child.modules())
            if type(child).forward is nn.Module.forward or (called_inside and not self.seen[child].inputs):
                yield from self._parts(path, child)
            else:
                yield path, child

    def _stage(
        self, name: str, module: nn.Module, flops: int, parameters: Sequence[nn.Parameter]
    ) -> Iterator[tuple[float, Stage]]:
        calls = self.seen[module]
        new = set(parameters) - self.counted
        self.counted |= new
        # Activations, dropout and the like say nothing about the architecture; what changes the size does.
        if not new and not flops and calls.inputs == calls.outputs:
            return
        stride = self._stride(calls)
        size = sum(parameter.numel() for parameter in new)
        yield calls.order, Stage(name, type(module).__name__, calls.outputs, stride, size, flops // 2)

    def _is_trunk(self, module: nn.Module) -> bool:
        parts = [part for _, part in self._parts("", module)]
        if len(parts) == 1:
            return self._is_trunk(parts[0])
        if len(self.seen[module].inputs) != 1:
            return False
        strides = {self._stride(self.seen[part]) for part in parts} - {None}
        return len(strides) >= _STRIDES_OF_A_TRUNK or any(self._is_trunk(part) for part in parts)

    def _stride(self, calls: _Calls) -> int | None:
        if not calls.outputs or len(calls.outputs[-1]) != 3:
            return None
        return stage_stride(self.image, calls.outputs[-1][1:])


@cache
def stage_stride(image: Shape, feature_map: Shape) -> int | None:
    """How many pixels of an image (H, W) one value of a map (h, w) stands for, whether sides were rounded up or down.

    Where several numbers fit, a power of two comes first. None where none fits, and for the mean of a whole image.
    """
    sides = list(zip(image, feature_map, strict=True))
    fitting = [
        stride
        for stride in range(1, max(image) + 1)
        if all(full // stride <= side <= -(-full // stride) for full, side in sides)
    ]
    if set(feature_map) == {1} or not fitting:
        return None
    return next((stride for stride in fitting if stride & (stride - 1) == 0), fitting[0])


def _shapes(value: Any) -> Iterator[Shape]:
    """Shapes of all tensors in nested lists and mappings, without the batch."""
    if isinstance(value, Tensor):
        yield tuple(value.shape[1:])
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _shapes(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _shapes(item)
