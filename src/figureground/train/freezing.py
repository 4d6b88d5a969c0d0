"""Parts of a network that do not learn, for a whole training or at its beginning."""

from __future__ import annotations

from torch import nn

from figureground.errors import RecipeError, suggest
from figureground.train.places import encoder_marks, places, stage_count
from figureground.train.specs import Optimize

ENCODER = "encoder"


def frozen_names(model: nn.Module, optimize: Optimize) -> set[str]:
    """The names of the parameters of `model`, a network with its normalisation, that the recipe freezes.

    Raises:
        RecipeError: a path that leads to no module with parameters, more stages than there are, or nothing is left to
            learn.
    """
    names = [name for name, _ in model.named_parameters()]
    frozen: set[str] = set()
    for path in optimize.freeze:
        marks = encoder_marks(model) if path == ENCODER else []
        prefixes = (f"{path}.", f"network.{path}.")
        found = {name for name in names if name.startswith(prefixes) or any(mark in name for mark in marks)}
        if not found:
            modules = {name.removeprefix("network.") for name, _ in model.named_modules() if name.count(".") < 4}
            raise RecipeError(
                f"optimize.freeze: the network has no part '{path}'", remedy=suggest(path, modules - {""})
            )
        frozen |= found
    stages = stage_count(model)
    if optimize.freeze_stages > stages:
        raise RecipeError(f"the network's encoder has {stages} stages, its stem included", remedy="lower freeze_stages")
    frozen |= {
        name for name, place in places(model).items() if place.in_encoder and place.stage < optimize.freeze_stages
    }
    if frozen and len(frozen) == len(names):
        raise RecipeError("optimize.freeze leaves nothing to learn", remedy="name fewer parts")
    return frozen


class Frozen:
    """Keeps parts of a network as they are: their weights, and the statistics of their batch norms.

    A module all of whose parameters are frozen is in evaluation mode too, so its batch norms neither use nor learn the
    batch's statistics and its dropout is off. Whether a part is frozen depends on the epoch alone, so that a resumed
    run does what an uninterrupted one does.

    Args:
        model: a network with its normalisation.
        optimize: what the recipe says about it.
        epochs: of the whole training.

    Raises:
        RecipeError: as `frozen_names`.
    """

    def __init__(self, model: nn.Module, optimize: Optimize, epochs: int) -> None:
        self.names = frozen_names(model, optimize)
        self.until = max(1, round(optimize.freeze_until * epochs))

    def apply(self, model: nn.Module, epoch: int) -> None:
        """Freeze the parts, or let them learn, at the beginning of an epoch; `model` is the network, maybe a copy."""
        if not self.names:
            return
        learns = epoch >= self.until
        for name, module in model.named_modules():
            own = {f"{name}.{inner}" for inner, _ in module.named_parameters()}
            if own and own <= self.names:
                module.train(learns)
        for name, parameter in model.named_parameters():
            if name in self.names:
                parameter.requires_grad_(learns)
