"""What losses look at: the outputs of a network, under its head, by name.

`logits` are those of the leaves. `queries` are the classes and masks that a network such as MaskFormer predicts, and
`auxiliary` the logits of heads that only training looks at; both come with the logits of the same pass.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor, nn

from figureground.errors import RecipeError
from figureground.networks.heads import HeadedNetwork

AUXILIARY = "auxiliary"
_UNCOMPILED = frozenset({AUXILIARY, "queries", "embedding"})
_QUERY, _AUX = "query_", "aux_"


def output_names(network: nn.Module) -> tuple[str, ...]:
    """The names that `outputs_of` knows for ``network``."""
    if isinstance(network, HeadedNetwork):
        return network.gives
    queries = ("queries",) if hasattr(network, "predict_queries") else ()
    return ("logits", *queries, AUXILIARY)


def compile_network(network: nn.Module, wanted: Collection[str]) -> None:
    """Let torch.compile make the plain pass of ``network`` quicker, in place; names of weights stay as they are.

    Raises:
        RecipeError: an output is wanted that another pass computes, which would not be compiled.
    """
    other = sorted(_UNCOMPILED & set(wanted))
    if other:
        raise RecipeError(
            f"schedule.compile has no part in what the losses look at: {', '.join(other)}",
            remedy="leave schedule.compile away",
        )
    body = network.body if isinstance(network, HeadedNetwork) else network
    body.compile()


def check_auxiliary(network: nn.Module, channels: int, side: int, weights: float | tuple[float, ...]) -> None:
    """Look at how many auxiliary outputs the network has by one pass over an empty picture of `side` pixels.

    Raises:
        RecipeError: none, or not as many as there are weights.
    """
    training = network.training
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        found = outputs_of(network.eval(), torch.zeros(1, channels, side, side), {"logits", AUXILIARY})
    network.train(training)
    weights_of_heads(weights, len(found[AUXILIARY]))


def weights_of_heads(given: float | tuple[float, ...], heads: int) -> tuple[float, ...]:
    """The weight of each of so many auxiliary outputs. Raises RecipeError where a list has not one for each."""
    if not isinstance(given, tuple):
        return (given,) * heads
    if len(given) != heads:
        raise RecipeError(
            f"aux_weight has {len(given)} numbers, and the network {heads} auxiliary outputs",
            remedy=f"give one number for all of them, or a list of {heads}",
        )
    return given


def outputs_of(network: nn.Module, x: Tensor, wanted: Collection[str]) -> dict[str, Any]:
    """Outputs for the images (N, C, H, W), by name: tensors, a dictionary of `queries`, a list of `auxiliary` logits.

    Raises:
        RecipeError: `auxiliary` is wanted of a network that has no such heads.
        NetworkError: a name that the head does not give.
    """
    if isinstance(network, HeadedNetwork):
        return dict(network.outputs(x, wanted))
    if {"queries", AUXILIARY}.isdisjoint(wanted):
        return {"logits": network(x)}
    train: Callable[[Tensor], dict[str, Tensor]] | None = getattr(network, "forward_training", None)
    found = train(x) if train is not None else {"logits": network(x)}
    auxiliary = [logits for name, logits in found.items() if name.startswith(_AUX)]
    if AUXILIARY in wanted and not auxiliary:
        raise RecipeError(
            "aux_weight is given, and the network has no auxiliary outputs",
            remedy="switch them on (network.options.auxiliary, where the network has it), or leave aux_weight away",
        )
    queries = {name: out for name, out in found.items() if name.startswith(_QUERY)}
    return {"logits": found["logits"], "queries": queries, AUXILIARY: auxiliary}
