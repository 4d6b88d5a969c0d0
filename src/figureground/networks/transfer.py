"""Copy a checkpoint into a network that need not match it, and say what became of every tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from figureground.errors import NetworkError


@dataclass(frozen=True)
class TransferReport:
    """What `transfer` did.

    copied: the network's tensors that now have the checkpoint's values.
    widened: those among them that read more channels than in the checkpoint, and start with zeros for the others.
    new: the network's tensors that kept their own, because the checkpoint lacks them or has another shape.
    ignored: the checkpoint's tensors that found no place.
    """

    copied: tuple[str, ...]
    new: tuple[str, ...]
    ignored: tuple[str, ...]
    widened: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [f"{len(self.copied)} tensors copied"]
        if self.widened:
            parts[0] += f", {len(self.widened)} of them with zeros for further input channels"
        for names, what in ((self.new, "new"), (self.ignored, "ignored")):
            if names:
                parts.append(f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})")
        return "; ".join(parts)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file; NetworkError when there is none or it cannot be read."""
    if not path.is_file():
        raise NetworkError(f"no weights at {path}", remedy="give a local safetensors file")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise NetworkError(f"{path} is no safetensors file: {error}", remedy="convert it to safetensors") from error


def transfer(network: nn.Module, state: Mapping[str, Tensor]) -> TransferReport:
    """Copy from ``state`` every tensor that ``network`` has under the same name and shape, in place.

    A layer that reads further channels after those of the checkpoint's gets zeros for them, so that what is new,
    such as depth beside the colours, starts without effect.

    Raises NetworkError when no tensor fits.
    """
    copied, new, widened = [], [], []
    mixing = _weights_that_mix(network)
    with torch.no_grad():
        for name, mine in network.state_dict().items():
            given = state.get(name)
            if given is not None and given.shape == mine.shape:
                mine.copy_(given)
                copied.append(name)
            elif given is not None and name in mixing and _reads_more(mine, given):
                mine.zero_()
                mine[:, : given.shape[1]] = given
                copied.append(name)
                widened.append(name)
            elif not name.endswith("num_batches_tracked"):  # a count, no weight
                new.append(name)
    if not copied:
        raise NetworkError(
            "no tensor of the checkpoint fits the network", remedy="use a checkpoint of the same architecture"
        )
    taken = set(copied)
    ignored = tuple(name for name in state if name not in taken)
    return TransferReport(tuple(copied), tuple(new), ignored, tuple(widened))


def _weights_that_mix(network: nn.Module) -> set[str]:
    """Names of the weights whose second dimension is the channels read, all of them by every output."""
    return {
        f"{name}.weight"
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
    }


def _reads_more(mine: Tensor, given: Tensor) -> bool:
    same = given.ndim == mine.ndim and (given.shape[0], *given.shape[2:]) == (mine.shape[0], *mine.shape[2:])
    return same and given.shape[1] < mine.shape[1]
