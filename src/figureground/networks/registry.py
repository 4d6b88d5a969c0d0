"""The folder is the registry: every module of ``figureground.networks`` may register networks, nothing else is edited.

A network is a builder function with keyword-only options that returns a module mapping images (N, C, H, W) float to
logits (N, leaves, H, W) at the same size. ``@register`` records what the contract test and the documentation need to
know about it.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from figureground.errors import NetworkError, UnknownNetworkError, nearest, suggest
from figureground.networks.options import checked, described

if TYPE_CHECKING:
    from torch import nn

Builder = TypeVar("Builder", bound=Callable[..., Any])

FOREIGN = "import:"
"""Starts the names of networks of other libraries; see `figureground.networks.foreign`."""

_COLORS = 3
_SPECS: dict[str, NetworkSpec] = {}
_DISCOVERED: set[str] = set()


@dataclass(frozen=True)
class NetworkSpec:
    """What is known about a registered network.

    parameters: number of parameters with the default options (one leaf), counted as ``sum(p.numel())``.
    source: where that number comes from.
    stride: the coarsest feature map is ``1 / stride`` of the input.
    min_size: the least height and width the network accepts, in pixels.
    depth: whether ``in_channels=4`` (colour and depth) is offered.
    reduced: options that give a small, quick network of the same structure, for tests.
    counts: further checked variants, name -> (options, number of parameters).
    """

    name: str
    build: Callable[..., nn.Module]
    parameters: int
    source: str
    stride: int
    min_size: int
    depth: bool = False
    reduced: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, tuple[Mapping[str, Any], int]] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Any]:
        """The options of the builder with their defaults."""
        return {name: parameter.default for name, parameter in inspect.signature(self.build).parameters.items()}

    @property
    def summary(self) -> str:
        """The first line of the builder's docstring."""
        return (inspect.getdoc(self.build) or "").partition("\n")[0]


def register(
    name: str,
    *,
    parameters: int,
    source: str,
    stride: int,
    min_size: int,
    depth: bool = False,
    reduced: Mapping[str, Any] | None = None,
    counts: Mapping[str, tuple[Mapping[str, Any], int]] | None = None,
) -> Callable[[Builder], Builder]:
    """Register the decorated builder under ``name``; the arguments are those of `NetworkSpec`.

    Raises NetworkError when the name is taken by another builder, or when the builder's options are not all
    keyword-only with a default, or lack ``leaves`` (or ``in_channels`` where depth is offered).
    """

    def decorate(build: Builder) -> Builder:
        _check_builder(name, build, depth)
        known = _SPECS.get(name)
        if known is not None and known.build.__module__ != build.__module__:
            raise NetworkError(
                f"two networks are named '{name}': in {known.build.__module__} and in {build.__module__}",
                remedy="rename one of them",
            )
        _SPECS[name] = NetworkSpec(
            name, build, parameters, source, stride, min_size, depth, dict(reduced or {}), dict(counts or {})
        )
        return build

    return decorate


def _check_builder(name: str, build: Callable[..., Any], depth: bool) -> None:
    options = inspect.signature(build).parameters
    for option in options.values():
        if option.kind is not option.KEYWORD_ONLY or option.default is option.empty:
            raise NetworkError(
                f"option '{option.name}' of network '{name}' must be keyword-only with a default",
                remedy=f"write def {name}(*, leaves: int = 1, ...)",
            )
    for needed in ("leaves", "in_channels") if depth else ("leaves",):
        if needed not in options:
            raise NetworkError(f"network '{name}' has no option '{needed}'", remedy=f"add '{needed}' to its builder")


def _discover() -> None:
    """Import every module of this package once; importing is what registers."""
    package = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        full_name = f"{package}.{module.name}"
        if not module.ispkg and full_name not in _DISCOVERED:
            importlib.import_module(full_name)
            _DISCOVERED.add(full_name)


def list_networks() -> list[str]:
    """Names of all networks, sorted."""
    _discover()
    return sorted(_SPECS)


def spec(name: str) -> NetworkSpec:
    """What is known about network ``name``; UnknownNetworkError names the nearest one."""
    _discover()
    if not isinstance(name, str):
        raise UnknownNetworkError(f"{name!r} is no name of a network", remedy="give one as text, such as 'unet'")
    if name not in _SPECS:
        raise UnknownNetworkError(f"there is no network '{name}'", remedy=_instead_of(name))
    return _SPECS[name]


def _instead_of(name: str) -> str:
    """What to write for a name that no network has."""
    if name.strip().casefold().startswith(FOREIGN):
        return f"write '{FOREIGN}{name.partition(':')[2].strip()}' for a network of another library"
    if "." in name:
        return f"write '{FOREIGN}{name}' for a network of another library"
    return suggest(name, sorted(_SPECS))


def without_weights(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of network `name` with which it starts from random values, neither fetching nor reading a file."""
    if name.startswith(FOREIGN):
        from figureground.networks.foreign import without_pretrained

        return without_pretrained(name.removeprefix(FOREIGN), options)
    return {key: value for key, value in options.items() if key != "encoder_weights"}


def _instead(option: str, known: NetworkSpec) -> str:
    """What to write for an option that a network lacks: its nearest one, or else a network that has it."""
    having = [name for name, other in sorted(_SPECS.items()) if option in other.options]
    if having and nearest(option, known.options) is None:
        return f"use a network that has it: {', '.join(having)}"
    return suggest(option, sorted(known.options))


def create(name: str, /, **options: Any) -> nn.Module:
    """Build network ``name`` with random weights: images (N, C, H, W) float -> logits (N, leaves, H, W).

    A name such as ``import:segmentation_models_pytorch.Unet`` is a network of another library; see
    `figureground.networks.foreign`.

    Raises UnknownNetworkError for an unknown name and NetworkError for an option the network does not have (naming
    the nearest one) or a value it cannot be built with.

    >>> create("unet", leaves=3, width=8)(torch.zeros(1, 3, 50, 70)).shape  # doctest: +SKIP
    torch.Size([1, 3, 50, 70])
    """
    leaves = options.get("leaves", 1)
    if not isinstance(leaves, int) or isinstance(leaves, bool) or leaves < 1:
        raise NetworkError(
            f"network '{name}' cannot have {leaves!r} leaves",
            remedy="give the number of leaves of the label tree, >= 1",
        )
    if isinstance(name, str) and name.startswith(FOREIGN):
        from figureground.networks.foreign import foreign

        return foreign(name.removeprefix(FOREIGN), **options)
    known = spec(name)
    for option in options:
        if option not in known.options:
            raise NetworkError(f"network '{name}' has no option '{option}'", remedy=_instead(option, known))
    return _built(known, checked(name, known.build, options))


def _built(known: NetworkSpec, options: Mapping[str, Any]) -> nn.Module:
    given = described(options)
    try:
        network = known.build(**options)
    except (TypeError, ValueError, ArithmeticError, LookupError, RuntimeError, AssertionError) as error:
        raise NetworkError(
            f"network '{known.name}' cannot be built with {given}: {error}", remedy="check the values of its options"
        ) from error
    empty = next((key for key, parameter in network.named_parameters() if not parameter.numel()), None)
    if empty is not None:
        raise NetworkError(
            f"network '{known.name}' cannot be built with {given}: '{empty}' has no channels",
            remedy="give a larger width",
        )
    network.in_channels = {**known.options, **options}.get("in_channels", _COLORS)
    return network
