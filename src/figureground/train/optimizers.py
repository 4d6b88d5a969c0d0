"""The optimiser of a recipe and its learning rate over the training."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from figureground.errors import RecipeError
from figureground.train.places import Place, places, stage_count
from figureground.train.specs import Optimize

_TABLES = (".bias_table", ".queries")
"""Vectors that are looked up or learned as such, not multiplied with features: they do not decay."""


def build_optimizer(model: nn.Module, optimize: Optimize) -> torch.optim.Optimizer:
    """The optimiser over all parameters of `model`; norms and biases do not decay.

    Raises:
        RecipeError: stages are to learn at different rates, and the network has no encoder.
    """
    groups = parameter_groups(model, optimize)
    if optimize.name == "sgd":
        return torch.optim.SGD(groups, momentum=optimize.momentum, nesterov=optimize.nesterov)
    return torch.optim.AdamW(groups)


def parameter_groups(model: nn.Module, optimize: Optimize) -> list[dict[str, Any]]:
    """Groups of parameters with a name, a learning rate and a weight decay each.

    With a layer decay (Clark et al., arXiv:2003.10555) each stage of the encoder has groups of its own: the deepest
    learns at the encoder's rate, each before it at `layer_decay` times the rate of the next.

    Raises:
        RecipeError: `layer_decay` is given, and the network has no encoder.
    """
    count = stage_count(model)
    if optimize.layer_decay < 1 and count == 0:
        raise RecipeError("the network has no encoder for optimize.layer_decay", remedy="leave it away")
    where = places(model)
    groups: dict[tuple[str, float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        decays = parameter.ndim > 1 and not name.endswith(_TABLES)
        groups.setdefault((*_rate(where[name], optimize, count), decays), []).append(parameter)
    return [
        {
            "name": f"{part}, {'decayed' if decays else 'not decayed'}",
            "params": parameters,
            "lr": optimize.learning_rate * factor,
            "weight_decay": optimize.weight_decay if decays else 0.0,
        }
        for (part, factor, decays), parameters in groups.items()
    ]


def _rate(place: Place, optimize: Optimize, count: int) -> tuple[str, float]:
    """What the learning rates' log calls the part, and its factor of the learning rate."""
    if not place.in_encoder:
        return "decoder", 1.0
    if optimize.layer_decay == 1:
        return "encoder", optimize.encoder_factor
    return f"encoder {place.stage}", optimize.encoder_factor * optimize.layer_decay ** (count - 1 - place.stage)


def build_schedule(optimizer: torch.optim.Optimizer, optimize: Optimize, steps: int) -> LRScheduler:
    """The learning rate over `steps` steps of the optimiser; one change after each."""
    if optimize.schedule == "one_cycle":
        return OneCycleLR(
            optimizer,
            max_lr=[group["lr"] for group in optimizer.param_groups],
            total_steps=steps,
            pct_start=optimize.warmup,
            cycle_momentum=False,
        )
    warmup = round(optimize.warmup * steps)
    return LambdaLR(optimizer, partial(factor_at, warmup=warmup, steps=steps, after=_after(optimize)))


def factor_at(step: int, *, warmup: int, steps: int, after: Callable[[float], float]) -> float:
    """Factor of the learning rate at a step, counted from 0: linear to 1 over `warmup` steps, then `after`.

    Args:
        step: the step that is about to be made.
        warmup: steps of the warm-up; the last of them is made at the full rate.
        steps: of the whole training.
        after: factor by the share of the rest that has gone, from 0 on; it would reach 1 after the last step.
    """
    if step < warmup:
        return (step + 1) / warmup
    return after(min(1.0, (step - warmup) / max(1, steps - warmup)))


def _after(optimize: Optimize) -> Callable[[float], float]:
    if optimize.schedule == "poly":
        return partial(_poly, optimize.power)
    return _cosine if optimize.schedule == "cosine" else _constant


def _poly(power: float, progress: float) -> float:
    """Chen et al., arXiv:1606.00915."""
    return float((1 - progress) ** power)


def _cosine(progress: float) -> float:
    """Half a cosine (Loshchilov and Hutter, arXiv:1608.03983, without restarts)."""
    return (1 + math.cos(math.pi * progress)) / 2


def _constant(progress: float) -> float:
    del progress
    return 1.0
