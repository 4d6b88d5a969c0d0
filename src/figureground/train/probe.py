"""One pass of the smallest crops before training, so that what is too small for a network is told at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from figureground.errors import FiguregroundError, RecipeError, within
from figureground.train.adversary import Adversary
from figureground.train.outputs import outputs_of
from figureground.train.recipe import Recipe

__all__ = ["check_crops"]


def check_crops(
    network: nn.Module, recipe: Recipe, wanted: Collection[str], *, channels: int, adversary: Adversary | None
) -> None:
    """Send two empty crops (one, where batches are of one) of the smallest size through the network and the critic.

    What they learned and counted stays as it was.

    Raises:
        NetworkError: the crops are smaller than the network's least size.
        RecipeError: the network or the critic cannot be trained on such a batch.
    """
    side = min(size for stage in recipe.schedule.stages for size in stage.sizes)
    batch = min(2, recipe.schedule.batch_size)
    with _as_it_was(network), _asked(f"the network {recipe.network.name}", side, batch):
        outputs_of(network.train(), torch.zeros(batch, channels, side, side), wanted)
    if adversary is not None:
        critic = adversary.critic
        with _as_it_was(critic), _asked("the critic", side, batch):
            critic.train()(torch.zeros(batch, adversary.channels, side, side))


@contextmanager
def _asked(what: str, side: int, batch: int) -> Iterator[None]:
    problem = f"schedule: {what} cannot be trained on batches of {batch} crops of {side}x{side}"
    try:
        with within(problem):
            yield
    except FiguregroundError:
        raise
    except (RuntimeError, ValueError) as error:
        [said, *_] = str(error).splitlines() or [type(error).__name__]
        raise RecipeError(f"{problem}: {said}", remedy="use larger 'sizes', or a larger 'batch_size'") from error


@contextmanager
def _as_it_was(network: nn.Module) -> Iterator[None]:
    training, kept = network.training, {name: buffer.clone() for name, buffer in network.named_buffers()}
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            yield
    finally:
        with torch.no_grad():
            for name, buffer in network.named_buffers():
                buffer.copy_(kept[name])
        network.train(training)
