"""A registered network under a head, and beside it the pixel embedding that only training looks at."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from figureground.errors import NetworkError, suggest
from figureground.labels import LabelTree
from figureground.networks.heads.forms import Head, Hyperbolic, Leaves, Nodes
from figureground.networks.registry import create, spec

HEADS: dict[str, type[Head]] = {"leaves": Leaves, "nodes": Nodes, "hyperbolic": Hyperbolic}
"""The heads that a recipe can name."""


def with_head(
    network: str,
    options: Mapping[str, Any],
    *,
    labels: LabelTree,
    head: str = "leaves",
    head_options: Mapping[str, Any] | None = None,
    embedding: Mapping[str, Any] | None = None,
) -> nn.Module:
    """A network for a label tree; (N, C, H, W) -> leaf logits (N, leaves, H, W) whatever the head is.

    The plain head without an embedding is the network itself, with its own names of weights.

    Args:
        network: a registered name.
        options: its options.
        labels: the label tree.
        head: a name of `HEADS`.
        head_options: the options of that head.
        embedding: the options of `PixelEmbedding`, for `tree_triplet`; None leaves it out.

    Raises:
        UnknownNetworkError: an unknown network.
        NetworkError: an unknown head, or an option or a value that the network, head or embedding does not have.
    """
    form = _built(HEADS, head, "head", labels, head_options or {})
    body = create(network, leaves=form.channels, **options)
    if isinstance(form, Leaves) and embedding is None:
        return body
    beside = None
    if embedding is not None:
        _check_options("the embedding", PixelEmbedding, embedding, ("body", "channels", "side"))
        least = spec(network).min_size
        beside = PixelEmbedding(body, int(options.get("in_channels", 3)), max(64, least), **embedding)
    return HeadedNetwork(body, form, beside)


class HeadedNetwork(nn.Module):
    """A network that gives as many maps as the head needs, the head, and the embedding where there is one."""

    def __init__(self, body: nn.Module, head: Head, embedding: PixelEmbedding | None = None) -> None:
        super().__init__()
        self.body = body
        self.head = head
        self.embedding = embedding

    @property
    def gives(self) -> tuple[str, ...]:
        """The names that `outputs` knows."""
        return (*self.head.gives, "embedding") if self.embedding is not None else self.head.gives

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> leaf logits (N, leaves, H, W)."""
        leaf_logits: Tensor = self.head(self.body(x))
        return leaf_logits

    def outputs(self, x: Tensor, wanted: Collection[str]) -> dict[str, Tensor]:
        """What losses ask for: `logits` (N, leaves, H, W), `nodes` (N, V, H, W), `embedding` (N, E, h, w), `points`.

        Only what is wanted is computed. Raises NetworkError for a name that the head does not give.
        """
        for name in wanted:
            if name not in self.gives:
                raise NetworkError(f"the head gives no {name!r}", remedy=f"it gives {', '.join(self.gives)}")
        if self.embedding is None or "embedding" not in wanted:
            maps = self.body(x)
            return {name: self.head.output(name, maps) for name in wanted}
        with captured(self.body, self.embedding.at) as kept:
            maps = self.body(x)
        found = {name: self.head.output(name, maps) for name in wanted if name != "embedding"}
        return {**found, "embedding": self.embedding(kept[0])}


class PixelEmbedding(nn.Module):
    """Unit vectors for the pixels of a map inside the network: 1x1, batch norm, ReLU, 1x1 (as in arXiv:2203.14335).

    Only training computes it, and a bundle does not hold it. The authors take the last map of a ResNet at 1/8 of the
    image; an encoder's last map is at 1/32, so name a finer one where crops are small.

    Args:
        body: the network.
        channels: of its images.
        side: of the square image on which the network is tried to see how wide the map is.
        at: name of a module of the network, dotted or the only one so called; of several maps the last is taken.
        size: length of the vectors.

    Raises:
        NetworkError: no such module, or one that gives no map.
    """

    def __init__(self, body: nn.Module, channels: int, side: int, *, at: str = "encoder", size: int = 256) -> None:
        super().__init__()
        self.at = _place(body, at)
        width = _width_of(body, self.at, channels, side)
        self.project = nn.Sequential(
            nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.Conv2d(width, size, 1)
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, channels, h, w) -> (N, size, h, w), each pixel's vector of length 1."""
        vectors: Tensor = self.project(features)
        return F.normalize(vectors.float(), dim=1, eps=1e-12)


@contextmanager
def captured(body: nn.Module, at: str) -> Iterator[list[Tensor]]:
    """Within it, what the module `at` of `body` gives in a forward pass is put into the list."""
    kept: list[Tensor] = []

    def keep(module: nn.Module, inputs: object, output: Any) -> None:
        del module, inputs
        kept.append(output[-1] if isinstance(output, list | tuple) else output)

    handle = body.get_submodule(at).register_forward_hook(keep)
    try:
        yield kept
    finally:
        handle.remove()


def _place(body: nn.Module, at: str) -> str:
    """The dotted name of the module `at`, or of the only one of that name at any depth."""
    names: list[str] = [name for name, _ in body.named_modules() if name]
    if at in names:
        return at
    deeper = [name for name in names if name.endswith(f".{at}")]
    if len(deeper) == 1:
        return deeper[0]
    raise NetworkError(f"the network has no module '{at}' to embed", remedy=suggest(at, names))


def _width_of(body: nn.Module, at: str, channels: int, side: int) -> int:
    was_training = body.training
    device = next(body.parameters()).device
    with captured(body.eval(), at) as kept, torch.no_grad():
        body(torch.zeros(1, channels, side, side, device=device))
    body.train(was_training)
    if not kept or not isinstance(kept[0], Tensor) or kept[0].ndim != 4:
        raise NetworkError(f"the module '{at}' gives no map (N, C, h, w)", remedy="name one that does")
    return int(kept[0].shape[1])


def _built(
    known: Mapping[str, type[Head]], name: str, what: str, labels: LabelTree, options: Mapping[str, Any]
) -> Head:
    if name not in known:
        raise NetworkError(f"there is no {what} {name!r}", remedy=suggest(name, known))
    _check_options(f"{what} '{name}'", known[name], options, ("labels",))
    return known[name](labels, **options)


def _check_options(what: str, built: type[nn.Module], options: Mapping[str, Any], given: tuple[str, ...]) -> None:
    offered = [option for option in inspect.signature(built).parameters if option not in given]
    for option in options:
        if option not in offered:
            remedy = suggest(option, offered) if offered else "leave it away"
            raise NetworkError(f"{what} has no option {option!r}", remedy=remedy)
